"""Sec. 3.2: coordinates, transform families and the sampling grid."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import checks, coordinates, transforms
from stn_ref.grid import GridGenerator, affine_grid, affine_grid_backward
from stn_ref.sampler import grid_sample, grid_sample_backward

both_conventions = pytest.mark.parametrize("align_corners", (False, True))
each_family = pytest.mark.parametrize("family", sorted(transforms.FAMILIES))
SIZES = [size for n in range(1, 513) for size in ((n, 1 + n % 3), (1 + n % 3, n))]  # every height and every width
SIZES += [(512, 511), (61, 84)]
COMPOSED = [
    transforms.Composition(transforms.Affine(), transforms.Projective()),
    transforms.Composition(transforms.Similarity(aspect=1.7), transforms.Rigid(aspect=0.3)),
]


def test_target_axis_by_hand():
    assert coordinates.target_axis(4, False, np.float64).tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert coordinates.target_axis(3, True, np.float64).tolist() == [-1, 0, 1]
    assert coordinates.target_axis(1, True, np.float64).tolist() == [0]


@both_conventions
def test_corners_by_hand(align_corners):
    corner = coordinates.to_pixels(np.array([[-1.0, 1.0]]), (5, 7), align_corners)
    assert corner.tolist() == ([[0, 4]] if align_corners else [[-0.5, 4.5]])


@both_conventions
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@each_family
def test_identity_samples_exactly_at_every_pixel(align_corners, dtype, family):
    transform = transforms.get(family)
    theta = np.array([transform.identity], dtype)
    for H, W in SIZES:
        points = GridGenerator(transform, (H, W), align_corners=align_corners).eval().forward(theta)
        assert points.dtype == dtype
        assert (points[0, :, :, 0] == np.arange(W)).all() and (points[0, :, :, 1] == np.arange(H)[:, None]).all()


@both_conventions
@pytest.mark.parametrize("transform", COMPOSED, ids=repr)
def test_the_identity_of_a_composition_is_exact_too(align_corners, transform):
    for dtype in (np.float32, np.float64):
        for H, W in ((1, 1), (28, 60), (61, 47), (511, 29)):
            points = GridGenerator(transform, (H, W), align_corners=align_corners).forward(
                np.array([transform.identity], dtype)
            )
            assert_array_equal(points[0, 0, :, 0], np.arange(W))
            assert_array_equal(points[0, :, 0, 1], np.arange(H))


@both_conventions
@each_family
def test_points_are_the_pixels_of_the_mapped_target_grid(rng, align_corners, family):
    transform = transforms.get(family)
    theta = np.array(transform.identity) + rng.uniform(-0.3, 0.3, (2, transform.K))
    points = GridGenerator(transform, (4, 6), align_corners=align_corners).forward(theta, (5, 9))
    grid = transform.apply(theta, coordinates.target_grid((4, 6), align_corners, np.float64)[None])
    assert_allclose(points, coordinates.to_pixels(grid, (5, 9), align_corners), atol=1e-14)


@both_conventions
@each_family
def test_grid_gradient_agrees_with_finite_differences(rng, align_corners, family):
    transform = transforms.get(family)
    layer = GridGenerator(transform, (4, 6), align_corners=align_corners)
    theta = np.array(transform.identity) + rng.uniform(-0.3, 0.3, (2, transform.K))
    gpoints, v, h = rng.standard_normal((2, 4, 6, 2)), rng.standard_normal((2, transform.K)), 1e-5
    layer.forward(theta, (5, 9))
    gtheta = layer.backward(gpoints)
    layer.eval()
    n = (gpoints * (layer.forward(theta + h * v, (5, 9)) - layer.forward(theta - h * v, (5, 9)))).sum() / (2 * h)
    assert_allclose((gtheta * v).sum(), n, rtol=1e-8)
    with pytest.raises(AssertionError):
        assert_allclose((gtheta[::-1] * v).sum(), n, rtol=1e-8)


def test_affine_by_hand():
    theta = np.array([[2.0, 3.0, 5.0, 7.0, 11.0, 13.0]])
    assert transforms.Affine().apply(theta, np.array([[1.0, -1.0]])).tolist() == [[[4.0, 9.0]]]


def test_attention_is_the_affine_matrix_of_eq_2(rng):
    s, t_x, t_y = theta = rng.standard_normal(3)
    xy = rng.standard_normal((1, 3, 4, 2))
    matrix = np.array([[s, 0, t_x, 0, s, t_y]])
    assert_allclose(transforms.Attention().apply(theta[None], xy), transforms.Affine().apply(matrix, xy), atol=1e-15)


@both_conventions
def test_affine_grid_is_eq_1(rng, align_corners):
    theta = rng.standard_normal((2, 2, 3))
    grid = affine_grid(theta, (2, 3, 4, 5), align_corners=align_corners)
    G = coordinates.target_grid((4, 5), align_corners, np.float64)
    assert_allclose(grid, transforms.Affine().apply(theta.reshape(2, 6), G[None]), atol=1e-15)
    ggrid = rng.standard_normal(grid.shape)
    gtheta = affine_grid_backward(ggrid, (2, 3, 4, 5), align_corners=align_corners)
    assert_allclose((gtheta * theta).sum(), (ggrid * grid).sum(), rtol=1e-12)  # adjoint: the grid is linear in theta
    assert affine_grid(theta.astype(np.float32), (2, 3, 4, 5)).dtype == np.float32


def test_affine_grid_of_nothing_is_empty():
    assert affine_grid(np.zeros((0, 2, 3)), (0, 1, 4, 5)).shape == (0, 4, 5, 2)
    assert affine_grid(np.zeros((2, 2, 3)), (2, 1, 0, 5)).shape == (2, 0, 5, 2)
    assert not affine_grid_backward(np.zeros((2, 0, 5, 2)), (2, 1, 0, 5)).any()


def test_affine_grid_errors_are_clear():
    theta = np.zeros((2, 2, 3))
    with pytest.raises(checks.ShapeError, match=r"theta must be \(N, 2, 3\): axis 0 is 2, expected N=3 from size"):
        affine_grid(theta, (3, 1, 4, 5))
    with pytest.raises(checks.ShapeError, match=r"size must be \(N, C, Ho, Wo\), four integers"):
        affine_grid(theta, (4, 5))
    with pytest.raises(TypeError, match=r"size must be an integer; got 4\.0"):
        affine_grid(theta, (2, 1, 4.0, 5))
    with pytest.raises(ValueError, match="size must be at least 0; got -1"):
        affine_grid(theta, (2, 1, -1, 5))
    with pytest.raises(TypeError, match="theta must be a float32 or float64 NumPy array; got list"):
        affine_grid(theta.tolist(), (2, 1, 4, 5))
    with pytest.raises(checks.ShapeError, match=r"ggrid must be .*: axis 2 is 4, expected Wo=5 from size"):
        affine_grid_backward(np.zeros((2, 4, 4, 2)), (2, 1, 4, 5))


def test_transform_errors_are_clear():
    with pytest.raises(ValueError, match=r"transform must be one of 'translation', .*; got 'homography'"):
        transforms.get("homography")
    with pytest.raises(checks.ShapeError, match=r"axis 1 is 5, expected K=6 from affine \(theta11"):
        GridGenerator(transforms.Affine(), (2, 2)).forward(np.zeros((1, 5)))
    with pytest.raises(ValueError, match="in_size must be given"):
        GridGenerator(transforms.Affine()).forward(np.zeros((1, 6)))


@pytest.mark.parity
@both_conventions
@pytest.mark.parametrize("size", ((2, 3, 4, 5), (1, 1, 2, 7), (3, 2, 28, 28)))
def test_affine_grid_and_its_gradient_agree_with_pytorch(rng, align_corners, size):
    torch = pytest.importorskip("torch")
    theta = torch.tensor(rng.standard_normal((size[0], 2, 3)), requires_grad=True)
    expected = torch.nn.functional.affine_grid(theta, size, align_corners=align_corners)
    ggrid = rng.standard_normal(expected.shape)
    expected.backward(torch.tensor(ggrid))
    grid = affine_grid(theta.detach().numpy(), size, align_corners=align_corners)
    gtheta = affine_grid_backward(ggrid, size, align_corners=align_corners)
    for got, wanted in ((grid, expected.detach().numpy()), (gtheta, theta.grad.numpy())):
        assert np.abs(got - wanted).max() <= 1e-12 * np.abs(wanted).max()


@pytest.mark.parametrize("value", ("False", 2, None))
def test_align_corners_is_true_or_false_and_nothing_else(value):
    theta, U = np.zeros((1, 2, 3)), np.zeros((1, 1, 2, 2))
    grid = np.zeros((1, 2, 2, 2))
    for call in (
        lambda: affine_grid(theta, U.shape, align_corners=value),
        lambda: affine_grid_backward(grid, U.shape, align_corners=value),
        lambda: grid_sample(U, grid, align_corners=value),
        lambda: grid_sample_backward(U, grid, U, align_corners=value),
        lambda: GridGenerator(transforms.Affine(), align_corners=value),
    ):
        with pytest.raises(TypeError, match=rf"align_corners must be True or False; got {value!r}"):
            call()


def test_the_layout_of_theta_changes_no_bit(rng):
    theta = rng.standard_normal((3, 2, 3))
    assert_array_equal(affine_grid(np.asfortranarray(theta), (3, 1, 5, 4)), affine_grid(theta, (3, 1, 5, 4)))


@pytest.mark.parametrize("out_size", (5.0, (5,), (5, 6, 7), "ab"))
def test_a_size_that_is_no_pair_is_named(out_size):
    with pytest.raises((TypeError, ValueError), match="out_size must be"):
        GridGenerator(transforms.Affine(), out_size)


def test_a_transform_is_an_object_of_a_family():
    with pytest.raises(TypeError, match=r"transform must be a Transform, as transforms\.get\('affine'\) returns it"):
        GridGenerator("affine")


@each_family
def test_an_empty_batch_goes_forward_and_back(family):
    transform = transforms.get(family)
    layer = GridGenerator(transform, (4, 5))
    points = layer.forward(np.zeros((0, transform.K)))
    assert layer.backward(points).shape == (0, transform.K)


@pytest.mark.parametrize("in_size", ((-4, 3), (0, 0), (), (5.0, 6.0), (5, 6, 7)))
def test_a_size_that_is_none_is_named(in_size):
    generator = GridGenerator(transforms.get("affine"), (2, 2))
    with pytest.raises((ValueError, TypeError), match="in_size must be"):
        generator.forward(np.array([[1.0, 0, 0, 0, 1, 0]]), in_size)
