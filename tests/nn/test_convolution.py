import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import checks, nn


def filled(layer, W, b):
    layer.W.value[...] = W
    layer.b.value[...] = b
    return layer


def literal(x, W, b, stride, padding):
    """The sum in the docstring, term by term."""
    N, C, H, L = x.shape
    O, _, kh, kw = W.shape
    (sy, sx), (py, px) = stride, padding
    y = np.zeros((N, O, (H + 2 * py - kh) // sy + 1, (L + 2 * px - kw) // sx + 1))
    for n, o, i, j in np.ndindex(y.shape):
        y[n, o, i, j] = b[o]
        for c, k, l in np.ndindex(C, kh, kw):
            h, w = i * sy + k - py, j * sx + l - px
            if 0 <= h < H and 0 <= w < L:
                y[n, o, i, j] += W[o, c, k, l] * x[n, c, h, w]
    return y


def test_two_by_two_kernel_computed_by_hand(rng):
    layer = filled(nn.Conv2d(1, 1, 2, rng, dtype=np.float64), [[[[1, 2], [3, 4]]]], 0.5)
    x = np.array([[[[1.0, 0, 2], [0, 1, 0]]]])
    assert_array_equal(layer.forward(x), [[[[5.5, 5.5 + 2]]]])  # 1*1 + 4*1 + 1/2;  2*2 + 3*1 + 1/2
    gx = layer.backward(np.array([[[[1.0, 10]]]]))
    assert_array_equal(gx, [[[[1, 12, 20], [3, 34, 40]]]])
    assert_array_equal(layer.W.grad, [[[[1, 20], [10, 1]]]])
    assert_array_equal(layer.b.grad, [11])


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (1, 3), (3, 2), (5, 6)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 2), (4, 3)])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 2), (2, 5)])
def test_forward_is_the_documented_sum(kernel, stride, padding, rng):
    layer = nn.Conv2d(2, 3, kernel, rng, stride=stride, padding=padding, dtype=np.float64)
    x = rng.standard_normal((2, 2, 5, 6))
    expected = literal(x, layer.W.value, layer.b.value, stride, padding)
    assert_allclose(layer.forward(x), expected, rtol=0, atol=1e-14)  # at most 20 terms of size 1


def test_a_large_output_is_cut_in_blocks_of_rows_without_a_seam(rng):
    layer = nn.Conv2d(
        16, 32, (3, 5), rng, dtype=np.float64
    )  # 80 * 32 * 46 * 26 multiply-adds for each row of W: 4 blocks
    x = rng.standard_normal((2, 16, 48, 30))
    y = layer.forward(x)
    gy = rng.standard_normal(y.shape)
    gx = layer.backward(gy)
    parts = nn.Conv2d(16, 32, (3, 5), rng, dtype=np.float64)
    parts.W.value[...], parts.b.value[...] = layer.W.value, layer.b.value
    gx_parts = np.zeros_like(gx)
    for i in range(46):
        assert_allclose(parts.forward(x[:, :, i : i + 3]), y[:, :, i : i + 1], rtol=0, atol=1e-13)
        gx_parts[:, :, i : i + 3] += parts.backward(np.ascontiguousarray(gy[:, :, i : i + 1]))
    assert_allclose(gx_parts, gx, rtol=0, atol=1e-12)
    assert_allclose(parts.W.grad, layer.W.grad, rtol=1e-11, atol=1e-11)


def test_weights_are_drawn_within_the_documented_bounds_and_repeatably():
    one, two = (nn.Conv2d(3, 40, (5, 2), np.random.default_rng(4)) for _ in range(2))
    bound = 1 / np.sqrt(30)
    assert 0.95 * bound < np.abs(one.W.value).max() <= bound
    assert np.abs(one.b.value).max() <= bound
    assert_array_equal(one.W.value, two.W.value)
    assert one.W.value.dtype == one.b.value.dtype == np.float32


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 5, 5), r"x must be \(N, C, H, W\): axis 1 is 3, expected C=2 from W; got shape \(2, 3, 5, 5\)"),
        ((2, 5, 5), r"x must be \(N, C, H, W\): expected 4 axes, got 3"),
        ((2, 2, 2, 5), r"with H \(padding included\) at least that of the kernel, 3; got 2, shape \(2, 2, 2, 5\)"),
        ((2, 2, 5, 1), r"with W \(padding included\) at least that of the kernel, 4; got 3, shape \(2, 2, 5, 1\)"),
    ],
)
def test_wrong_shapes_are_named(shape, message, rng):
    with pytest.raises(checks.ShapeError, match=message):
        nn.Conv2d(2, 3, (3, 4), rng, padding=(0, 1)).forward(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kernel": 0}, ValueError, "kernel must be at least 1; got 0"),
        ({"kernel": (2, 3, 4)}, ValueError, "kernel must be an integer or a pair"),
        ({"stride": 0}, ValueError, "stride must be at least 1; got 0"),
        ({"padding": -1}, ValueError, "padding must be at least 0; got -1"),
        ({"c_in": 1.5}, TypeError, "c_in must be an integer; got 1.5"),
        ({"rng": 3}, TypeError, "rng must be a numpy.random.Generator"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message, rng):
    with pytest.raises(error, match=message):
        nn.Conv2d(**{"c_in": 1, "c_out": 2, "kernel": 3, "rng": rng} | arguments)
