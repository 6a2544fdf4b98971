"""Forward mode and second order: identities that hold at kinks too, PyTorch, finite differences, and one contract."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from cases import DTYPES, OPTIONS, case, problem
from numpy.testing import assert_allclose, assert_array_equal
from test_parity import exact as every_quarter
from test_parity import far_and_near
from test_sampler_modes import assert_close, hostile

from stn_ref import checks, grid_sample_backward, grid_sample_double_backward, grid_sample_jvp, kernels
from stn_ref.kernels.cpu import threads
from stn_ref.sampler import KINKS, MODES, PADDING_MODES, Sampler, sample, sample_backward

BACKENDS = kernels.BACKENDS
each_backend = pytest.mark.parametrize("backend", BACKENDS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)

FACES = [  # options of grid_sample
    {"mode": mode, "padding_mode": padding, "align_corners": align_corners}
    for mode, padding, align_corners in itertools.product(MODES, PADDING_MODES, (False, True))
]


def kinks_of(options):
    """Return the values of kink that are allowed; for nearest they change nothing."""
    if options["mode"] == "nearest":
        return ("right",)
    padding = options.get("padding_mode") or options["padding"]
    return KINKS if (options["mode"], padding) == ("bilinear", "zeros") else KINKS[:3]


def exact(align_corners):
    """A part of the points of test_parity.exact: pixels, edges, ties and folds, in x and y."""
    U, grid, gV = every_quarter(align_corners)
    return U, grid[:, ::7, ::5].copy(), gV[..., ::7, ::5].copy()


def tangents(rng, U, grid):
    """Return (hU, hgrid), random, of the dtype of U."""
    return rng.standard_normal(U.shape).astype(U.dtype), rng.standard_normal(grid.shape).astype(U.dtype)


def inner(a, b):
    return (np.asarray(a, np.float64) * b).sum()


# Identities. They need no differences, so they are tested on kinks, ties and folds.


@each_backend
def test_forward_mode_is_the_transpose_of_the_backward(rng, backend):
    """<gV, J v> = <J^T gV, v> for every v and gV."""
    for options in FACES:
        U, grid, gV = exact(options["align_corners"])
        dU, dgrid = tangents(rng, U, grid)
        for kink in kinks_of(options):
            dV = grid_sample_jvp(U, grid, dU, dgrid, kink=kink, backend=backend, **options)
            gU, ggrid = grid_sample_backward(U, grid, gV, kink=kink, **options)
            with case(options, kink):
                assert_allclose(inner(gV, dV), inner(gU, dU) + inner(ggrid, dgrid), rtol=1e-11)
                with pytest.raises(AssertionError):  # a tangent that is broken on purpose is seen
                    assert_allclose(inner(gV, dV[..., ::-1]), inner(gU, dU) + inner(ggrid, dgrid), rtol=1e-11)


@each_backend
def test_gradients_of_the_gradients_fulfil_what_linearity_and_symmetry_demand(rng, backend):
    for options in FACES:
        U, grid, gV = exact(options["align_corners"])
        (hU, hgrid), (other_U, other_grid) = tangents(rng, U, grid), tangents(rng, U, grid)
        for kink in kinks_of(options):
            options = options | {"kink": kink, "backend": backend}
            gV2, gU2, ggrid2 = grid_sample_double_backward(U, grid, gV, hU, hgrid, **options)
            with case(options):
                assert_array_equal(gV2, grid_sample_jvp(U, grid, hU, hgrid, **options))
                # <ggrid, hgrid> is linear in U: its gradient times any image is its value at that image
                _, ggrid = grid_sample_backward(other_U, grid, gV, **options)
                assert_allclose(inner(gU2, other_U), inner(ggrid, hgrid), rtol=1e-11, atol=1e-13)
                # a Hessian is symmetric
                _, _, H1 = grid_sample_double_backward(U, grid, gV, None, hgrid, **options)
                _, _, H2 = grid_sample_double_backward(U, grid, gV, None, other_grid, **options)
                assert_allclose(inner(H1, other_grid), inner(H2, hgrid), rtol=1e-10, atol=1e-12)
                # and the rest of ggrid2 is the gradient of <gU, hU>: the backward of the image hU
                _, ggrid = grid_sample_backward(hU, grid, gV, **options)
                assert_allclose(ggrid2 - H1, ggrid, rtol=0, atol=1e-13 * max(1, np.abs(ggrid2).max()))


# By hand.


def at(x, y):
    return np.array([[[[float(x), float(y)]]]])


def in_pixels(backend, name, U, points, *more, **options):
    return getattr(kernels.second(backend), name)(U, points, *more, **options)


@each_backend
def test_the_mixed_derivative_of_one_cell_by_hand(backend):
    U = np.array([[[[1.0, 2.0, 7.0], [4.0, 8.0, 1.0]]]])  # d_xy = 1 - 2 - 4 + 8 = 3 and 2 - 7 - 8 + 1 = -12
    one, none = np.ones((1, 1, 1, 1)), np.zeros_like(U)
    for point, kink, wanted in (
        (at(0.25, 0.5), "right", 3),
        (at(1, 0.5), "right", -12),
        (at(1, 0.5), "left", 3),
        (at(1, 0.5), "central", -4.5),
        (at(1, 0.5), "as_printed", 6),  # Eq. (7) to the letter: the column of x itself, 8 - 2
    ):
        with case(kink, point):
            _, _, g = in_pixels(backend, "sample_double_backward", U, point, one, none, at(10, 100), kink=kink)
            assert g.ravel().tolist() == [100 * wanted, 10 * wanted]


@each_backend
def test_the_curvature_of_bicubic_at_a_pixel_is_that_of_the_side(backend):
    """Half a pixel of distance from a jump: Keys' k'' is 2 a at distance 2 from the side within, and 0 from outside."""
    U, one = np.zeros((1, 1, 1, 9)), np.ones((1, 1, 1, 1))
    U[..., 6] = 1
    for kink, wanted in (("right", -1.5), ("left", 0), ("central", -0.75)):
        _, _, g = in_pixels(
            backend, "sample_double_backward", U, at(4, 0), one, 0 * U, at(1, 0), mode="bicubic", kink=kink
        )
        assert g.ravel().tolist() == [wanted, 0]


@each_backend
def test_a_second_slope_of_the_pixels_squared_with_a_half(backend):
    """Bicubic with a = -0.5 reproduces parabolas: x^2 has the second derivative 2, and x y has d_xy = 1."""
    y, x = np.mgrid[0:9, 0:9].astype(float)
    U = (x**2 + 5 * x * y)[None, None]
    _, _, g = in_pixels(
        backend,
        "sample_double_backward",
        U,
        at(4.3, 3.6),
        np.ones((1, 1, 1, 1)),
        0 * U,
        at(3, 1),
        mode="bicubic",
        a=-0.5,
    )
    assert_allclose(g.ravel(), [2 * 3 + 5 * 1, 5 * 3], rtol=1e-12)


# PyTorch.


def pytorch(U, grid, gV, hU, hgrid, mode, padding_mode, align_corners):
    """(gV2, gU2, ggrid2) of torch.nn.functional.grid_sample by autograd; None is 0."""
    import torch

    tU, tgrid, tgV = (torch.tensor(array, requires_grad=True) for array in (U, grid, gV))
    V = torch.nn.functional.grid_sample(tU, tgrid, mode, padding_mode, align_corners)
    gU, ggrid = torch.autograd.grad(V, (tU, tgrid), tgV, create_graph=True)
    loss = (gU * torch.tensor(hU)).sum() + (ggrid * torch.tensor(hgrid)).sum()
    found = torch.autograd.grad(loss, (tgV, tU, tgrid), allow_unused=True)
    return [np.zeros(a.shape) if g is None else g.numpy() for g, a in zip(found, (gV, U, grid), strict=True)]


@pytest.mark.parity
@each_backend
def test_the_double_backward_agrees_with_pytorch_on_kinks_and_off_them(rng, backend):
    pytest.importorskip("torch")
    for options, draw in itertools.product(FACES, (exact, lambda align_corners: far_and_near(1, align_corners))):
        U, grid, gV = draw(options["align_corners"])
        hU, hgrid = tangents(rng, U, grid)
        wanted = pytorch(U, grid, gV, hU, hgrid, **options)
        found = grid_sample_double_backward(U, grid, gV, hU, hgrid, backend=backend, **options)
        for name, got, expected in zip(("gV2", "gU2", "ggrid2"), found, wanted, strict=True):
            with case(options, name):
                assert np.abs(got - expected).max() <= 1e-12 * max(1, np.abs(expected).max())


@pytest.mark.parity
def test_an_infinite_pixel_under_a_tap_outside_is_nan_in_pytorch_and_finite_here():
    pytest.importorskip("torch")
    U = np.ones((1, 1, 2, 3))
    U[..., -1, -1] = np.inf  # PyTorch reads it for every tap beyond, and multiplies it by 0
    grid, one = np.array([[[(3.0, 3.0)]]]), np.ones((1, 1, 1, 1))
    for mode in ("bilinear", "bicubic"):
        gV2, _, ggrid2 = pytorch(U, grid, one, np.zeros_like(U), np.ones_like(grid), mode, "zeros", False)
        assert np.isnan(gV2).all() and np.isnan(ggrid2).all()
        for backend in BACKENDS:
            for array in grid_sample_double_backward(
                U, grid, one, None, np.ones_like(grid), mode=mode, backend=backend
            ):
                assert not array.any()


# Finite differences.


@each_backend
def test_tangents_and_second_gradients_agree_with_finite_differences(rng, backend):
    U, points, gV = problem(rng, reach=0.3)
    half = np.round(2 * points) / 2  # kinks of bilinear and of mirroring, jumps of nearest and of k''
    points = np.where(np.abs(points - half) < 0.02, half + 0.03, points)
    hU, hpoints = tangents(rng, U, points)
    vU, vpoints = tangents(rng, U, points)
    h = 1e-5

    def loss(u, p, g, options):
        gU, gpoints = sample_backward(u, p, g, **options)
        return inner(gU, hU) + inner(gpoints, hpoints)

    for options in OPTIONS:
        dV = in_pixels(backend, "sample_jvp", U, points, vU, vpoints, **options)
        _, gU2, gpoints2 = in_pixels(backend, "sample_double_backward", U, points, gV, hU, hpoints, **options)
        with case(options):
            ends = (sample(U + s * h * vU, points + s * h * vpoints, **options) for s in (1, -1))
            n = np.subtract(*ends) / (2 * h)
            assert np.abs(dV - n).max() <= 1e-7 * np.abs(n).max()
            for got, v, dU, dpoints in ((gU2, vU, vU, 0), (gpoints2, vpoints, 0, vpoints)):
                ends = (loss(U + s * h * dU, points + s * h * dpoints, gV, options) for s in (1, -1))
                n = np.subtract(*ends) / (2 * h)
                assert_allclose(inner(got, v), n, rtol=2e-7, atol=1e-9)


# One contract.

SHAPES = [(2, 2, 4, 5, 3, 4), (2, 1, 1, 6, 2, 3), (1, 2, 5, 1, 2, 3)]  # N, C, H, W, Ho, Wo


@pytest.mark.parametrize("backend", [backend for backend in BACKENDS if backend != "literal"])
@each_dtype
def test_backend_matches_the_literal_sums(backend, dtype):
    """Hostile points, bad pixels and bad tangents: NaN and infinities in the same places, and equal numbers."""
    rng = np.random.default_rng(2)
    few = 1e-13 if dtype == np.float64 else 1e-5  # of the largest number, sums of up to 48 terms that nearly cancel
    for shape, options, bad in itertools.product(SHAPES, OPTIONS, (False, True)):
        U, points, gV = hostile(dtype, shape, bad)
        hU, hpoints = tangents(rng, U, points)
        hpoints[0, 0] = 0
        hU[0, 0, 0, 0] = 0
        if bad:
            hpoints[-1].reshape(-1)[-4:] = np.inf, -np.inf, 0, np.nan
            hU[0, 0, -1, 0], gV = np.inf, gV.copy()
            gV[0, 0, 1, 1] = -np.inf
        for kink in kinks_of(options):
            more = options | {"kink": kink}
            got, wanted = (
                (
                    in_pixels(b, "sample_jvp", U, points, hU, hpoints, **more),
                    *in_pixels(b, "sample_double_backward", U, points, gV, hU, hpoints, **more),
                )
                for b in (backend, "literal")
            )
            for name, a, b in zip(("dV", "gV2", "gU2", "gpoints2"), got, wanted, strict=True):
                with case(more, shape, bad, name):
                    assert_close(a, b, few)


@each_backend
def test_a_point_that_does_not_move_and_a_flat_border_meet_no_pixel(backend):
    U = np.full((1, 1, 3, 3), np.inf)
    still, points = np.zeros((1, 1, 1, 2)), at(1.25, 1.5)
    hU = np.arange(9.0).reshape(U.shape)
    assert_array_equal(in_pixels(backend, "sample_jvp", U, points, hU, still), sample(hU, points))
    for padding in ("border", "reflect", "mirror"):
        arguments = U, at(-np.inf, np.inf), np.ones((1, 1, 1, 1)), hU, at(1, 1)
        for array in in_pixels(backend, "sample_double_backward", *arguments, padding=padding):
            assert np.isfinite(array).all(), padding


@each_backend
@each_dtype
def test_a_nan_coordinate_spoils_its_own_results_and_no_others(rng, backend, dtype):
    U, points, gV = problem(rng, dtype, reach=0.1)
    points[1, 2, 3, 0] = np.nan
    hU, hpoints = tangents(rng, U, points)
    for options in OPTIONS:
        dV = in_pixels(backend, "sample_jvp", U, points, hU, hpoints, **options)
        gV2, gU2, gpoints2 = in_pixels(backend, "sample_double_backward", U, points, gV, hU, hpoints, **options)
        with case(options):
            for V in (dV, gV2):
                assert np.isnan(V[1, :, 2, 3]).all() and np.isnan(V).sum() == V.shape[1]
            assert np.isnan(gpoints2[1, 2, 3]).all() and np.isnan(gpoints2).sum() == 2
            assert np.isfinite(gU2).all()
            assert {array.dtype for array in (dV, gV2, gU2, gpoints2)} == {np.dtype(dtype)}


@each_backend
def test_none_means_zeros_and_empty_axes_give_empty_results(rng, backend):
    for options, empty in itertools.product(FACES, (None, "N", "C", "Ho", "Wo")):
        U, grid, gV = problem(rng, **({"C": 2, "Ho": 2, "Wo": 3} | ({empty: 0} if empty else {})))
        grid = grid / 5
        if not empty:
            U[0, 0, 0, 0] = np.nan
        hU, hgrid = tangents(rng, U, grid)
        options = options | {"backend": backend}
        with case(options, empty):
            for dU, dgrid in ((None, hgrid), (hU, None), (None, None)):
                zU, zgrid = 0 * hU if dU is None else dU, 0 * hgrid if dgrid is None else dgrid
                dV = grid_sample_jvp(U, grid, dU, dgrid, **options)
                assert dV.shape == gV.shape
                assert_array_equal(dV, grid_sample_jvp(U, grid, zU, zgrid, **options))
                for g, zg in ((gV, gV), (None, 0 * gV)):
                    found = grid_sample_double_backward(U, grid, g, dU, dgrid, **options)
                    assert [array.shape for array in found] == [gV.shape, U.shape, grid.shape]
                    zeros = grid_sample_double_backward(U, grid, zg, zU, zgrid, **options)
                    for a, b in zip(found, zeros, strict=True):
                        assert_array_equal(a, b)


@each_backend
def test_inputs_may_be_strided_read_only_or_shared_and_are_not_changed(backend):
    kept = np.random.default_rng(0).uniform(-1, 2, (2, 2, 4, 4))
    memory = kept.copy()
    memory.flags.writeable = False
    points = memory.reshape(2, 4, 4, 2)
    strided = np.asfortranarray(memory)
    for options in OPTIONS:
        dV = in_pixels(backend, "sample_jvp", memory, points, memory, points, **options)
        found = in_pixels(backend, "sample_double_backward", memory, points, memory, memory, points, **options)
        again = in_pixels(backend, "sample_double_backward", strided, points[::1], strided, strided, points, **options)
        with case(options):
            assert_array_equal(memory, kept)
            assert not any(np.shares_memory(array, memory) for array in (dV, *found))
            for a, b in zip(found, again, strict=True):
                assert_array_equal(a, b)


def test_threads_do_not_change_a_bit(rng, monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 1)
    U, points, gV = problem(rng, np.float32, 5, 3, 9, 8, 7, 11)
    hU, hpoints = tangents(rng, U, points)
    before, results = threads.get_num_threads(), []
    try:
        for n in (1, 2, 5):
            threads.set_num_threads(n)
            found = in_pixels("cpu", "sample_double_backward", U, points, gV, hU, hpoints, mode="bicubic")
            results.append([a.tobytes() for a in (in_pixels("cpu", "sample_jvp", U, points, hU, hpoints), *found)])
    finally:
        threads.set_num_threads(before)
    assert results[0] == results[1] == results[2]


RESULTS = """
import sys, warnings, numpy as np
from stn_ref import kernels

def results(U, points, gV, hU, hpoints):
    second, found = kernels.second("cpu"), {}
    for mode, padding, kink in (("bilinear", "zeros", "as_printed"), ("nearest", "border", "right"),
                                ("bicubic", "mirror", "central"), ("bicubic", "zeros", "left")):
        options = {"mode": mode, "padding": padding, "kink": kink}
        found[f"dV {mode} {padding}"] = second.sample_jvp(U, points, hU, hpoints, **options)
        for k, array in enumerate(second.sample_double_backward(U, points, gV, hU, hpoints, **options)):
            found[f"{k} {mode} {padding}"] = array
    return found
"""
INTERPRETED = "warnings.simplefilter('error'); np.savez(sys.argv[2], **results(**np.load(sys.argv[1])))"


def test_interpreted_and_compiled_give_the_same_bits(rng, tmp_path):
    U, points, gV = (array.copy() for array in hostile(np.float32, (2, 2, 5, 6, 2, 3)))
    U[0, 0, 1, 1] = np.nan
    hU, hpoints = tangents(rng, U, points)
    np.savez(tmp_path / "in.npz", U=U, points=points, gV=gV, hU=hU, hpoints=hpoints)
    command = [sys.executable, "-c", RESULTS + INTERPRETED, tmp_path / "in.npz", tmp_path / "out.npz"]
    subprocess.run(command, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, check=True)
    names = {}
    exec(RESULTS, names)
    interpreted = np.load(tmp_path / "out.npz")
    for name, array in names["results"](U, points, gV, hU, hpoints).items():
        assert_array_equal(interpreted[name], array, err_msg=name)


def test_ties_choose_the_pixel_that_a_tangent_reaches(rng):
    U, points, grid = rng.standard_normal((1, 2, 4, 4)), at(0.5, 2.5), at(-0.5, 0.5)
    for backend, ties in itertools.product(BACKENDS, ("even", "up")):
        dV = grid_sample_jvp(0 * U, grid, U, None, mode="nearest", ties=ties, backend=backend)
        assert_array_equal(dV, sample(U, points, mode="nearest", ties=ties))


def test_the_layer_has_a_forward_mode(rng):
    U, points, gV = problem(rng)
    points = np.round(points)  # on kinks
    dU, dpoints = tangents(rng, U, points)
    for options in ({"kink": "left"}, {"padding": "mirror"}, {"mode": "bicubic", "a": -0.5}, {"mode": "nearest"}):
        layer = Sampler(**options)
        dV = layer.jvp(U, points, dU, dpoints)
        layer.forward(U, points)  # the tangent kept nothing
        gU, gpoints = layer.backward(gV)
        assert_allclose(inner(gV, dV), inner(gU, dU) + inner(gpoints, dpoints), rtol=1e-11)
        assert_array_equal(layer.jvp(U, points, dU, None), layer.jvp(U, points, dU, 0 * dpoints))


# Clear errors.


def test_what_is_wrong_is_named(rng):
    U, grid, gV = problem(rng)
    hU, hgrid = tangents(rng, U, grid)
    both = {
        "jvp": lambda *t, **options: grid_sample_jvp(U, grid, *t, **options),
        "double": lambda *t, **options: grid_sample_double_backward(U, grid, gV, *t, **options),
    }
    for name, (tU, tgrid) in {"jvp": ("dU", "dgrid"), "double": ("hU", "hgrid")}.items():
        with pytest.raises(checks.ShapeError, match=rf"{tU} must have the shape of U, \(2, 3, 5, 7\); got shape"):
            both[name](hU[:1], hgrid)
        with pytest.raises(TypeError, match=f"{tgrid} must have the dtype of grid, float64; got float32"):
            both[name](hU, hgrid.astype(np.float32))
        for backend in kernels.CUDA_BACKENDS:
            with pytest.raises(NotImplementedError, match=f"no CUDA kernels: use backend='cpu'; got '{backend}'"):
                both[name](hU, hgrid, backend=backend)
        for option in ("mode", "padding_mode", "backend", "kink", "ties"):
            with pytest.raises(ValueError, match=f"{option} must be one of '.*'; got 'other'"):
                both[name](hU, hgrid, **{option: "other"})
        with pytest.raises(ValueError, match=r"'as_printed' is Eq. \(7\)"):
            both[name](hU, hgrid, mode="bicubic", kink="as_printed")
    with pytest.raises(checks.ShapeError, match=r"gV must be \(N, C, Ho, Wo\): axis 1 is 2, expected C=3 from U"):
        grid_sample_double_backward(U, grid, gV[:, :2], hU, hgrid)


def test_sampling_loads_none_of_the_second_order():
    script = (
        "import sys, numpy as np, stn_ref\n"
        "for b in ('cpu', 'literal', 'vectorised'):\n"
        "    stn_ref.grid_sample(np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 2)), backend=b)\n"
        "assert not [name for name in sys.modules if 'second' in name and name.startswith('stn_ref')]"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
