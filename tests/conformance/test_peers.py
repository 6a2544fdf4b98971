"""The adapters of other libraries: names and axes are translated correctly, and nothing else is changed."""

import importlib.metadata
import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from stn_ref.conformance import peers
from stn_ref.conformance.peers import OURS, PEERS, Peer, libraries
from stn_ref.conformance.subject import find

ALL = OURS | PEERS
each_peer = pytest.mark.parametrize("name", [name for name, peer in ALL.items() if peer.sampler])
each_backward = pytest.mark.parametrize("name", [name for name, peer in ALL.items() if peer.backward])
each_tps = pytest.mark.parametrize("name", [name for name, peer in ALL.items() if peer.tps])
OPTIONS = {"mode": "bilinear", "padding_mode": "zeros", "align_corners": True}


def function(name, role="sampler"):
    """The function of an installed peer; skips where there is none."""
    if not ALL[name].installed():
        pytest.skip(f"{ALL[name].library} is not installed")
    return find(ALL[name].spec(role))


@pytest.mark.parametrize("name", ALL)
def test_every_function_that_a_peer_names_exists(name):
    for role in ("sampler", "backward", "tps"):
        assert (role in ALL[name].calls) == (ALL[name].spec(role) is not None)
        assert ALL[name].spec(role) is None or callable(find(ALL[name].spec(role)))


def test_importing_the_adapters_imports_no_library():
    script = (
        "import sys, stn_ref.conformance.peers; libraries = ('torch', 'kornia', 'jax', 'scipy', 'skimage', 'cv2');"
        "print([name for name in libraries if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@each_peer
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_a_ramp_is_read_at_x_then_y(name, dtype):
    U = (10 * np.arange(5)[:, None] + np.arange(9)).astype(dtype)[None, None]  # U[n, m] = 10 n + m
    x, y = 5.25, 1.5
    grid = np.array([[[[2 * x / 8 - 1, 2 * y / 4 - 1]]]], dtype)
    V = function(name)(U, grid, **OPTIONS)
    assert V.shape == (1, 1, 1, 1) and V.item() == 20.25  # 10 * 1.5 + 5.25, exact in binary
    V = function(name)(U, grid + dtype(0.01), **OPTIONS | {"mode": "nearest"}) if name in PEERS else None
    assert V is None or V.item() == 25


@each_peer
def test_the_dtype_of_the_input_is_the_dtype_of_the_output(name):
    for dtype in (np.float32, np.float64):
        assert function(name)(np.ones((1, 2, 3, 4), dtype), np.zeros((1, 1, 5, 2), dtype), **OPTIONS).dtype == dtype


@each_peer
def test_images_channels_and_rows_keep_their_places(name):
    U = np.arange(2 * 3 * 5 * 9, dtype=float).reshape(2, 3, 5, 9)
    m, n = np.array([[1, 2, 5, 6], [7, 3, 4, 4]]), np.array([[1, 1, 2, 3], [2, 3, 1, 2]])
    grid = np.stack([np.stack([2 * m / 8 - 1, 2 * n / 4 - 1], -1)] * 2)
    grid[1] = grid[1, :, ::-1]
    V = function(name)(U, grid, **OPTIONS)
    assert_allclose(V, np.stack([U[0][:, n, m], U[1][:, n[:, ::-1], m[:, ::-1]]]), atol=1e-12)  # rounding


@each_backward
def test_the_slopes_of_a_ramp_are_its_slopes_per_unit_of_the_grid(name):
    U = (3.0 * np.arange(5)[:, None] + 2 * np.arange(9))[None, None]
    gU, ggrid = function(name, "backward")(U, np.array([[[[0.3, -0.2]]]]), np.full((1, 1, 1, 1), 0.5), **OPTIONS)
    assert_allclose(ggrid, [[[[0.5 * 2 * 4, 0.5 * 3 * 2]]]], rtol=1e-12)  # half a span of 8 and of 4 pixels
    assert_allclose(gU.sum(), 0.5, rtol=1e-12)  # the weights of one point sum to 1


@pytest.mark.parity
@each_peer
@pytest.mark.parametrize("padding_mode", ("zeros", "border", "reflection"))
@pytest.mark.parametrize("align_corners", (False, True))
def test_an_adapter_agrees_with_pytorch_inside_and_outside(name, padding_mode, align_corners, example):
    pytest.importorskip("torch")
    if name == "kornia" and not align_corners:
        pytest.skip("its remap takes the flag for another thing")
    U, grid, gV = example()
    grid = grid / 8  # -0.9 to 1.75: inside and outside
    options = {"mode": "bilinear", "padding_mode": padding_mode, "align_corners": align_corners}
    sample = function(name)
    try:
        V = sample(U, grid, **options)
    except (NotImplementedError, ValueError) as error:
        pytest.skip(f"not offered: {error}")
    # OpenCV rounds points to 1/32 px where images are float64: off by up to 1/64 px each way, at slopes up to ptp(U)
    assert_allclose(V, peers.pytorch(U, grid, **options), atol=np.ptp(U) / 32 if name == "opencv" else 1e-13)
    if ALL[name].backward is not None:
        backward = function(name, "backward")
        for got, expected in zip(
            backward(U, grid, gV, **options), peers.pytorch_backward(U, grid, gV, **options), strict=True
        ):
            assert_allclose(got, expected, atol=1e-13 * np.abs(expected).max())  # rounding


@pytest.mark.parametrize("name", ("scipy", "skimage", "jax", "kornia"))
def test_what_a_library_does_not_have_is_not_offered(name):
    sample = function(name)
    with pytest.raises(NotImplementedError, match="mode='bicubic' is not offered; only "):
        sample(np.ones((1, 1, 3, 4)), np.zeros((1, 1, 1, 2)), **OPTIONS | {"mode": "bicubic"})


@each_tps
def test_a_spline_goes_through_its_control_points_and_an_affine_map_is_itself(name):
    spline = function(name, "tps")
    rng = np.random.default_rng(0)
    control_points, xy = rng.uniform(-1, 1, (9, 2)), rng.uniform(-1, 1, (5, 2))
    moved = control_points + rng.uniform(-0.1, 0.1, (9, 2))
    assert spline(control_points, moved, xy).shape == (5, 2)
    atol = 1e-6 if name == "skimage" else 1e-9  # scikit-image adds 1e-8 to squares; else the condition of the system
    assert_allclose(spline(control_points, moved, control_points), moved, atol=atol)
    A, t = np.array([[0.9, 0.2], [-0.1, 1.1]]), np.array([0.3, -0.2])
    if name != "kornia":  # whose system is another one
        assert_allclose(spline(control_points, control_points @ A.T + t, xy), xy @ A.T + t, atol=atol)


def test_jax_is_left_in_the_precision_it_had():
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    peers.jax(np.ones((1, 1, 3, 4)), np.zeros((1, 1, 1, 2)), **OPTIONS)
    assert jax.config.jax_enable_x64 == before


def test_no_images_give_an_empty_result():
    def never(plane, x, y):
        raise AssertionError

    V = libraries._plane_by_plane(never, np.zeros((0, 2, 3, 4), np.float32), np.zeros((0, 5, 6, 2), np.float32))
    assert V.shape == (0, 2, 5, 6) and V.dtype == np.float32


def test_a_peer_knows_whether_it_is_installed_and_its_version_without_the_build(monkeypatch):
    peer = Peer("Nobody", "no_such_library", ("no-such-library", "another"), "nobody")
    assert not peer.installed() and peer.version() == ""
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.13.0+cpu")
    assert peer.version() == "2.13.0"
    assert OURS["cpu"].installed() and PEERS["scipy"].installed()
