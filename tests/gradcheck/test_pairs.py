"""Pairs of functions: what they may do, and what they must not."""

import functools

import numpy as np
import pytest
from checking import SMOOTH, Affine, check, normal

from stn_ref import checks
from stn_ref.gradcheck import gradcheck


def test_options_are_bound_with_partial_and_none_is_not_checked():
    def scaled(U, grid, *, factor):
        return factor * U * grid

    def scaled_backward(U, grid, gV, *, factor):
        return factor * grid * gV, None

    bound = functools.partial(scaled, factor=3.0), functools.partial(scaled_backward, factor=3.0)
    report = gradcheck(bound, normal(2, 3), normal(2, 3), rng=np.random.default_rng(0))
    assert report and [e.name for e in report.entries] == ["U", "grid"]
    assert report.entries[1].method == "none" and "not differentiated" in str(report)


@pytest.mark.parametrize("x", [np.array(3.0), np.zeros((0, 3)), normal(6, 4)[::2].T, normal(3, 4)[::-1]])
def test_any_shape_and_layout(x):
    assert check(*SMOOTH["square"], x)
    assert bool(check(SMOOTH["square"][0], lambda x, gy: 3 * x * gy, x)) == (x.size == 0)


def test_a_python_float_is_an_output():
    assert check(lambda x: float(np.sum(x**2)), lambda x, gy: 2 * x * gy, normal(3))


def test_a_buffer_that_forward_reuses_does_not_mislead():
    y = np.empty((3, 4))
    assert check(lambda x: np.multiply(x, x, out=y), lambda x, gy: 2 * x * gy, normal(3, 4))


def test_inputs_are_never_modified_and_a_function_that_tries_is_named():
    x = normal(3, 4)
    before = x.copy()

    def doubles(x):
        x *= 2
        return x

    report = check(doubles, lambda x, gy: 2 * gy, x)
    assert not report and "forward modifies x in place" in str(report)

    def clips(x, gy):
        gy *= x
        return 2 * gy

    report = check(np.square, clips, x, names=["x"])
    assert not report and "backward modifies gy 0 in place" in str(report)
    assert np.array_equal(x, before)


def test_a_forward_that_is_not_deterministic_is_reported():
    dice = np.random.default_rng(0)
    report = check(lambda x: x * dice.random(x.shape), lambda x, gy: gy, normal(3))
    assert not report and "forward is not deterministic" in str(report)


def test_a_forward_that_gives_nan_is_reported():
    report = check(lambda x: x * np.nan, lambda x, gy: gy, normal(3))
    assert not report and "forward gives nan" in str(report)


def test_a_forward_in_float32_is_reported():
    forward = lambda x: np.tanh(x.astype(np.float32)).astype(np.float64)  # noqa: E731
    report = check(forward, SMOOTH["tanh"][1], normal(3, 4))
    assert not report and "computes in float32 somewhere" in str(report)


@pytest.mark.parametrize(
    ("backward", "error", "match"),
    [
        (lambda a, b, gy: gy, ValueError, r"one gradient \(or None\) for each of the 2 inputs \(a, b\); got 1"),
        (
            lambda a, b, gy: (gy, gy.T),
            checks.ShapeError,
            r"gradient of input 1 \(b\) .* shape of b, \(2, 3\); got .*3, 2",
        ),
        (lambda a, b, gy: (gy.astype(np.float32), gy), TypeError, r"input 0 \(a\) must be float64 like a; got float32"),
    ],
)
def test_what_backward_returns_is_checked(backward, error, match):
    with pytest.raises(error, match=match):
        check(lambda a, b: a + b, backward, normal(2, 3), normal(2, 3))


def test_arguments_are_checked():
    square, x = SMOOTH["square"], normal(3)
    with pytest.raises(TypeError, match=r"input 0 \(x\) must be a float64 .* of float32.*astype\(np.float64\)"):
        check(*square, x.astype(np.float32))
    with pytest.raises(TypeError, match=r"got list"):
        check(*square, [1.0])
    layer = Affine(normal(4, 5), normal(5)).astype(np.float32)
    with pytest.raises(TypeError, match=r"parameter W must be a float64 .*net.astype\(np.float64\)"):
        gradcheck(layer, normal(3, 4), rng=np.random.default_rng(0))
    with pytest.raises(TypeError, match="output 0 is float32"):
        check(lambda x: x.astype(np.float32), square[1], x)
    with pytest.raises(TypeError, match="rng must be a numpy"):
        gradcheck(square, x, rng=0)
    with pytest.raises(TypeError, match="a Layer or a pair"):
        gradcheck(np.tanh, x, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="one name for each of the 1 inputs"):
        check(*square, x, names=["a", "b"])
