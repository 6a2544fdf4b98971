"""Every backend against answers of PyTorch that are kept in goldens/: no torch needed."""

import itertools
import re

import numpy as np
import pytest
from cases import case
from goldens import make

from stn_ref import affine_grid, affine_grid_backward, coordinates, grid_sample, grid_sample_backward, kernels

SAMPLING = dict(np.load(make.FOLDER / "sampling.npz"))
AFFINE_GRID = dict(np.load(make.FOLDER / "affine_grid.npz"))
RELATIVE = 1e-12  # coordinates of up to 60 px round by 1e-14 px; slopes, and second slopes of the cubic, are below 30

each_convention = pytest.mark.parametrize("convention", make.CONVENTIONS)


def assert_close(got: np.ndarray, wanted: np.ndarray) -> None:
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    assert np.abs(got - wanted).max() <= RELATIVE * np.abs(wanted).max()


@pytest.mark.parametrize("backend", kernels.BACKENDS)
def test_outputs_and_gradients_are_pytorchs(backend):
    for convention, mode, padding in itertools.product(make.CONVENTIONS, make.MODES, make.PADDINGS):
        U, grid, gV = (SAMPLING[f"{convention}/{name}"] for name in ("U", "grid", "gV"))
        at = make.MODES.index(mode), make.PADDINGS.index(padding)
        wanted = [SAMPLING[f"{convention}/{name}"][at] for name in ("V", "gU", "ggrid")]
        options = {"mode": mode, "padding_mode": padding, "align_corners": make.CONVENTIONS[convention]}
        V = grid_sample(U, grid, **options, backend=backend)
        gradients = grid_sample_backward(U, grid, gV, **options, backend=backend)
        for name, got, expected in zip(("V", "gU", "ggrid"), (V, *gradients), wanted, strict=True):
            with case(convention, mode, padding, name):
                assert_close(got, expected)


@each_convention
@pytest.mark.parametrize("kink", ("left", "central", "as_printed"))
def test_the_points_on_kinks_tell_the_conventions_of_the_slope_apart(convention, kink):
    U, grid, gV, ggrid = (SAMPLING[f"{convention}/{name}"] for name in ("U", "grid", "gV", "ggrid"))
    _, got = grid_sample_backward(U, grid, gV, align_corners=make.CONVENTIONS[convention], kink=kink)
    with pytest.raises(AssertionError):
        assert_close(got, ggrid[0, 0])


@each_convention
def test_the_affine_grid_and_its_gradient_are_pytorchs(convention):
    theta, ggrid, align_corners = AFFINE_GRID["theta"], AFFINE_GRID["ggrid"], make.CONVENTIONS[convention]
    grid = affine_grid(theta, make.AFFINE_SIZE, align_corners=align_corners)
    assert_close(grid, AFFINE_GRID[f"{convention}/grid"])
    gtheta = affine_grid_backward(ggrid, make.AFFINE_SIZE, align_corners=align_corners)
    assert_close(gtheta, AFFINE_GRID[f"{convention}/gtheta"])


@each_convention
def test_points_are_on_kinks_exactly_or_clearly_off_them(convention):
    H, W, *_ = make.SIZES[convention]
    points = coordinates.to_pixels(SAMPLING[f"{convention}/grid"], (H, W), make.CONVENTIONS[convention])
    distance = make.kink_distance(points)
    assert ((distance == 0) | (distance > 1e-9)).all()
    on = distance == 0
    assert on.all(-1).sum() >= 17 and (on[..., 0] ^ on[..., 1]).sum() >= 17  # on kinks in both x and y, in one only
    on_pixel = (points == np.round(points)).all(-1)
    inside = (points >= 0).all(-1) & (points <= (W - 1, H - 1)).all(-1)
    far = (points < (-3 * W, -3 * H)).any(-1) | (points > (4 * W, 4 * H)).any(-1)
    assert (on_pixel & inside).any() and (on_pixel & ~inside).any() and (~on_pixel & inside).sum() > 5 and far.sum() > 5


@each_convention
def test_exact_points_stay_exact_in_a_fused_operation(convention):
    """Fractions of 2^10 of less than 2^20: every product and sum on the way to pixels fits 53 bits."""
    H, W, *_ = make.SIZES[convention]
    for size, axis in ((W, 0), (H, 1)):
        span = size - 1 if make.CONVENTIONS[convention] else size
        exact = {(2 * p + (span == size)) / span - 1 for p in make.exact_pixels(size)}
        drawn = set(SAMPLING[f"{convention}/grid"][..., axis].ravel())
        assert len(exact & drawn) >= 9
        assert all((x * 2**10).is_integer() and abs(x * 2**10) < 2**20 for x in exact)


def test_the_goldens_are_small_and_say_who_made_them():
    for name, content in (("sampling.npz", SAMPLING), ("affine_grid.npz", AFFINE_GRID)):
        assert (make.FOLDER / name).stat().st_size < 70_000
        assert re.match(r"2\.\d+\.\d+", str(content["torch"]))


@pytest.mark.parity
@pytest.mark.parametrize("name", make.FILES)
def test_pytorch_still_answers_what_was_kept(name):
    pytest.importorskip("torch")
    kept, today = dict(np.load(make.FOLDER / name)), make.FILES[name]()
    assert kept.keys() == today.keys()
    for key in kept.keys() - {"torch"}:
        assert_close(today[key], kept[key])
