"""Finite differences that know about kinks: what they pass, what they catch, and what they say."""

import functools
import json

import numpy as np
import pytest

from stn_ref import checks
from stn_ref.gradcheck import GradcheckError, gradcheck, table
from stn_ref.nn.layer import Layer, Param, Sequential


def check(forward, backward, *inputs, seed=0, **options):
    return gradcheck((forward, backward), *inputs, rng=np.random.default_rng(seed), **options)


def normal(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape)


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_backward(x, gy):
    y = softmax(x)
    return y * (gy - (gy * y).sum(axis=1, keepdims=True))


SMOOTH = {
    "square": (lambda x: x**2, lambda x, gy: 2 * x * gy),
    "cube": (lambda x: x**3, lambda x, gy: 3 * x**2 * gy),
    "tanh": (np.tanh, lambda x, gy: gy * (1 - np.tanh(x) ** 2)),
    "softmax": (softmax, softmax_backward),
    "transpose": (lambda x: x.T.copy(), lambda x, gy: gy.T),
    "constant": (np.ones_like, lambda x, gy: 0 * gy),
}


# Smooth functions.


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_functions_agree_to_1e_11(name):
    report = check(*SMOOTH[name], normal(3, 4))
    assert report
    assert report.entries[0].checked == 12
    assert report.max_rel_error < 1e-11  # rounding at h = 2^-9 is 1e-13


@pytest.mark.parametrize("name", [name for name in SMOOTH if name != "constant"])
@pytest.mark.parametrize(
    "break_it",
    [lambda g: -g, lambda g: g * (1 + 1e-5), lambda g: g + 1e-5 * (np.arange(g.size) == 7).reshape(g.shape)],
    ids=["sign", "factor", "one value"],
)
def test_broken_twins_of_smooth_functions_fail(name, break_it):
    forward, backward = SMOOTH[name]
    assert not check(forward, lambda x, gy: break_it(backward(x, gy)), normal(3, 4))


def test_a_transposed_gradient_fails_though_ones_as_cotangent_would_pass_it():
    def transposed(x, gy):
        return gy.reshape(x.shape)

    x = normal(3, 4)
    assert np.array_equal(transposed(x, np.ones((4, 3))), np.ones((4, 3)).T)
    assert check(SMOOTH["transpose"][0], transposed, x).max_rel_error > 0.1


@pytest.mark.parametrize("scale", [1e-200, 1e-8, 1e8, 1e200])
def test_outputs_of_any_size_are_compared_relative_to_the_gradient(scale):
    x = normal(3, 4)
    assert check(lambda x: scale * x**3, lambda x, gy: 3 * scale * x**2 * gy, x).max_rel_error < 1e-11
    assert not check(lambda x: scale * x**3, lambda x, gy: 3.00001 * scale * x**2 * gy, x)
    assert not check(lambda x: scale * x**3, lambda x, gy: 0 * gy, x)


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1e4])
def test_inputs_far_from_the_step_are_followed_by_smaller_or_larger_steps(scale):
    x = scale * normal(3, 4)
    assert check(lambda x: np.sin(x / scale), lambda x, gy: np.cos(x / scale) / scale * gy, x)
    assert not check(lambda x: np.sin(x / scale), lambda x, gy: 1.00001 * np.cos(x / scale) / scale * gy, x)


def test_a_step_outside_the_domain_is_passed_over():
    x = np.array([1e-6, 1e-3, 1.0])  # log(x - h) is nan for the first steps
    assert check(np.log, lambda x, gy: gy / x, x).entries[0].checked == 3
    assert not check(np.log, lambda x, gy: gy / x * np.array([1, 1.001, 1]), x)


def test_a_gradient_of_zero_is_compared_with_rounding_not_with_itself():
    def forward(x):
        return softmax(x).sum(axis=1)  # 1, whatever x is

    assert check(forward, lambda x, gy: 1e-17 * x, normal(3, 4))
    assert not check(forward, lambda x, gy: 1e-9 * x, normal(3, 4))


def test_rounding_of_a_large_output_is_said():
    forward, backward = (lambda x: 1e6 + np.tanh(x)), SMOOTH["tanh"][1]
    report = check(forward, backward, normal(3, 4))
    assert report and "rounding of the outputs hides errors below" in str(report)
    assert not check(forward, lambda x, gy: 1.001 * backward(x, gy), normal(3, 4))


# Kinks.


def test_on_a_kink_any_slope_between_left_and_right_passes_and_no_other():
    x = np.array([0.0, 0.5, -0.5])
    for slope in (-1, 0, 0.3, 1):
        report = check(np.abs, lambda x, gy, s=slope: np.where(x == 0, s, np.sign(x)) * gy, x)
        assert report and (report.entries[0].kinks, report.entries[0].kinks_judged) == (1, 1)
    for slope in (-1.001, 1.001, 7):
        report = check(np.abs, lambda x, gy, s=slope: np.where(x == 0, s, np.sign(x)) * gy, x)
        assert not report and report.entries[0].kinks_outside == 1
        assert "at (0,), on a kink" in str(report)


@pytest.mark.parametrize("offset", [0.0, 1.0])
@pytest.mark.parametrize("distance", [1e-12, 1e-9, 1e-5, 1e-3, 7e-3, -1e-9, -1e-5, -7e-3])
def test_near_a_kink_is_not_on_it(distance, offset):
    x = np.array([distance, 0.7])
    report = check(lambda x: np.abs(x) + offset, lambda x, gy: np.sign(x) * gy, x)
    assert report and report.entries[0].kinks == 0 and report.entries[0].checked == 2
    assert report.max_rel_error < 1e-9
    assert not check(lambda x: np.abs(x) + offset, lambda x, gy: np.where(np.abs(x) < 0.1, 0, 1) * gy, x)


def test_curvature_beside_a_kink_is_no_kink():
    x = np.array([0.0, 1e-6, -1e-6, 0.3])  # x < 0: sin(3x); x > 0: exp(x) - 1
    report = check(
        lambda x: np.where(x > 0, np.expm1(x), np.sin(3 * x)),
        lambda x, gy: np.where(x > 0, np.exp(x), 3 * np.cos(3 * x)) * gy,
        x,
    )
    assert report and report.entries[0].kinks == 1 and report.max_rel_error < 1e-8


@pytest.mark.parametrize("distance", [0, 1e-9, 1e-6, -1e-6, 1e-3, 7e-3])
def test_a_kink_of_the_second_derivative_is_none_of_the_function(distance):
    x = np.array([distance, 0.7])  # x |x|, as bicubic sampling on a pixel
    forward, backward = (lambda x: x + x * np.abs(x)), (lambda x, gy: (1 + 2 * np.abs(x)) * gy)
    report = check(forward, backward, x)
    assert report and report.entries[0].checked == 2
    assert not check(forward, lambda x, gy: backward(x, gy) + 2e-6 * gy, x)


def test_a_bias_into_relu_with_exact_zeros_is_judged_by_the_interval():
    a = np.array([0.0, 0.0, -1.0, 2.0, 1e-7, 0.4])  # relu(a + b), two of six on the kink
    forward = lambda b: np.maximum(a + b, 0)  # noqa: E731
    for slope_at_0 in (0, 0.5, 1):
        report = check(forward, lambda b, gy, s=slope_at_0: np.sum(gy * np.where(a == 0, s, a > 0)), np.array(0.0))
        assert report and report.entries[0].kinks == 1
    assert not check(forward, lambda b, gy: np.sum(gy * (a > 1e-6)), np.array(0.0))
    assert not check(forward, lambda b, gy: np.sum(np.abs(gy)) * 1.01, np.array(0.0))


def test_a_tie_in_max_lets_the_gradient_go_to_either():
    x = np.array([[1.0, 1.0, 0.0], [2.0, 0.0, 2.0], [0.0, 0.1, 0.1 + 1e-7]])
    forward = lambda x: x.max(axis=1)  # noqa: E731
    first = np.eye(3)[x.argmax(axis=1)]
    last = np.eye(3)[2 - x[:, ::-1].argmax(axis=1)]
    for share in (first, last, (first + last) / 2):
        report = check(forward, lambda x, gy, s=share: s * gy[:, None], x)
        assert report and report.entries[0].kinks == 4
    assert not check(forward, lambda x, gy: 1.5 * first * gy[:, None], x)


ROW = np.array([0.3, -1.0, 0.8, 0.1, 1.2, -0.4, 0.9, 0.2, -0.6])
POINTS = np.arange(-3.0, 4.0)


def interpolate(theta):
    """Eq. (5) in one dimension; at theta = (1, 0) every point lies on a pixel."""
    return np.interp(theta[0] * POINTS + theta[1], np.arange(-4.0, 5.0), ROW)


def interpolate_backward(theta, gy):
    cell = np.floor(theta[0] * POINTS + theta[1]).astype(int) + 4
    gx = gy * (ROW[cell + 1] - ROW[cell])
    return np.array([gx @ POINTS, gx.sum()])


@pytest.mark.parametrize("seed", range(10))
def test_theta_on_the_identity_grid_is_judged_output_by_output(seed):
    # Its first value moves half of the points to the left: their right slopes are the left slopes of the outputs.
    report = check(interpolate, interpolate_backward, np.array([1.0, 0.0]), seed=seed)
    assert report and report.entries[0].kinks == 2
    assert not check(interpolate, lambda t, gy: interpolate_backward(t, gy) + 50, np.array([1.0, 0.0]), seed=seed)


def test_kinks_can_be_skipped_but_then_something_else_must_be_judged():
    forward, wrong = np.abs, lambda x, gy: np.where(x == 0, 7, np.sign(x)) * gy
    report = check(forward, wrong, np.array([0.0, 1.0]), kinks="skip")
    assert report and (report.entries[0].kinks, report.entries[0].kinks_judged) == (1, 0)
    report = check(forward, wrong, np.zeros(2), kinks={"input 0": "skip"}, names=["input 0"])
    assert not report and "nothing was judged" in str(report)
    with pytest.raises(ValueError, match="kinks of x must be one of 'judge', 'skip'"):
        check(forward, wrong, np.zeros(2), kinks="ignore", names=["x"])
    with pytest.raises(ValueError, match="a name in kinks must be one of 'x'"):
        check(forward, wrong, np.zeros(2), kinks={"theta": "skip"}, names=["x"])


def test_a_jump_is_told_from_a_kink_and_the_slopes_beside_it_are_judged():
    x = np.array([0.5, 1.5, 0.2, 0.499999, 2.5000001])
    report = check(np.round, lambda x, gy: 0 * gy, x)
    assert report and report.entries[0].jumps == 2 and "jumps" in str(report)
    assert not check(np.round, lambda x, gy: gy, x)
    assert not check(np.round, lambda x, gy: np.where(np.abs(x - 1.5) < 1e-9, 1.0, 0.0) * gy, x)
    tilted = check(lambda x: np.sign(x) + x**2 + x, lambda x, gy: (2 * x + 1) * gy, np.array([0.0, 1e-7, 0.3]))
    assert tilted and tilted.entries[0].jumps == 1
    assert not check(lambda x: np.sign(x) + x**2 + x, lambda x, gy: (2 * x + 2) * gy, np.array([0.0]))


def test_a_cusp_is_not_judged_and_alone_does_not_pass():
    report = check(lambda x: np.sqrt(np.abs(x)), lambda x, gy: 0 * gy, np.array([0.0]))
    assert not report and report.entries[0].unresolved == 1 and "do not settle" in str(report)


# Large arrays.

A = normal(100, 30, seed=2)


@pytest.mark.parametrize(
    ("f", "slope"), [(np.tanh, lambda z: 1 - np.tanh(z) ** 2), (lambda z: np.maximum(z, 0), lambda z: z > 0)]
)
def test_large_arrays_are_checked_along_directions(f, slope):
    x = normal(100, 100)

    def backward(x, gy):
        return (gy * slope(x @ A)) @ A.T

    report = check(lambda x: f(x @ A), backward, x)
    entry = report.entries[0]
    assert report and (entry.method, entry.directions, entry.checked) == ("directional", 4, 24)
    assert not check(lambda x: f(x @ A), lambda x, gy: (1 + 1e-6) * backward(x, gy), x)

    def one_wrong(x, gy, by):
        g = backward(x, gy)
        g[33, 44] += by
        return g

    # A direction sees one wrong value among 10^4 against the norm of all, 100 times larger than one.
    report = check(lambda x: f(x @ A), functools.partial(one_wrong, by=1e-3), x)
    assert not report and "a larger full_limit" in str(report)
    assert check(lambda x: f(x @ A), functools.partial(one_wrong, by=1e-7), x)


def test_directions_on_kinks_are_left_out_and_values_judged_instead():
    x = np.round(normal(40, 40))  # 4 in 10 are exact zeros: every direction meets a kink
    report = check(lambda x: np.maximum(x, 0), lambda x, gy: gy * (x > 0), x)
    entry = report.entries[0]
    assert report and entry.directions == 0 and entry.directions_on_kinks == 8 and entry.kinks_judged > 0
    report = check(lambda x: np.maximum(x, 0), lambda x, gy: gy * (x > 0), np.zeros((40, 40)), kinks="skip")
    assert not report and "nothing was judged" in str(report)


def test_the_first_nan_of_a_large_gradient_is_found():
    def backward(x, gy):
        g = gy.copy()
        g[17, 3] = np.nan
        return g

    report = check(np.copy, backward, normal(40, 40))
    assert not report and report.entries[0].worst_index == (17, 3) and report.max_rel_error == np.inf
    assert "backward gives nan where finite differences are finite" in str(report)


# Layers.


class Affine(Layer):
    """y = x W + b."""

    def __init__(self, W, b):
        self.W, self.b = Param(W), Param(b)

    def forward(self, x):
        return self.keep(x @ self.W.value + self.b.value, x)

    def backward(self, gy, needs=True):
        gy, (x,) = self.take(gy)
        self.W.grad += x.T @ gy
        self.b.grad += gy.sum(axis=0)
        return gy @ self.W.value.T if needs else None


class Overwrites(Affine):
    def backward(self, gy, needs=True):
        self.zero_grad()
        return super().backward(gy, needs)


class ForgetsTheBatch(Affine):
    def backward(self, gy, needs=True):
        gx = super().backward(gy, needs)
        self.b.grad /= len(gy)
        return gx


class Relu(Layer):
    def forward(self, x):
        return self.keep(np.maximum(x, 0), x > 0)

    def backward(self, gy, needs=True):
        gy, (on,) = self.take(gy)
        return gy * on if needs else None


class Dropout(Layer):
    def __init__(self, rng):
        self.rng = rng

    def forward(self, x):
        mask = (self.rng.random(x.shape) < 0.5) * 2.0 if self.training else np.ones(x.shape)
        return self.keep(x * mask, mask)

    def backward(self, gy, needs=True):
        gy, (mask,) = self.take(gy)
        return gy * mask if needs else None


class ForgetsTheMask(Dropout):
    def backward(self, gy, needs=True):
        gy, _ = self.take(gy)
        return gy


class Product(Layer):
    """Two inputs, two outputs: a * b and a + b."""

    def forward(self, a, b):
        return self.keep(a * b, a, b), a + b

    def backward(self, gproduct, gsum, needs=True):
        gproduct, (a, b) = self.take(gproduct)
        return gproduct * b + gsum, gproduct * a + gsum


def net(kind=Affine, rng=None):
    return Sequential(
        kind(normal(4, 5, seed=3), np.zeros(5)),
        Relu(),
        Dropout(rng or np.random.default_rng(4)),
        kind(normal(5, 2), normal(2)),
    )


def test_a_net_is_checked_with_its_parameters_by_name():
    report = gradcheck(net(), normal(3, 4), rng=np.random.default_rng(0))
    assert report
    assert [(e.name, e.kind, e.shape) for e in report.entries] == [
        ("x", "input", (3, 4)),
        ("layers.0.W", "param", (4, 5)),
        ("layers.0.b", "param", (5,)),
        ("layers.3.W", "param", (5, 2)),
        ("layers.3.b", "param", (2,)),
    ]
    assert report.max_rel_error < 1e-9


def test_a_missing_accumulation_is_said():
    report = gradcheck(net(Overwrites), normal(3, 4), rng=np.random.default_rng(0))
    assert not report and "backward overwrites the gradient of layers.0.W: it must add to it" in str(report)
    assert all(e.passed for e in report.entries)


def test_a_wrong_parameter_gradient_fails_that_entry_only():
    report = gradcheck(ForgetsTheBatch(normal(4, 5), normal(5)), normal(3, 4), rng=np.random.default_rng(0))
    assert [e.passed for e in report.entries] == [True, True, False]


def test_kinks_that_a_net_mixes_afterwards_must_be_skipped():
    x = np.zeros((3, 4))  # with zero biases: every ReLU at 0
    report = gradcheck(net(), x, rng=np.random.default_rng(0))
    assert not report and "kinks='skip'" in str(report)  # its gradient, 0, is right
    report = gradcheck(net(), x, rng=np.random.default_rng(0), kinks={"x": "skip"})
    assert [e.passed for e in report.entries] == [False, True, True, True, True]  # nothing of x was judged
    assert {e.name: e.kinks_judged for e in report.entries}["layers.0.b"] > 0
    x[0] = normal(4)
    assert gradcheck(net(), x, rng=np.random.default_rng(0), kinks={"x": "skip"})


def test_dropout_is_replayed_and_forgetting_the_mask_is_caught():
    assert gradcheck(Dropout(np.random.default_rng(5)), normal(3, 4), rng=np.random.default_rng(0))
    assert not gradcheck(ForgetsTheMask(np.random.default_rng(5)), normal(3, 4), rng=np.random.default_rng(0))
    shared = np.random.default_rng(5)
    assert gradcheck(Dropout(shared), normal(3, 4), rng=shared)


def test_a_layer_is_left_as_it_was():
    rng = np.random.default_rng(4)
    layer, x = net(rng=rng), normal(3, 4)
    layer[0].eval()
    for param in layer.params():
        param.grad += 7
    layer[3].forward(normal(3, 5))
    memory, state = layer[3]._memory, rng.bit_generator.state
    before = [(p.value, p.value.copy(), p.grad, p.grad.copy()) for p in layer.params()]
    x_before = x.copy()
    assert gradcheck(layer, x, rng=np.random.default_rng(0))
    assert layer[3]._memory is memory and rng.bit_generator.state == state
    assert not layer[0].training and layer[3].training
    for param, (value, value_copy, grad, grad_copy) in zip(layer.params(), before, strict=True):
        assert param.value is value and param.grad is grad
        assert np.array_equal(value, value_copy) and np.array_equal(grad, grad_copy)
    assert np.array_equal(x, x_before)


def test_a_layer_is_left_as_it_was_after_an_error():
    class Fails(Affine):
        def backward(self, gy, needs=True):
            super().backward(gy, needs)
            raise RuntimeError("on purpose")

    layer = Fails(normal(4, 5), normal(5)).eval()
    with pytest.raises(RuntimeError, match="on purpose"):
        gradcheck(layer, normal(3, 4), rng=np.random.default_rng(0))
    assert layer._memory is None and not layer.training and not layer.W.grad.any()


def test_tuples_of_inputs_and_outputs():
    report = gradcheck(Product(), normal(3, 4), normal(3, 4, seed=2), rng=np.random.default_rng(0))
    assert report and [e.name for e in report.entries] == ["a", "b"]


# Pairs of functions.


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


def test_a_buffer_that_forward_uses_again_does_not_mislead():
    y = np.empty((3, 4))
    assert check(lambda x: np.multiply(x, x, out=y), lambda x, gy: 2 * x * gy, normal(3, 4))


def test_inputs_are_never_modified_and_who_tries_is_named():
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


def test_a_forward_that_is_not_deterministic_is_said():
    dice = np.random.default_rng(0)
    report = check(lambda x: x * dice.random(x.shape), lambda x, gy: gy, normal(3))
    assert not report and "forward is not deterministic" in str(report)


def test_a_forward_that_gives_nan_is_said():
    report = check(lambda x: x * np.nan, lambda x, gy: gy, normal(3))
    assert not report and "forward gives nan" in str(report)


def test_a_forward_in_float32_is_said():
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


# Reports.


def test_the_same_rng_gives_the_same_report():
    x = normal(30, 30)
    first, again = (check(*SMOOTH["tanh"], x, seed=3) for _ in range(2))
    assert first == again
    assert first != check(*SMOOTH["tanh"], x, seed=4)


def test_a_failure_says_where_what_and_how():
    report = check(np.tanh, lambda x, gy: gy * (1 - np.tanh(x) ** 2) + (x == x[1, 2]), normal(3, 4), names=["x"])
    entry = report.entries[0]
    assert entry.worst_index == (1, 2) and entry.analytic == pytest.approx(entry.numeric + 1)
    lines = str(report).splitlines()
    assert lines[0] == "gradcheck: FAIL, backward against finite differences, tolerance 1e-07"
    assert lines[2].startswith("x ") and lines[2].endswith("FAIL")
    assert lines[3].startswith("    at (1, 2): backward gives ")
    with pytest.raises(GradcheckError, match="FAIL"):
        report.raise_for_failure()


def test_a_report_that_passed_is_true_and_returned():
    report = check(*SMOOTH["square"], normal(3))
    assert report.raise_for_failure() is report and report.passed and bool(report)


def test_reports_become_json_with_nan_as_a_string():
    report = check(np.copy, lambda x, gy: gy * np.nan, normal(2, 3), names=["x"])
    entry = json.loads(json.dumps(report.to_dict(), allow_nan=False))["entries"][0]
    assert (entry["analytic"], entry["max_rel_error"], entry["shape"]) == ("nan", "inf", [2, 3])


def test_the_table_has_a_line_for_each_array():
    reports = {
        "square": check(*SMOOTH["square"], normal(3), names=["x"]),
        "abs": check(np.abs, lambda x, gy: 2 * gy, np.array([0.0]), names=["x"]),
        "affine": gradcheck(Overwrites(normal(4, 5), normal(5)), normal(3, 4), rng=np.random.default_rng(0)),
    }
    lines = table(reports).splitlines()
    assert [line.split()[0] for line in lines] == [
        "layer",
        "square",
        "abs",
        "affine",
        "affine",
        "affine",
        "affine",
        "affine",
    ]
    assert lines[1].endswith("pass") and lines[2].endswith("1 (1 judged, 1 outside)  FAIL")
    assert "overwrites" in lines[-1]
