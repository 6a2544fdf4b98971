"""The grid on every backend: one contract, the same points to the bit, and sums in NumPy's order."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stn_ref import affine_grid, affine_grid_backward, coordinates, kernels, nn, transforms
from stn_ref.grid import GridGenerator
from stn_ref.kernel_sampler import KernelSampler
from stn_ref.kernels.cpu import threads
from stn_ref.several import ParallelTransformers
from stn_ref.transformer import SpatialTransformer
from stn_ref.transforms import tps

FAMILIES = [*map(transforms.get, transforms.FAMILIES)]
FAMILIES += [transforms.Attention(scale=0.5), transforms.Rigid(aspect=1.4), transforms.Similarity(aspect=0.7)]
FAMILIES += [transforms.Composition(transforms.Projective(), transforms.Affine())]
SIZES = [
    ((3, 4), (5, 2)),
    ((28, 28), (28, 28)),
    ((1, 7), (6, 1)),
    ((7, 1), (1, 6)),
    ((13, 37), (40, 33)),
    ((2, 300), (9, 5)),
]
each_family = pytest.mark.parametrize("T", FAMILIES, ids=repr)
three_families = pytest.mark.parametrize("T", [*map(transforms.get, ("similarity", "projective", "tps"))], ids=repr)
each_backend = pytest.mark.parametrize("backend", kernels.BACKENDS)
each_dtype = pytest.mark.parametrize("dtype", (np.float32, np.float64))
both_conventions = pytest.mark.parametrize("align_corners", (False, True))


def thetas(rng, T, dtype, N=6):
    """Near the identity, and three rows that a diverged net may give."""
    theta = (np.array(T.identity) + rng.uniform(-0.3, 0.3, (N, T.K))).astype(dtype)
    theta[3, 0], theta[4, -1], theta[5, 0] = np.nan, np.inf, -1e6
    return theta


def run(T, backend, theta, gpoints, in_size, align_corners):
    layer = GridGenerator(T, gpoints.shape[1:3], align_corners=align_corners, backend=backend)
    points = layer.forward(theta, in_size)
    return points, layer.backward(gpoints)


@both_conventions
@each_dtype
@each_family
def test_compiled_and_vectorised_agree_to_the_bit(rng, T, dtype, align_corners):
    theta = thetas(rng, T, dtype)
    for out_size, in_size in SIZES:
        gpoints = rng.standard_normal((len(theta), *out_size, 2)).astype(dtype)
        gpoints[1, 0, 0, 1] = np.nan
        for got, wanted in zip(
            run(T, "cpu", theta, gpoints, in_size, align_corners),
            run(T, "vectorised", theta, gpoints, in_size, align_corners),
            strict=True,
        ):
            assert got.dtype == dtype
            assert_array_equal(got, wanted)


@both_conventions
@each_dtype
@each_family
def test_the_literal_loops_give_the_same_points_and_the_same_gradient_but_for_rounding(rng, T, dtype, align_corners):
    theta, gpoints = thetas(rng, T, dtype), rng.standard_normal((6, 3, 4, 2)).astype(dtype)
    points, gtheta = run(T, "literal", theta, gpoints, (5, 2), align_corners)
    same_points, wanted = run(T, "cpu", theta, gpoints, (5, 2), align_corners)
    assert_array_equal(points, same_points)
    assert_array_equal(np.isfinite(gtheta), np.isfinite(wanted))
    size = np.abs(wanted[:3]).max()
    assert np.abs(gtheta[:3] - wanted[:3]).max() <= 16 * np.finfo(dtype).eps * size  # 12 points, added in another order


@each_backend
@each_family
def test_gradient_agrees_with_finite_differences_on_every_backend(rng, T, backend):
    theta, v, h = np.array(T.identity) + rng.uniform(-0.2, 0.2, (2, T.K)), rng.standard_normal((2, T.K)), 1e-5
    layer, gpoints = GridGenerator(T, (3, 4), backend=backend), rng.standard_normal((2, 3, 4, 2))
    layer.forward(theta, (5, 9))
    gtheta = layer.backward(gpoints)
    layer.eval()
    n = (gpoints * (layer.forward(theta + h * v, (5, 9)) - layer.forward(theta - h * v, (5, 9)))).sum() / (2 * h)
    assert abs((gtheta * v).sum() - n) < 1e-8 * max(1, abs(n))
    assert abs((gtheta[::-1] * v).sum() - n) > 1e-4


def in_halves(terms):
    n = terms.shape[1] // 2
    return (
        terms.sum(axis=1)
        if terms.shape[1] <= 128
        else in_halves(terms[:, : n - n % 8]) + in_halves(terms[:, n - n % 8 :])
    )


@each_dtype
def test_sums_are_numpys_to_the_bit_at_every_length(rng, dtype):
    for P in (*range(1, 300), 511, 512, 513, 1000, 1024, 1031, 4096, 5003, 8192, 70_001):
        ggrid = rng.standard_normal((2, 1, P, 2)).astype(dtype)
        gtheta = affine_grid_backward(ggrid, (2, 1, 1, P))
        for k in (0, 1):
            terms = np.ascontiguousarray(ggrid[:, 0, :, k])
            assert_array_equal(gtheta[:, k, 2], in_halves(terms) if P > 8192 else terms.sum(axis=1))


@both_conventions
@each_dtype
@each_backend
def test_affine_grid_is_the_same_on_every_backend(rng, backend, dtype, align_corners):
    theta, ggrid = rng.standard_normal((3, 2, 3)).astype(dtype), rng.standard_normal((3, 5, 4, 2)).astype(dtype)
    theta[2, 0, 1], ggrid[1, 2, 3, 0] = np.inf, np.nan
    options = {"align_corners": align_corners}
    grid, gtheta = affine_grid(theta, (3, 1, 5, 4), **options), affine_grid_backward(ggrid, (3, 1, 5, 4), **options)
    assert_array_equal(affine_grid(theta, (3, 1, 5, 4), **options, backend=backend), grid)
    got = affine_grid_backward(ggrid, (3, 1, 5, 4), **options, backend=backend)
    np.testing.assert_allclose(got, gtheta, rtol=0, atol=40 * np.finfo(dtype).eps)  # 20 terms of up to 3


@each_backend
@both_conventions
def test_an_infinite_displacement_is_outside_even_an_image_of_one_pixel(align_corners, backend):
    axes = coordinates.axes((1, 1), (1, 1), align_corners, np.dtype(np.float64))
    points = kernels.grids(backend).shift_forward(np.array([[[[np.inf, 1.0]]]]), axes)
    assert points.tolist() == [[[[np.inf, 0.0 if align_corners else 0.5]]]]


@each_backend
@three_families
def test_nothing_in_gives_nothing_out(T, backend):
    for N, out_size in ((0, (3, 4)), (2, (0, 4)), (2, (3, 0)), (0, (0, 0))):
        layer = GridGenerator(T, out_size, backend=backend)
        points = layer.forward(np.zeros((N, T.K)) + T.identity, (5, 6))
        assert points.shape == (N, *out_size, 2)
        gtheta = layer.backward(points)
        assert gtheta.shape == (N, T.K) and not gtheta.any()


@each_backend
@pytest.mark.parametrize(
    "T", [transforms.get("similarity"), transforms.get("projective"), transforms.get("tps")], ids=repr
)
def test_layouts_and_read_only_inputs_change_no_bit_and_are_left_alone(rng, T, backend):
    theta, gpoints = thetas(rng, T, np.float32), rng.standard_normal((6, 5, 4, 2)).astype(np.float32)
    wanted = run(T, backend, theta, gpoints, (5, 9), False)
    layouts = (np.asfortranarray, lambda a: np.repeat(a, 2, axis=-1)[..., ::2], lambda a: a[::-1].copy()[::-1])
    for layout in layouts:
        odd = layout(theta), layout(gpoints)
        for array in odd:
            array.setflags(write=False)
        for got, same in zip(run(T, backend, *odd, (5, 9), False), wanted, strict=True):
            assert_array_equal(got, same)


@three_families
def test_the_number_of_threads_changes_no_bit(rng, T, monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 1)  # ns: each thread takes some rows, or some samples
    before, results = threads.get_num_threads(), []
    theta, gpoints = thetas(rng, T, np.float32), rng.standard_normal((6, 17, 11, 2)).astype(np.float32)
    try:
        for n in (1, 2, 3):
            threads.set_num_threads(n)
            results.append(run(T, "cpu", theta, gpoints, (5, 9), False))
    finally:
        threads.set_num_threads(before)
    for result in results[1:]:
        for got, wanted in zip(result, results[0], strict=True):
            assert_array_equal(got, wanted)


def test_the_compiled_grid_can_be_stepped_through_and_then_gives_the_same_bits():
    script = (
        "import numpy as np; from stn_ref import GridGenerator, transforms;"
        "T = transforms.get('projective'); layer = GridGenerator(T, (13, 12));"
        "theta = np.array([T.identity, T.identity]) + np.linspace(-0.1, 0.1, 16).reshape(2, 8);"
        "points = layer.forward(theta, (5, 9)); print(points.tobytes().hex(), layer.backward(points).tobytes().hex())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "NUMBA_DISABLE_JIT": jit},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for jit in "01"
    }
    assert len(said) == 1


def test_the_backend_of_the_sampler_is_that_of_the_grid():
    T, net = transforms.get("affine"), nn.Sequential(nn.Flatten())
    assert SpatialTransformer(net, T, backend="literal").grid.backend == "literal"
    sampler = KernelSampler(backend="vectorised")
    assert SpatialTransformer(net, T, sampler=sampler).grid.backend == "vectorised"
    assert [grid.backend for grid in ParallelTransformers(net, [T, T], sampler=sampler).grids] == ["vectorised"] * 2
    with pytest.raises(ValueError, match="backend must be one of 'cpu', 'literal', 'vectorised'"):
        GridGenerator(T, backend="numpy")
    with pytest.raises(ValueError, match="backend must be one of 'cpu', 'literal', 'vectorised'"):
        affine_grid(np.zeros((1, 2, 3)), (1, 1, 2, 2), backend="numpy")


# The basis of the thin-plate spline is kept.


def test_the_basis_of_the_target_grid_is_computed_once(rng, monkeypatch):
    T, calls, phi = transforms.get("tps"), [], tps.phi
    monkeypatch.setattr(tps, "phi", lambda r2: calls.append(r2.shape) or phi(r2))
    theta = np.array(T.identity) + rng.uniform(-0.1, 0.1, (2, T.K))
    layer = GridGenerator(T, (4, 5))
    points = layer.forward(theta)
    layer.backward(points)
    assert_array_equal(layer.forward(theta), points)
    layer.backward(points)
    assert len(calls) == 1
    GridGenerator(T, (4, 5)).forward(theta.astype(np.float32))  # its own, for it is rounded
    layer.forward(theta)
    assert len(calls) == 2


def test_a_kept_basis_serves_no_other_points(rng):
    T, theta = transforms.get("tps"), rng.uniform(-1, 1, (2, 32))
    xy = rng.uniform(-1, 1, (1, 4, 2))
    for change in (0.0, 0.5, np.nan):
        xy[0, 1, 0] += change
        assert_array_equal(T.displacement(theta, xy), transforms.get("tps").displacement(theta, xy))
    assert_array_equal(T.displacement(theta, xy[:, :3]), transforms.get("tps").displacement(theta, xy[:, :3]))


def test_a_large_basis_is_not_kept(monkeypatch):
    monkeypatch.setattr(tps, "KEPT", 16 * 20)
    T = transforms.get("tps")
    for size, kept in (((4, 6), 0), ((4, 5), 1)):
        GridGenerator(T, size).forward(np.array([T.identity]))
        assert len(T._kept) == kept


def test_threads_that_share_a_spline_do_not_mix_up_their_grids(rng):
    T, theta = transforms.get("tps"), rng.uniform(-1, 1, (1, 32))
    sizes = ((3, 4), (5, 6), (7, 8))
    wanted, wrong = [GridGenerator(transforms.get("tps"), size).forward(theta) for size in sizes], []

    def work(k):
        layer = GridGenerator(T, sizes[k]).eval()
        wrong.extend(k for _ in range(100) if not np.array_equal(layer.forward(theta), wanted[k]))

    workers = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
