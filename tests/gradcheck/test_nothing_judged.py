"""An array of which nothing can be judged does not pass: rounding, gradients that are not finite, nothing to check."""

import numpy as np
import pytest
from checking import SMOOTH, check, normal, softmax

from stn_ref.gradcheck import gradcheck
from stn_ref.nn.layer import Layer

# Rounding.


@pytest.mark.parametrize("offset", [1e15, 1e16, 1e18])
@pytest.mark.parametrize("factor", [2, 1, 0])
def test_a_gradient_that_rounding_hides_is_not_judged_whether_it_is_right_or_wrong(offset, factor):
    report = check(lambda x: x + offset, lambda x, gy: factor * gy, normal(3, 4))
    entry = report.entries[0]
    assert not report and (entry.checked, entry.unresolved) == (0, 12)
    assert "rounding of the outputs may hide" in str(report) and "nothing was judged" in str(report)


def test_a_gradient_above_rounding_is_judged_and_fails_if_it_is_wrong():
    report = check(lambda x: x + 1e15, lambda x, gy: 1e7 * gy, normal(3, 4))
    assert not report and report.entries[0].checked == 12 and report.max_rel_error > report.tolerance
    report = check(lambda x: x + 1e15, lambda x, gy: np.nan * gy, normal(3, 4))
    assert not report and report.max_rel_error == np.inf


def test_a_kink_that_rounding_hides_is_not_judged():
    report = check(lambda x: np.abs(x) + 1e15, lambda x, gy: 2 * gy, np.zeros(4))
    assert not report and report.entries[0].kinks_judged == 0


@pytest.mark.parametrize("offset", [1e4, 1e6, 1e8])
def test_a_smaller_offset_hides_small_errors_only(offset):
    x, backward = normal(3, 4), SMOOTH["tanh"][1]
    report = check(lambda x: np.tanh(x) + offset, backward, x)
    assert report and report.entries[0].checked > 0
    assert not check(lambda x: np.tanh(x) + offset, lambda x, gy: 1.01 * backward(x, gy), x)


def test_values_beside_larger_ones_are_judged_by_the_largest():
    x = np.array([1e-3, 1.0, 5.0])  # gradients from 1e-30 to 1e4, as before: the array as a whole is resolved
    report = check(lambda x: x**10, lambda x, gy: 10 * x**9 * gy, x)
    assert report and report.entries[0].unresolved == 0


def test_directions_that_rounding_hides_are_not_judged():
    report = check(lambda x: x + 1e15, lambda x, gy: 2 * gy, normal(30, 40))
    assert not report and report.entries[0].directions == 0 and "nothing was judged" in str(report)


def test_a_correct_gradient_of_zero_passes_despite_rounding():
    assert check(lambda x: softmax(x).sum(axis=1), lambda x, gy: 0 * x, normal(3, 4))
    assert check(lambda x: 1e3 * softmax(x).sum(axis=1), lambda x, gy: 0 * x, normal(3, 4))


# Gradients that are not finite.


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_fails_where_differences_are_finite_to_one_side(wrong):
    x = np.array([4.0, 0.0, 1.0])

    def backward(x, gy, at_0):
        return gy * np.where(x == 0, at_0, 0.5 / np.sqrt(np.where(x == 0, 1, x)))

    report = check(np.sqrt, lambda x, gy: backward(x, gy, wrong), x)
    assert not report and f"at (1,), backward gives {abs(wrong)}" in str(report).replace("gives -", "gives ")
    report = check(np.sqrt, lambda x, gy: backward(x, gy, 0), x)
    assert report and report.entries[0].unresolved == 1  # a finite one is not judged


def test_a_gradient_that_is_not_finite_is_not_judged_where_no_difference_is_finite():
    x = np.array([0.0, 1.0, 2.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        report = check(np.log, lambda x, gy: gy / x, x)
        assert report and report.entries[0].unresolved == 1
        assert not check(np.log, lambda x, gy: gy / x, x[:1])
        assert not check(np.log, lambda x, gy: gy / x / (x != 2), x)


def test_a_gradient_that_is_not_finite_fails_on_a_kink_even_if_kinks_are_skipped():
    x = np.array([0.0, 1.0])
    report = check(np.abs, lambda x, gy: np.where(x == 0, np.nan, np.sign(x)) * gy, x, kinks="skip")
    assert not report and "at (0,), backward gives nan" in str(report)


def test_a_nan_behind_a_right_infinity_in_a_large_gradient_is_found():
    x = np.abs(normal(30, 40)) + 0.5
    x[0, 0] = 0

    def backward(x, gy):
        g = gy / x
        g[20, 30] = np.nan
        return g

    with np.errstate(divide="ignore"):
        assert check(np.log, lambda x, gy: gy / x, x)
        report = check(np.log, backward, x)
    assert not report and "at (20, 30), backward gives nan" in str(report)


# Nothing to check.


def test_no_inputs_and_no_parameters_is_an_error():
    with pytest.raises(ValueError, match="at least one input or parameter"):
        check(lambda: np.ones(3), lambda gy: ())


class Stops(Layer):
    def forward(self, x):
        return self.keep(2 * x, x)

    def backward(self, gy, needs=True):
        self.take(gy)
        return None


def test_a_backward_that_differentiates_nothing_fails():
    for report in (
        check(lambda x: x, lambda x, gy: None, normal(3)),
        check(lambda a, b: a * b, lambda a, b, gy: (None, None), normal(3), normal(3)),
        gradcheck(Stops(), normal(2, 3), rng=np.random.default_rng(0)),
    ):
        assert not report and "nothing was differentiated" in str(report)


# float32 on the way.


def in_float32(x):
    return x.astype(np.float32).astype(np.float64)


@pytest.mark.parametrize(
    "x", [normal(3, 4), normal(30, 40), np.array(0.3), np.array([0.0, 1.0, -2.0]), 1e-6 * normal(5)]
)
@pytest.mark.parametrize("tolerance", [1e-7, 1e-4])
def test_an_input_rounded_to_float32_is_reported(x, tolerance):
    report = check(lambda x: in_float32(x) ** 2, lambda x, gy: 2 * x * gy, x, tolerance=tolerance)
    assert not report and "forward rounds" in str(report) and "float32" in str(report)


def test_only_the_input_that_is_rounded_is_named():
    report = check(lambda a, b: in_float32(a) * b, lambda a, b, gy: (b * gy, a * gy), normal(3), normal(3, seed=2))
    assert ["forward rounds a to float32" in p for p in report.problems] == [True]


@pytest.mark.parametrize(
    "forward",
    [
        np.round,
        np.sign,
        lambda x: np.floor(1e5 * x),  # steps between those of float32 and our own
        lambda x: np.floor(1e5 * x) / 1e5 + x,
        lambda x: x + 1e8,
        lambda x: x + 1e15,
        lambda x: (x > 0) * x,
        lambda x: np.ones_like(x),
        lambda x: 1e-200 * x**3,
        lambda x: np.array([x.argmax()], float),
    ],
)
@pytest.mark.parametrize("x", [normal(3, 4), np.arange(12.0), np.array([0.3])])
def test_outputs_in_steps_are_not_mistaken_for_float32(forward, x):
    report = check(forward, lambda x, gy: 0 * x, x)
    assert not any("forward rounds" in problem for problem in report.problems)
