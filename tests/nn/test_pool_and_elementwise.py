import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import checks, nn

NAN, INF = np.nan, np.inf


def test_the_first_of_several_maxima_in_row_major_order_gets_the_gradient():
    pool = nn.MaxPool2d((2, 3))
    x = np.array([[[[1.0, 3, 3], [3, 0, 3]]]])
    assert_array_equal(pool.forward(x), [[[[3]]]])
    assert_array_equal(pool.backward(np.array([[[[7.0]]]])), [[[[0, 7, 0], [0, 0, 0]]]])


def test_overlapping_windows_add_their_gradients():
    pool = nn.MaxPool2d((1, 2), 1)
    assert_array_equal(pool.forward(np.array([[[[1.0, 5, 2]]]])), [[[[5, 5]]]])
    assert_array_equal(pool.backward(np.array([[[[10.0, 1]]]])), [[[[0, 11, 0]]]])


def test_nan_is_the_maximum_of_its_window_and_minus_infinity_is_a_number():
    pool = nn.MaxPool2d((1, 2))
    x = np.array([[[[NAN, 1, 2, NAN, -INF, -INF, 9]]]])
    assert_array_equal(pool.forward(x), [[[[NAN, NAN, -INF]]]])
    assert_array_equal(pool.backward(np.array([[[[1.0, 2, 3]]]])), [[[[1, 0, 0, 2, 3, 0, 0]]]])


def test_a_window_of_more_than_256_places_remembers_its_maximum(rng):
    x = rng.permutation(2 * 20 * 15).reshape(1, 2, 20, 15).astype(np.float64)
    pool = nn.MaxPool2d((20, 15))
    y = pool.forward(x)
    assert_array_equal(pool.backward(np.ones_like(y)), x == y)


def test_average_pooling_by_hand():
    pool = nn.AvgPool2d(2, (1, 2))
    assert_array_equal(pool.forward(np.array([[[[1.0, 2, 9], [3, 4, 9], [5, 6, 9]]]])), [[[[2.5], [4.5]]]])
    gx = pool.backward(np.array([[[[4.0], [8]]]]))
    assert_array_equal(gx, [[[[1, 1, 0], [3, 3, 0], [2, 2, 0]]]])


def test_an_infinite_pixel_makes_only_the_averages_of_its_own_windows_infinite():
    pool = nn.AvgPool2d(2, (1, 2))
    x = np.array([[[[1.0, 2, 9], [INF, 4, 9], [5, 6, INF], [7, 8, 9]]]])
    assert_array_equal(pool.forward(x), [[[[INF], [INF], [6.5]]]])
    gx = pool.backward(np.array([[[[4.0], [8], [INF]]]]))
    assert_array_equal(gx, [[[[1, 1, 0], [3, 3, 0], [INF, INF, 0], [INF, INF, 0]]]])


@pytest.mark.parametrize("kind", [nn.MaxPool2d, nn.AvgPool2d])
def test_pooling_of_an_image_smaller_than_the_window_is_named(kind):
    with pytest.raises(checks.ShapeError, match=r"H .* at least that of the kernel, 3; got 2, shape \(1, 1, 2, 4\)"):
        kind(3).forward(np.zeros((1, 1, 2, 4)))


def test_relu_takes_slope_zero_at_zero_and_lets_nan_and_infinity_through():
    relu = nn.ReLU()
    x = np.array([-1.0, -0.0, 0.0, 2.0, NAN, INF, -INF])
    assert_array_equal(relu.forward(x), [0, 0, 0, 2, NAN, INF, 0])
    gy = np.array([INF, NAN, 3.0, 4.0, 5.0, 6.0, 7.0])
    assert_array_equal(relu.backward(gy), [0, 0, 0, 4, 5, 6, 0])


def test_sigmoid_neither_overflows_nor_loses_small_values():
    sigmoid = nn.Sigmoid()
    y = sigmoid.forward(np.array([-1e300, -40.0, 0.0, 40.0, 1e300, NAN]))
    assert_allclose(y, [0, np.exp(-40), 0.5, 1, 1, NAN], rtol=1e-15)
    assert_array_equal(sigmoid.eval().forward(np.array([-INF, INF], np.float32)), np.array([0, 1], np.float32))


def test_flatten_reads_in_row_major_order():
    x = np.arange(24.0).reshape(2, 3, 2, 2)
    assert_array_equal(nn.Flatten().forward(x), np.arange(24).reshape(2, 12))
    with pytest.raises(checks.ShapeError, match="expected at least 1 axis"):
        nn.Flatten().forward(np.array(1.0))


# Dropout.


def test_dropout_zeroes_a_share_p_and_keeps_the_mean(rng):
    y = nn.Dropout(0.3, rng).forward(np.ones((200, 500)))
    assert_allclose(np.unique(y), [0, 1 / 0.7], rtol=1e-15)
    assert abs((y == 0).mean() - 0.3) < 5 * np.sqrt(0.21 / y.size)  # five standard deviations


def test_dropout_is_the_same_mask_forward_and_backward_and_in_both_dtypes():
    masks = []
    for dtype in (np.float32, np.float64):
        layer = nn.Dropout(0.5, np.random.default_rng(2))
        y = layer.forward(np.ones((4, 50), dtype))
        assert_array_equal(layer.backward(np.ones((4, 50), dtype)), y)
        masks.append(y != 0)
    assert_array_equal(*masks)


def test_dropout2d_drops_whole_channels(rng):
    y = nn.Dropout2d(0.5, rng).forward(np.ones((8, 9, 3, 4)))
    assert_array_equal(y, np.broadcast_to(y[:, :, :1, :1], y.shape))
    assert 0 < (y[:, :, 0, 0] == 0).sum() < 72
    with pytest.raises(checks.ShapeError, match=r"x must be \(N, C, H, W\)"):
        nn.Dropout2d(0.5, rng).forward(np.ones((8, 9)))


@pytest.mark.parametrize(("p", "expected"), [(0, 1.0), (1, 0.0)])
def test_dropout_of_nothing_and_of_everything(p, expected, rng):
    assert_array_equal(nn.Dropout(p, rng).forward(np.ones((3, 4))), np.full((3, 4), expected))


def test_dropout_passes_its_input_on_in_eval_mode_and_draws_nothing(rng):
    layer, x = nn.Dropout(0.5, rng).eval(), np.ones((3, 4))
    before = rng.bit_generator.state
    assert_array_equal(layer.forward(x), x)
    assert rng.bit_generator.state == before
    assert list(layer.rngs()) == [rng]


def test_a_dropout_call_that_fails_leaves_the_generator_alone(rng):
    layer = nn.Dropout(0.5, rng)
    layer.forward(np.ones(3))
    before = rng.bit_generator.state
    with pytest.raises(checks.UsageError):
        layer.forward(np.ones(3))
    assert rng.bit_generator.state == before


def test_dropout_arguments_are_checked(rng):
    with pytest.raises(ValueError, match=r"p must lie in \[0, 1\]; got 1.5"):
        nn.Dropout(1.5, rng)
    with pytest.raises(TypeError, match=r"rng must be a numpy\.random\.Generator"):
        nn.Dropout(0.5, 0)
