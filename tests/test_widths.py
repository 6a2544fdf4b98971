"""Eq. (3) with kernels that have a width: learnt, or following the map."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import checks, coordinates, kernels, transforms
from stn_ref.kernel_sampler import (
    KERNELS,
    AntialiasedSampler,
    KernelSampler,
    footprint,
    footprint_backward,
    kernel_sample,
    kernel_sample_backward,
)
from stn_ref.localisation import fc_localisation
from stn_ref.sampler import sample
from stn_ref.transformer import SpatialTransformer

BACKENDS = kernels.BACKENDS
each_backend = pytest.mark.parametrize("backend", BACKENDS)
each_kernel = pytest.mark.parametrize("kernel", KERNELS)
each_padding = pytest.mark.parametrize("padding", kernels.PADDINGS)

ROW = np.array([[[[1.0, 2.0, 4.0, 8.0, 16.0]]]])


def on_row(*xs):
    return np.array([[[(float(x), 0.0) for x in xs]]])


# By hand. Along y the row stands alone: the tent of width 1 there leaves it as it is.


@each_backend
def test_a_tent_of_width_2_weighs_three_pixels_with_a_quarter_a_half_and_a_quarter(backend):
    V = kernel_sample(ROW, on_row(2.0), np.array([2.0, 1.0]), backend=backend)
    assert V.item() == 2 / 4 + 4 / 2 + 8 / 4


@each_backend
def test_the_sum_of_the_weights_is_one_between_pixels_too(backend):
    V = kernel_sample(ROW, on_row(1.5), np.array([2.0, 1.0]), backend=backend)  # distances 1.5 .5 .5 1.5
    assert_allclose(V.item(), (1 * 0.25 + 2 * 0.75 + 4 * 0.75 + 8 * 0.25) / 2, rtol=1e-15)


@each_backend
def test_a_gaussian_by_its_formula(backend):
    d = np.arange(5) - 1.75
    inside, everywhere = np.exp(-(d**2) / 2), np.exp(-((np.arange(-30, 31) - 0.75) ** 2) / 2).sum()
    rows = np.exp(-(np.arange(-30, 31) ** 2) / (2 * 0.25)).sum()
    V = kernel_sample(ROW, on_row(1.75), np.array([1.0, 0.5]), kernel="gaussian", backend=backend)
    assert_allclose(V.item(), (inside * ROW[0, 0, 0]).sum() / everywhere / rows, rtol=1e-14)


@each_backend
@each_padding
def test_a_tent_of_width_1_is_bilinear_sampling(example, backend, padding):
    U, points, _ = example(reach=0.6)
    V = kernel_sample(U, points, np.ones(2), padding=padding, backend=backend)
    assert_allclose(V, sample(U, points, padding=padding), atol=1e-13)  # reach is some image widths: rounding of x_s


@each_backend
@each_kernel
@pytest.mark.parametrize("padding", ("border", "reflect", "mirror"))
def test_a_constant_image_stays_constant_at_any_width(example, backend, kernel, padding):
    _, points, _ = example()
    phi = np.random.default_rng(1).uniform(0.05, 1.5, points.shape)
    V = kernel_sample(np.full((2, 1, 5, 7), 3.0), points, phi, kernel=kernel, padding=padding, backend=backend)
    assert_allclose(V, 3.0, rtol=1e-14)


# Gradients.


def far_from_kinks(points, phi, W, H):
    """Move points until no tent has a pixel within 0.01 of its ends or its middle, nor of a clamp."""
    rng = np.random.default_rng(2)
    while True:
        ends = np.stack([points, points - phi, points + phi])
        bad = (np.abs(ends - np.round(ends)) < 0.01).any(0)
        if not bad.any():
            return points
        points = np.where(bad, points + rng.uniform(-0.2, 0.2, points.shape), points)


@each_backend
@each_kernel
@each_padding
@pytest.mark.parametrize("per_point", (False, True))
def test_gradients_agree_with_finite_differences(rng, example, backend, kernel, padding, per_point):
    U, points, gV = example(reach=0.7, Ho=2, Wo=3)
    phi = rng.uniform(1.2, 2.5, points.shape) if per_point else np.array([1.7, 2.3])
    points = far_from_kinks(points, phi, 7, 5)
    options = {"kernel": kernel, "padding": padding, "backend": backend}
    gradients = kernel_sample_backward(U, points, phi, gV, **options)
    arrays = [U, points, phi]
    for k, g in enumerate(gradients):
        assert g.shape == arrays[k].shape
        v = rng.standard_normal(g.shape)
        h = 1.0 if k == 0 else 1e-5
        above, below = (
            kernel_sample(*(a + s * h * v if j == k else a for j, a in enumerate(arrays)), **options) for s in (1, -1)
        )
        numeric = (gV * (above - below)).sum() / (2 * h)
        assert_allclose((g * v).sum(), numeric, rtol=5e-8)
        with pytest.raises(AssertionError):
            assert_allclose((1.001 * g * v).sum(), numeric, rtol=5e-8)


@each_backend
def test_the_width_of_a_tent_grows_to_the_right_of_1_and_is_flat_below(backend):
    gV, at = np.ones((1, 1, 1, 1)), on_row(2.0)
    for phi, expected in ((1.0, 2 + 8 - 2 * 4), (0.5, 0.0)):
        _, _, gphi = kernel_sample_backward(ROW, at, np.array([phi, 1.0]), gV, backend=backend)
        assert_allclose(gphi[0], expected, rtol=1e-14)  # d/dw of (4 + (1 - 1/w) (2 + 8)) / (1 + 2 (1 - 1/w)) at w = 1


def test_needs_computes_only_what_is_asked_for(example):
    U, points, gV = example()
    for backend in BACKENDS:
        all_three = kernel_sample_backward(U, points, np.array([2.0, 1.5]), gV, backend=backend)
        for k in range(3):
            needs = tuple(j == k for j in range(3))
            only = kernel_sample_backward(U, points, np.array([2.0, 1.5]), gV, backend=backend, needs=needs)
            assert [g is None for g in only] == [not need for need in needs]
            assert_array_equal(only[k], all_three[k])


# One contract.


@pytest.mark.parametrize("backend", ("vectorised", "cpu"))
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@each_kernel
@each_padding
def test_backend_matches_the_literal_sums(example, backend, dtype, kernel, padding):
    U, points, gV = example(dtype, C=2, Ho=2, Wo=5, reach=2.0)
    points[0] = np.random.default_rng(1).integers(-20, 30, points[0].shape) / 2
    points[1, 0, :5] = [[np.nan, 1], [np.inf, 0.5], [-np.inf, np.inf], [3e38, -1e9], [-1e-17, 1e-30]]
    widest = 9 if kernel == "tent" else 1.2  # a Gaussian is seen for 8.5 sigmas: literal loops over 400 pixels
    phi = np.random.default_rng(2).uniform(0.02, widest, points.shape).astype(dtype)
    phi[0, 0, :5, 0] = [1, 2, np.nan, np.inf if kernel == "tent" else 0, -1]
    for pixel in (None, np.nan, np.inf):
        if pixel is not None:
            U[0, 0, 1, 2] = pixel
        options = {"kernel": kernel, "padding": padding}
        for got, expected in zip(
            (kernel_sample(U, points, phi, backend=backend, **options),)
            + kernel_sample_backward(U, points, phi, gV, backend=backend, **options),
            (kernel_sample(U, points, phi, backend="literal", **options),)
            + kernel_sample_backward(U, points, phi, gV, backend="literal", **options),
            strict=True,
        ):
            assert got.dtype == dtype
            if pixel != np.inf:  # an infinite pixel times a weight that is 0 but for rounding is of either sign, or NaN
                assert_array_equal(np.isnan(got), np.isnan(expected))
            finite = np.isfinite(expected)
            assert_array_equal(np.isfinite(got), finite)
            tolerance = (1e-12 if dtype == np.float64 else 2e-5) * np.abs(expected[finite]).max()  # hundreds of terms
            assert np.abs(got[finite] - expected[finite]).max() <= tolerance


@each_backend
@each_kernel
@pytest.mark.parametrize("empty", ("N", "C", "Ho", "Wo"))
def test_empty_axes_give_empty_results(example, backend, kernel, empty):
    U, points, gV = example(**{empty: 0})
    phi = np.array([1.5, 2.0])
    options = {"kernel": kernel, "backend": backend}
    V = kernel_sample(U, points, phi, **options)
    gU, gpoints, gphi = kernel_sample_backward(U, points, phi, gV, **options)
    assert (V.shape, gU.shape, gpoints.shape, gphi.tolist()) == (gV.shape, U.shape, points.shape, [0, 0])


def test_errors_name_the_argument(example):
    U, points, gV = example()
    with pytest.raises(checks.ShapeError, match=r"phi must be \(2,\), or one .* for each point, .*; got shape \(3,\)"):
        kernel_sample(U, points, np.ones(3))
    with pytest.raises(TypeError, match="phi must have the dtype of points, float64; got float32"):
        kernel_sample(U, points, np.ones(2, np.float32))
    with pytest.raises(ValueError, match="kernel must be one of 'tent', 'gaussian'; got 'box'"):
        KernelSampler(kernel="box")
    with pytest.raises(ValueError, match=r"padding must be one of .*; got 'reflection'"):
        AntialiasedSampler(padding="reflection")
    for phi in ((np.nan, 1), (-1, 1)):
        with pytest.raises(ValueError, match="phi must lie in"):
            KernelSampler(phi)
    with pytest.raises(checks.ShapeError, match=r"phi must be \(2,\), the widths \(phi_x, phi_y\); got 'ab'"):
        KernelSampler("ab")
    with pytest.raises(ValueError, match="needs must be a flag, or one each for U, points"):
        layer = KernelSampler(dtype=np.float64)
        layer.forward(U, points)
        layer.backward(gV, needs=(True, True, True))


# The layers.


@each_kernel
def test_a_width_can_be_learnt(rng, kernel):
    U = rng.standard_normal((4, 1, 9, 11))
    n, m = np.mgrid[0:9, 0:11].astype(float)
    points = np.broadcast_to(np.stack([m, n], -1), (4, 9, 11, 2)).copy()
    target = kernel_sample(U, points, np.array([2.5, 1.6]), kernel=kernel)
    layer = KernelSampler((1.2, 1.2), kernel=kernel, dtype=np.float64)
    for _ in range(300):
        error = layer.forward(U, points) - target
        layer.zero_grad()
        layer.backward(error, needs=False)
        layer.phi.value -= 0.04 * layer.phi.grad
    assert_allclose(layer.phi.value, [2.5, 1.6], atol=0.02)


def test_twins_share_their_widths_and_add_up_the_gradients(example):
    U, points, gV = example(reach=0.2)
    layer = KernelSampler((1.5, 2.5), backend="vectorised", dtype=np.float64)
    twin = layer.share()
    for one in (layer, twin):
        one.forward(U, points)
    layer.backward(gV)
    once = layer.phi.grad.copy()
    twin.backward(2 * gV)
    assert once.all()
    assert_allclose(layer.phi.grad, 3 * once, rtol=1e-15)


def test_a_shrinking_map_aliases_with_a_fixed_kernel_and_not_with_one_that_follows_the_map():
    m = np.arange(64.0)
    U = np.broadcast_to(m % 4 == 0, (1, 1, 64, 64)).astype(float)  # stripes, a quarter white
    shrink = np.broadcast_to(np.stack(np.meshgrid(m[1::4], m[1::4]), -1), (1, 16, 16, 2)).copy()
    assert not sample(U, shrink).any()  # every point falls between the stripes
    V = AntialiasedSampler(padding="border").forward(U, shrink)
    assert_allclose(V[..., 2:-2], 0.25, rtol=1e-14)


def test_a_rotation_does_not_widen_the_kernel():
    j, i = np.meshgrid(np.arange(7.0), np.arange(6.0))
    for angle in (0.0, 0.3, np.pi / 4, np.pi / 2, 2.0):
        c, s = np.cos(angle), np.sin(angle)
        points = np.stack([c * j - s * i, s * j + c * i], -1)[None]
        assert_allclose(footprint(points), 1, rtol=1e-14)
        assert_allclose(footprint(3 * points), 3, rtol=1e-14)
        assert_array_equal(footprint(points / 3), np.ones_like(points))


def test_the_footprint_of_points_that_are_nowhere_is_that_of_their_other_neighbours():
    points = np.zeros((1, 3, 4, 2))
    points[..., 0], points[..., 1] = 2 * np.arange(4.0), 2 * np.arange(3.0)[:, None]
    points[0, 1, 1] = np.inf, np.nan
    assert np.isfinite(footprint(points)).all()
    assert footprint(points[:, :1, :1]).tolist() == [[[[1, 1]]]]
    assert footprint(points[:, :0]).shape == (1, 0, 4, 2)
    assert np.isfinite(footprint_backward(points, np.ones_like(points))).all()


def test_a_point_that_is_nowhere_spoils_its_own_gradient_and_no_other(rng):
    U, points = rng.random((1, 1, 5, 6)), 2 * np.stack(np.meshgrid(np.arange(5.0), np.arange(4.0)), -1)[None]
    points[0, 1, 2] = np.nan
    layer = AntialiasedSampler()
    V = layer.forward(U, points)
    _, gpoints = layer.backward(np.ones_like(V))
    assert np.argwhere(np.isnan(gpoints).any(-1)).tolist() == [[0, 1, 2]]


def test_the_gradient_of_the_footprint_agrees_with_finite_differences(rng):
    for shape in ((2, 4, 5, 2), (2, 1, 5, 2), (1, 2, 2, 2)):
        points, gs, v = (rng.standard_normal(shape) * scale for scale in (3.0, 1.0, 1.0))
        h = 1e-6
        numeric = (gs * (footprint(points + h * v) - footprint(points - h * v))).sum() / (2 * h)
        assert_allclose((footprint_backward(points, gs) * v).sum(), numeric, rtol=1e-7)


def test_the_gradient_of_the_antialiased_sampler_takes_both_ways(rng):
    U = rng.standard_normal((2, 2, 12, 15))
    theta = np.array([[1.3, 0.2, 0.05, -0.1, 1.7, 0.02], [2.0, -0.3, 0.1, 0.2, 1.4, 0.0]])
    G = coordinates.target_grid((5, 6), False, np.float64)
    points = coordinates.to_pixels(transforms.get("affine").apply(theta, G[None]), (12, 15), False)
    points += 0.3 * rng.standard_normal(points.shape)
    layer, gV, v, h = AntialiasedSampler(padding="mirror"), rng.standard_normal((2, 2, 5, 6)), None, 1e-6
    layer.forward(U, points)
    gU, gpoints = layer.backward(gV)
    layer.eval()
    v = rng.standard_normal(points.shape)
    numeric = (gV * (layer.forward(U, points + h * v) - layer.forward(U, points - h * v))).sum() / (2 * h)
    assert_allclose((gpoints * v).sum(), numeric, rtol=1e-6)
    fixed = kernel_sample_backward(U, points, footprint(points), gV, padding="mirror")[1]
    assert abs((fixed * v).sum() - numeric) > 1e-3 * abs(numeric)  # one way alone is not enough
    v = rng.standard_normal(U.shape)
    assert_allclose((gU * v).sum(), (gV * layer.forward(v, points)).sum(), rtol=1e-12)


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("make", (AntialiasedSampler, KernelSampler))
@pytest.mark.parametrize("align_corners", (False, True))
def test_in_a_transformer_the_identity_is_exact(rng, dtype, make, align_corners):
    transform = transforms.get("affine")
    U = rng.standard_normal((2, 3, 9, 13)).astype(dtype)
    f_loc = fc_localisation((3, 9, 13), transform, rng, dtype=dtype)
    sampler = make() if make is AntialiasedSampler else make(dtype=dtype)
    net = SpatialTransformer(f_loc, transform, align_corners=align_corners, sampler=sampler)
    V = net.forward(U)
    assert V.dtype == dtype
    assert_array_equal(V, U)
    assert net.backward(V).dtype == dtype
    assert len(list(net.params())) == len(list(f_loc.params())) + (make is KernelSampler)
