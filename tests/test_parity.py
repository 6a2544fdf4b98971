"""Sampling against what others compute: PyTorch, SciPy, and Keys' cubic in fractions."""

import functools
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from cases import case
from goldens.make import MODES, PADDINGS, kink_distance
from scipy.ndimage import map_coordinates

from stn_ref import coordinates, grid_sample, grid_sample_backward, kernels

H, W = 5, 7
each_backend = pytest.mark.parametrize("backend", kernels.BACKENDS)
CASES = list(itertools.product(MODES, PADDINGS, (False, True)))  # (mode, padding, align_corners)


def relative_error(got: np.ndarray, wanted: np.ndarray) -> float:
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    return np.abs(got - wanted).max() / (np.abs(wanted).max() or 1)


def to_normalised(points: np.ndarray, height: int, width: int, align_corners: bool) -> np.ndarray:
    return 2 * points / (width - 1, height - 1) - 1 if align_corners else (2 * points + 1) / (width, height) - 1


def exact_size(align_corners: bool) -> tuple[int, int]:
    """(height, width) at which no coordinate that is a multiple of 1/8 px is rounded on its way to pixels."""
    return (5, 9) if align_corners else (4, 8)


# PyTorch.


def pytorch(U, grid, gV, mode, padding, align_corners):
    """(V, gU, ggrid) of torch.nn.functional.grid_sample."""
    import torch

    tU, tgrid = torch.tensor(U, requires_grad=True), torch.tensor(grid, requires_grad=True)
    V = torch.nn.functional.grid_sample(tU, tgrid, mode, padding, align_corners)
    V.backward(torch.tensor(gV))
    return V.detach().numpy(), tU.grad.numpy(), tgrid.grad.numpy()


def ours(U, grid, gV, mode, padding, align_corners, backend):
    """(V, gU, ggrid) of stn_ref."""
    options = {"mode": mode, "padding_mode": padding, "align_corners": align_corners, "backend": backend}
    return grid_sample(U, grid, **options), *grid_sample_backward(U, grid, gV, **options)


def problem(seed: int, dtype=np.float64):
    """Non-square U, grid and gV; a third of the grid within [-1, 1], a third in [-4, 4], a third at up to +-50."""
    rng = np.random.default_rng(seed)
    U, gV = rng.standard_normal((2, 3, H, W)), rng.standard_normal((2, 3, 6, 9))
    grid = rng.uniform(-1, 1, (2, 6, 9, 2)) * np.repeat([1, 4, 50], 3)[:, None]
    return U.astype(dtype), grid.astype(dtype), gV.astype(dtype)


def assert_parity(problem, backend, relative):
    """Our results for the problem of every case are PyTorch's, to `relative` of the largest number."""
    pytest.importorskip("torch")
    for one in CASES:
        if backend in kernels.CUDA_BACKENDS and one[0] == "bicubic":
            continue
        arrays, wanted = answered(problem, *one)
        with case(*one):
            for got, expected in zip(ours(*arrays, *one, backend), wanted, strict=True):
                assert relative_error(got, expected) <= relative


@functools.cache
def answered(problem, mode, padding, align_corners):
    """(U, grid, gV) and PyTorch's answers, the same for every backend."""
    arrays = problem(align_corners)
    return arrays, pytorch(*arrays, mode, padding, align_corners)


def far_and_near(seed, align_corners):
    arrays = problem(seed)
    points = coordinates.to_pixels(arrays[1], (H, W), align_corners)
    assert kink_distance(points).min() > 1e-9  # nearer, the rounding of a fused operation would choose the side
    return arrays


DRAWN = [functools.partial(far_and_near, seed) for seed in range(3)]


@pytest.mark.parity
@each_backend
def test_sampling_and_its_gradients_agree_with_pytorch(backend):
    for drawn in DRAWN:
        assert_parity(drawn, backend, 1e-12)  # 200 px away, a coordinate is rounded by 3e-14 px


def single(align_corners):
    U, grid, gV = problem(7, np.float32)
    grid = np.clip(grid, np.float32(-4), np.float32(4))
    grid += np.float32(1e-3) * (kink_distance(coordinates.to_pixels(grid, (H, W), align_corners)) < 1e-4)
    assert kink_distance(coordinates.to_pixels(grid, (H, W), align_corners)).min() > 1e-4
    return U, grid, gV


@pytest.mark.parity
@each_backend
def test_in_single_precision_sampling_and_its_gradients_agree_with_pytorch(backend):
    """Points are off the kinks by more than their rounding.

    At |grid| = 4 a coordinate is up to 18 px from the origin and rounded by 2e-6 px, in PyTorch's code and in ours;
    slopes, and the slopes of the cubic's slopes, are a few times max|V|.
    """
    assert_parity(single, backend, 1e-5)


def exact(align_corners):
    """Every multiple of 1/4 px from 3 pixels outside to 3 outside, in x and y: pixels, edges, ties, folds."""
    height, width = exact_size(align_corners)
    y, x = np.mgrid[-3 : height + 2.25 : 0.25, -3 : width + 2.25 : 0.25]
    grid = to_normalised(np.stack([x, y], -1)[None], height, width, align_corners)
    rng = np.random.default_rng(3)
    return rng.standard_normal((1, 2, height, width)), grid, rng.standard_normal((1, 2, *x.shape))


@pytest.mark.parity
@each_backend
def test_at_exact_kinks_and_ties_sampling_agrees_with_pytorch(backend):
    assert_parity(exact, backend, 1e-13)  # no coordinate is rounded; sums of up to 100 terms are


# SciPy.

SCIPY = {  # (padding, align_corners): the mode of map_coordinates
    ("zeros", False): "grid-constant",
    ("zeros", True): "grid-constant",
    ("border", False): "nearest",
    ("border", True): "nearest",
    ("reflection", False): "reflect",  # about the edges of the outer pixels
    ("reflection", True): "mirror",  # about their centres
}


@each_backend
def test_sampling_agrees_with_scipy(rng, backend):
    U = rng.standard_normal((2, 3, H, W))
    points = rng.uniform((-2 * W, -2 * H), (3 * W, 3 * H), (2, 6, 9, 2))
    points[:, ::2] = rng.uniform((-1.0, -1.0), (W, H), (2, 3, 9, 2))
    assert kink_distance(points).min() > 1e-9  # SciPy rounds ties up, PyTorch and we to even
    y_x = np.moveaxis(points[..., ::-1], -1, 1)
    for (mode, order), (padding, align_corners) in itertools.product((("bilinear", 1), ("nearest", 0)), SCIPY):
        wanted = np.empty((2, 3, 6, 9))
        for b, c in np.ndindex(2, 3):
            wanted[b, c] = map_coordinates(U[b, c], y_x[b], order=order, mode=SCIPY[padding, align_corners], cval=0)
        grid = to_normalised(points, H, W, align_corners)
        V = grid_sample(U, grid, mode=mode, padding_mode=padding, align_corners=align_corners, backend=backend)
        with case(mode, padding, align_corners):
            assert np.abs(V - wanted).max() <= 1e-13  # coordinates of up to 21 px round by 4e-15 px; slopes are < 10


# Keys' cubic, in fractions.


def keys(d: Fraction, a: Fraction) -> Fraction:
    """The kernel of Keys (1981), with its slope a at distance 1."""
    d = abs(d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    if d < 2:
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return Fraction(0)


def keys_slope(d: Fraction, a: Fraction) -> Fraction:
    sign, d = (1 if d > 0 else -1), abs(d)
    if d <= 1:
        return sign * (3 * (a + 2) * d**2 - 2 * (a + 3) * d)
    if d < 2:
        return sign * (3 * a * d**2 - 10 * a * d + 8 * a)
    return Fraction(0)


def tap(index: int, size: int, padding: str, align_corners: bool) -> int | None:
    """The pixel that stands at `index` of the padded axis; None: zero."""
    if 0 <= index < size:
        return index
    if padding == "zeros":
        return None
    if padding == "border":
        return min(max(index, 0), size - 1)
    if align_corners:
        index = abs(index) % (2 * size - 2)
        return min(index, 2 * size - 2 - index)
    index %= 2 * size
    return min(index, 2 * size - 1 - index)


def cubic(U, x, y, a, padding, align_corners):
    """(V, dV/dx, dV/dy) at (x, y) in pixels, by the sum over the 4 x 4 taps."""
    V = dVdx = dVdy = Fraction(0)
    for n in range(math.floor(y) - 1, math.floor(y) + 3):
        for m in range(math.floor(x) - 1, math.floor(x) + 3):
            row, column = tap(n, len(U), padding, align_corners), tap(m, len(U[0]), padding, align_corners)
            if row is not None and column is not None:
                pixel = Fraction(float(U[row][column]))
                V += pixel * keys(x - m, a) * keys(y - n, a)
                dVdx += pixel * keys_slope(x - m, a) * keys(y - n, a)
                dVdy += pixel * keys(x - m, a) * keys_slope(y - n, a)
    return V, dVdx, dVdy


@functools.cache
def in_fractions(padding, align_corners, a):
    """(U, points, V, and the slopes at every point), by Keys' kernel."""
    height, width = exact_size(align_corners)
    rng = np.random.default_rng(0)
    U = rng.integers(-8, 9, (1, 1, height, width)).astype(float)
    points = rng.integers((-24, -24), (8 * width + 24, 8 * height + 24), (1, 4, 5, 2)) / 8
    found = [
        cubic(U[0, 0], *map(Fraction, point), Fraction(a), padding, align_corners) for point in points.reshape(-1, 2)
    ]
    return U, points, *np.moveaxis(np.array(found, float).reshape(4, 5, 3), -1, 0)


@each_backend
def test_bicubic_is_keys_kernel_in_fractions(rng, backend):
    gV = rng.standard_normal((1, 1, 4, 5))
    for padding, align_corners, a in itertools.product(PADDINGS, (False, True), (-0.75, -0.5)):
        U, points, value, *slopes = in_fractions(padding, align_corners, a)
        size = exact_size(align_corners)
        grid = to_normalised(points, *size, align_corners)
        options = {"padding_mode": padding, "align_corners": align_corners, "backend": backend, "a": a}
        V = grid_sample(U, grid, mode="bicubic", **options)
        _, ggrid = grid_sample_backward(U, grid, gV, mode="bicubic", **options)
        gpoints = (ggrid / coordinates.pixels_per_unit(size, align_corners, np.float64))[0]
        with case(padding, align_corners, a):
            assert np.abs(V[0, 0] - value).max() <= 1e-13  # 16 terms of up to 8, each rounded a few times
            for axis in (0, 1):
                error = np.abs(gpoints[..., axis] - gV[0, 0] * slopes[axis])
                assert (error <= 1e-13 * np.maximum(1, np.abs(gV[0, 0]))).all()


def test_keys_kernel_weighs_1_and_its_slopes_0_and_a_is_its_slope_at_1():
    for a in (Fraction(-3, 4), Fraction(-1, 2)):
        for t in (Fraction(0), Fraction(1, 3), Fraction(7, 8)):
            assert sum(keys(t - k, a) for k in range(-1, 3)) == 1
            assert sum(keys_slope(t - k, a) for k in range(-1, 3)) == 0
        assert keys_slope(Fraction(1), a) == a
