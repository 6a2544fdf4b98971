"""Transform families: each map, its gradient, what it preserves, and what it does with bad numbers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import checks, coordinates, transforms
from stn_ref.grid import GridGenerator
from stn_ref.sampler import sample
from stn_ref.transforms import Affine, Attention, Composition, Projective, Rigid, Similarity, Translation

TRANSFORMS = [
    *map(transforms.get, transforms.FAMILIES),
    Attention(scale=0.5),
    Rigid(aspect=1.4),
    Similarity(aspect=0.7),
    Composition(Projective(), Similarity(aspect=1.4)),
    Composition(Affine(), Composition(Projective(), Attention())),
]
MATRICES = [T for T in TRANSFORMS if T.name != "tps"]
each = pytest.mark.parametrize("T", TRANSFORMS, ids=repr)
each_matrix = pytest.mark.parametrize("T", MATRICES, ids=repr)
both_conventions = pytest.mark.parametrize("align_corners", (False, True))


def near_identity(T, rng, N=2, reach=0.2):
    """Random theta; up to 0.2 away, no point of [-1, 1]^2 comes near the horizon."""
    return np.array(T.identity) + rng.uniform(-reach, reach, (N, T.K))


def slopes(f, x, h=1e-5):
    """Central differences of the scalar f by every entry of x."""
    n = np.empty(x.shape)
    for at in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[at] = h
        n[at] = (f(x + step) - f(x - step)) / (2 * h)
    return n


def error(a, n):
    return np.abs(a - n).max() / max(np.abs(a).max(), np.abs(n).max(), 1e-3)  # 1e-3: where the gradient is 0


# The gradients.


@pytest.mark.parametrize("shared", (False, True), ids=("own points", "the same points"))
@each
def test_gradients_agree_with_finite_differences(rng, T, shared):
    theta, gd = near_identity(T, rng), rng.standard_normal((2, 3, 4, 2))
    xy = rng.uniform(-1, 1, (1 if shared else 2, 3, 4, 2))
    gtheta, gxy = T.backward(theta, xy, gd)
    assert gtheta.shape == theta.shape and gxy.shape == gd.shape
    own = np.broadcast_to(xy, gd.shape)
    by_theta = slopes(lambda theta: (gd * T.displacement(theta, xy)).sum(), theta)
    by_xy = slopes(lambda xy: (gd * T.displacement(theta, xy)).sum(), own)
    assert error(gtheta, by_theta) < 1e-8 and error(gxy, by_xy) < 1e-8
    swapped, _ = T.backward(theta, xy, gd[..., ::-1])
    assert error(swapped, by_theta) > 1e-3
    assert T.name == "translation" or error(gxy[..., ::-1], by_xy) > 1e-3


@each
def test_gradients_of_mapped_landmarks_agree_with_finite_differences(rng, T):
    theta, gT = near_identity(T, rng), rng.standard_normal((2, 5, 2))
    for shape in ((5, 2), (1, 5, 2), (2, 5, 2)):
        xy = rng.uniform(-1, 1, shape)
        gtheta, gxy = T.apply_backward(theta, xy, gT)
        loss = lambda theta, xy: (gT * T.apply(theta, xy)).sum()  # noqa: E731
        assert gxy.shape == shape
        assert error(gtheta, slopes(lambda theta: loss(theta, xy), theta)) < 1e-8  # noqa: B023
        assert error(gxy, slopes(lambda xy: loss(theta, xy), xy)) < 1e-8  # noqa: B023


@each
def test_what_nobody_needs_is_none_and_changes_nothing_else(rng, T):
    theta, xy, gd = near_identity(T, rng), rng.uniform(-1, 1, (2, 3, 4, 2)), rng.standard_normal((2, 3, 4, 2))
    gtheta, gxy = T.backward(theta, xy, gd)
    only_theta, no_xy = T.backward(theta, xy, gd, (True, False))
    no_theta, only_xy = T.backward(theta, xy, gd, (False, True))
    assert no_xy is None and no_theta is None
    assert_array_equal(only_theta, gtheta)
    assert_array_equal(only_xy, gxy)
    assert T.backward(theta, xy, gd, (False, False)) == (None, None)


@each
def test_points_that_are_the_same_for_all_are_each_samples_own(rng, T):
    theta, xy, gd = near_identity(T, rng), rng.uniform(-1, 1, (1, 3, 4, 2)), rng.standard_normal((2, 3, 4, 2))
    own = xy.repeat(2, 0)
    assert_allclose(T.displacement(theta, xy), T.displacement(theta, own), atol=1e-15)
    for a, b in zip(T.backward(theta, xy, gd), T.backward(theta, own, gd), strict=True):
        assert_allclose(a, b, atol=1e-13)
    assert_array_equal(T.apply(theta, xy[0].reshape(-1, 2)).reshape(2, 3, 4, 2), T.apply(theta, xy))


# The maps.


def test_matrices_by_hand():
    c, s = 0.8, 0.6
    alpha = np.arctan2(s, c)
    for T, theta, matrix in (
        (Translation(), [2, 3], [[1, 0, 2], [0, 1, 3], [0, 0, 1]]),
        (Attention(), [5, 2, 3], [[5, 0, 2], [0, 5, 3], [0, 0, 1]]),
        (Attention(scale=0.5), [2, 3], [[0.5, 0, 2], [0, 0.5, 3], [0, 0, 1]]),
        (Rigid(), [alpha, 2, 3], [[c, -s, 2], [s, c, 3], [0, 0, 1]]),
        (Rigid(aspect=2), [alpha, 2, 3], [[c, -s / 2, 2], [2 * s, c, 3], [0, 0, 1]]),
        (Similarity(), [10, alpha, 2, 3], [[8, -6, 2], [6, 8, 3], [0, 0, 1]]),
        (Similarity(aspect=2), [10, alpha, 2, 3], [[8, -3, 2], [12, 8, 3], [0, 0, 1]]),
        (Affine(), [1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6], [0, 0, 1]]),
        (Projective(), [1, 2, 3, 4, 5, 6, 7, 8], [[1, 2, 3], [4, 5, 6], [7, 8, 1]]),
        (Composition(Translation(), Attention()), [2, 3, 5, 7, 11], [[5, 0, 9], [0, 5, 14], [0, 0, 1]]),
    ):
        assert_allclose(T.matrix(np.array([theta], float)), [matrix], atol=1e-14)


@each_matrix
def test_the_map_is_its_matrix_on_homogeneous_points(rng, T):
    theta, xy = near_identity(T, rng), rng.uniform(-1, 1, (2, 5, 2))
    homogeneous = np.einsum("bij,bpj->bpi", T.matrix(theta), np.concatenate([xy, np.ones((2, 5, 1))], -1))
    assert_allclose(T.apply(theta, xy), homogeneous[..., :2] / homogeneous[..., 2:], atol=1e-14)


def test_each_family_contains_the_one_before_it(rng):
    a, x, y, s = rng.uniform(0.5, 1.5, (4, 1))
    xy = rng.uniform(-1, 1, (1, 5, 2))
    chain = [
        (Rigid(), np.stack([a, x, y], 1)),
        (Similarity(), np.stack([1 + 0 * a, a, x, y], 1)),
        (Affine(), Rigid().matrix(np.stack([a, x, y], 1))[:, :2].reshape(1, 6)),
        (Projective(), Rigid().matrix(np.stack([a, x, y], 1)).reshape(1, 9)[:, :8]),
    ]
    chain_2 = [(Translation(), np.stack([x, y], 1)), (Attention(), np.stack([1 + 0 * s, x, y], 1))]
    chain_2 += [(Similarity(), np.stack([1 + 0 * s, 0 * s, x, y], 1)), (Rigid(), np.stack([0 * a, x, y], 1))]
    for maps in (chain, chain_2):
        for T, theta in maps:
            assert_allclose(T.apply(theta, xy), maps[0][0].apply(maps[0][1], xy), atol=1e-14)


def test_projective_by_hand():
    theta = np.array([[1.0, 0, 0, 0, 1, 0, 0.5, 0]])
    assert_allclose(Projective().apply(theta, np.array([[1.0, 1], [-1, 1]])), [[[2 / 3, 2 / 3], [-2, 2]]], atol=1e-15)


def test_a_positive_angle_turns_the_content_counterclockwise():
    U = np.zeros((1, 1, 5, 5))
    U[0, 0, 2, 4] = 1  # right of the middle
    for T, theta in ((Rigid(), [np.pi / 2, 0, 0]), (Similarity(), [1, np.pi / 2, 0, 0])):
        V = sample(U, GridGenerator(T, (5, 5)).forward(np.array([theta])), backend="vectorised")
        assert_allclose(V[0, 0, 0, 2], 1, atol=1e-12)  # above the middle
        assert_allclose(V.sum(), 1, atol=1e-12)


@both_conventions
@pytest.mark.parametrize("aspect", (True, False))
def test_a_turned_image_that_is_not_square_keeps_its_distances_in_pixels(rng, aspect, align_corners):
    H, W = 5, 9
    r = coordinates.aspect((H, W), align_corners) if aspect else 1.0
    pixels = np.stack(np.meshgrid(np.arange(W), np.arange(H)), axis=-1).reshape(-1, 2)
    distances = lambda p: np.hypot(*(p[:, None] - p).T)  # noqa: E731
    for T, factor in ((Rigid(aspect=r), 1.0), (Similarity(aspect=r), 1.3)):
        theta = np.array([[factor, 0.7, 0.1, -0.2][-T.K :]])
        points = GridGenerator(T, (H, W), align_corners=align_corners).forward(theta).reshape(-1, 2)
        off = np.abs(distances(points) - factor * distances(pixels)).max()
        assert off < 1e-13 if aspect else off > 1


def test_a_small_angle_is_not_lost():
    d = Rigid().displacement(np.array([[1e-9, 0.0, 0.0]]), np.array([[[1.0, 0.0]]]))
    assert_allclose(d, [[[-0.5e-18, 1e-9]]], rtol=1e-12)  # cos(1e-9) - 1 is 0 in floating point


@each
def test_at_the_identity_the_displacement_is_zero_to_the_bit(rng, T):
    for dtype in (np.float32, np.float64):
        d = T.displacement(np.array([T.identity], dtype), rng.uniform(-3, 3, (1, 7, 2)).astype(dtype))
        assert d.dtype == dtype
        assert not d.any() or getattr(T, "scale", None) == 0.5  # whose identity is the window in the middle


# What is preserved.


def _broken(T, theta, rng, points=20):
    """How far each of PROPERTIES is from being kept, at random points."""
    p, u, v = rng.uniform(-0.5, 0.5, (3, points, 2))
    at = lambda xy: T.apply(theta[None], xy)[0]  # noqa: E731
    length = lambda a: np.hypot(a[:, 0], a[:, 1])  # noqa: E731
    cross = lambda a, b: (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / (length(a) * length(b))  # noqa: E731
    cosine = lambda a, b: (a * b).sum(1) / (length(a) * length(b))  # noqa: E731
    Tp, to_u, to_v = at(p), at(p + u) - at(p), at(p + v) - at(p)
    return {
        "lengths": np.abs(length(to_u) - length(u)).max(),
        "angles": np.abs(cosine(to_u, to_v) - cosine(u, v)).max(),
        "parallelism": np.abs(cross(to_u, at(p[::-1] + u) - at(p[::-1]))).max(),
        "straight lines": np.abs(cross(to_u, at(p + 0.3 * u) - Tp)).max(),
    }


def test_every_entry_of_the_hierarchy_is_measured(rng):
    for name, K, *kept in transforms.hierarchy():
        T = transforms.get(name)
        assert K == T.K == len(T.symbols)
        tries = [_broken(T, near_identity(T, rng, 1)[0], rng) for _ in range(20)]
        for name, yes in zip(transforms.PROPERTIES, kept, strict=True):
            worst = max(broken[name] for broken in tries)
            assert worst < 1e-12 if yes else worst > 1e-2, (T, name, worst)


# Bad numbers, dtypes, empty arrays, errors.


@pytest.mark.parametrize("bad", (np.nan, np.inf, -np.inf, 1e300))
@each
def test_bad_numbers_in_theta_neither_crash_nor_warn(rng, T, bad):
    for dtype in (np.float32, np.float64):
        with np.errstate(over="ignore"):
            bad_dtype = dtype(bad)
        for k in range(T.K):
            theta = near_identity(T, rng, 2).astype(dtype)
            theta[1, k] = bad_dtype
            xy = rng.uniform(-1, 1, (5, 2)).astype(dtype)
            mapped = T.apply(theta, xy)
            gtheta, _ = T.apply_backward(theta, xy, np.ones_like(mapped))
            assert np.isfinite(mapped[0]).all() and np.isfinite(gtheta[0]).all()  # the other sample is untouched
            layer = GridGenerator(T, (2, 3))
            assert np.isfinite(layer.backward(np.ones_like(layer.forward(theta)))[0]).all()
            if np.isnan(bad):
                assert np.isnan(mapped[1]).any()


@pytest.mark.parametrize("bad", (np.nan, np.inf))
def test_a_bad_coordinate_leaves_the_other_one_alone_where_the_matrix_has_no_term_for_it(bad):
    xy = np.array([[bad, 1.0]])
    assert_array_equal(Translation().apply(np.array([[2.0, 3.0]]), xy), [[[bad, 4.0]]])
    assert_array_equal(Attention().apply(np.array([[0.5, 2.0, 3.0]]), xy)[0, 0, 1], 3.5)


@each
def test_float32_stays_float32(rng, T):
    theta, xy = near_identity(T, rng).astype(np.float32), rng.uniform(-1, 1, (2, 3, 4, 2)).astype(np.float32)
    gd = rng.standard_normal((2, 3, 4, 2)).astype(np.float32)
    results = [T.displacement(theta, xy), T.apply(theta, xy), *T.backward(theta, xy, gd)]
    results += T.apply_backward(theta, xy, gd)
    if T in MATRICES:
        results.append(T.matrix(theta))
    assert {result.dtype for result in results} == {np.dtype(np.float32)}
    gtheta, _ = T.backward(theta.astype(np.float64), xy.astype(np.float64), gd.astype(np.float64))
    assert_allclose(results[2], gtheta, rtol=1e-4, atol=1e-4)


@each
def test_nothing_in_gives_nothing_out(T):
    for N, P in ((0, 3), (2, 0), (0, 0)):
        theta = np.zeros((N, T.K)) + T.identity
        for xy in (np.zeros((P, 2)), np.zeros((N, P, 2)), np.zeros((1, P, 1, 2))):
            mapped = T.apply(theta, xy)
            assert mapped.shape == (N, *xy.shape[(xy.ndim > 2) :])
            gtheta, gxy = T.apply_backward(theta, xy, mapped)
            assert gtheta.shape == (N, T.K) and gxy.shape == xy.shape and not gxy.any()


def test_errors_of_apply_are_clear():
    T, theta, xy = Rigid(), np.zeros((2, 3)), np.zeros((2, 4, 2))
    with pytest.raises(
        checks.ShapeError, match=r"theta must be \(N, K\): axis 1 is 4, expected K=3 from rigid \(alpha"
    ):
        T.apply(np.zeros((2, 4)), xy)
    with pytest.raises(
        checks.ShapeError, match=r"xy must be \(P, 2\), or .*: axis 0 is 3, expected N=2 from theta, or 1"
    ):
        T.apply(theta, np.zeros((3, 4, 2)))
    with pytest.raises(checks.ShapeError, match=r"the last axis is \(x, y\); got shape \(4, 3\)"):
        T.apply(theta, np.zeros((4, 3)))
    with pytest.raises(checks.ShapeError, match=r"the last axis is \(x, y\); got shape \(2,\)"):
        T.apply(theta, np.zeros(2))
    with pytest.raises(TypeError, match="xy must have the dtype of theta, float64; got float32"):
        T.apply(theta, xy.astype(np.float32))
    with pytest.raises(
        checks.ShapeError, match=r"gT must have the shape that apply returns, \(2, 4, 2\); got shape \(4"
    ):
        T.apply_backward(theta, xy, xy[0])
    with pytest.raises(TypeError, match="gT must be a float32 or float64 NumPy array; got list"):
        T.apply_backward(theta, xy, xy.tolist())


def test_options_reach_the_family_and_bad_ones_are_named():
    assert transforms.get("attention", scale=0.25).K == 2
    assert transforms.get("rigid", aspect=2).aspect == 2
    assert repr(transforms.get("rigid", aspect=2)) == "Rigid(aspect=2)"
    for family in ("rigid", "similarity"):
        with pytest.raises(ValueError, match=r"aspect must lie in .*; got 0"):
            transforms.get(family, aspect=0)
    with pytest.raises(ValueError, match=r"scale must lie in .*; got -1"):
        transforms.get("attention", scale=-1)
    with pytest.raises(ValueError, match=r"transform must be one of 'translation', 'rigid', .*; got 'homography'"):
        transforms.get("homography")


def test_a_family_is_called_by_its_name():
    for name, family in transforms.FAMILIES.items():
        assert family.name == name and "-" not in name  # models are called st-cnn-NAME


@both_conventions
def test_a_fixed_scale_looks_at_the_middle_of_the_image(align_corners):
    points = GridGenerator(Attention(scale=0.5), (3, 3), align_corners=align_corners).forward(np.zeros((1, 2)), (9, 9))
    expected = np.array([2, 4, 6]) if align_corners else np.array([2.5, 4, 5.5])
    assert_allclose(points[0, 0, :, 0], expected, atol=1e-15)
    assert_allclose(
        coordinates.to_pixels(Attention(scale=0.5).apply(np.zeros((1, 2)), np.ones((1, 2))), (9, 9), True), 6
    )
