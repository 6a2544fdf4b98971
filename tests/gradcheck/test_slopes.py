"""Finite differences of smooth functions, small and large: what they pass and what they catch."""

import functools

import numpy as np
import pytest
from checking import SMOOTH, check, normal, softmax


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


def test_a_transposed_gradient_fails_although_a_cotangent_of_ones_would_pass_it():
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


def test_a_step_outside_the_domain_is_skipped():
    x = np.array([1e-6, 1e-3, 1.0])  # log(x - h) is nan for the first steps
    assert check(np.log, lambda x, gy: gy / x, x).entries[0].checked == 3
    assert not check(np.log, lambda x, gy: gy / x * np.array([1, 1.001, 1]), x)


def test_a_gradient_of_zero_is_compared_with_rounding_not_with_itself():
    def forward(x):
        return softmax(x).sum(axis=1)  # 1, whatever x is

    assert check(forward, lambda x, gy: 1e-17 * x, normal(3, 4))
    assert not check(forward, lambda x, gy: 1e-9 * x, normal(3, 4))


def test_rounding_of_a_large_output_is_reported():
    forward, backward = (lambda x: 1e6 + np.tanh(x)), SMOOTH["tanh"][1]
    report = check(forward, backward, normal(3, 4))
    assert report and "rounding of the outputs hides errors below" in str(report)
    assert not check(forward, lambda x, gy: 1.001 * backward(x, gy), normal(3, 4))


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
