"""On a kink any slope between left and right passes, and no other."""

import numpy as np
import pytest
from checking import check


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
    assert not report and report.entries[0].unresolved == 1 and "do not converge" in str(report)
