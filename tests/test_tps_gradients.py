"""The gradients of the thin-plate spline and of its bending energy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from splines import each_layout, relative, spline, warps

from stn_ref.transforms import tps
from stn_ref.transforms.tps import ThinPlateSpline


class HalfASlope(ThinPlateSpline):
    """The factor 2 of d(r^2)/dx forgotten."""

    def backward(self, theta, xy, gd, needs=(True, True)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tps, "slope", lambda r2: np.log(r2) + 1)
            return super().backward(theta, xy, gd, needs)


class XAndYSwapped(ThinPlateSpline):
    def backward(self, theta, xy, gd, needs=(True, True)):
        return super().backward(theta, xy, gd[..., ::-1], needs)


def errors(T, rng, M=2):
    """Relative errors of gtheta and gxy against central differences, every value of both."""
    theta, xy, gd = warps(T, rng), rng.uniform(-1.3, 1.3, (M, 3, 5, 2)), rng.standard_normal((2, 3, 5, 2))
    gtheta, gxy = T.backward(theta, xy, gd)
    assert gtheta.shape == theta.shape and gxy.shape == gd.shape
    n_theta, n_xy = np.zeros_like(gtheta), np.zeros_like(gxy)
    for k in range(T.K):
        step = np.eye(T.K)[k]  # d is linear in theta: a large step is exact
        difference = T.displacement(theta + step, xy) - T.displacement(theta - step, xy)
        n_theta[:, k] = (gd * difference).sum(axis=(1, 2, 3)) / 2
    for axis in range(2):
        step = 1e-5 * np.eye(2)[axis]
        difference = T.displacement(theta, xy + step) - T.displacement(theta, xy - step)
        n_xy[..., axis] = (gd * difference).sum(axis=-1) / 2e-5
    return relative(gtheta, n_theta), relative(gxy, n_xy)


@each_layout
@pytest.mark.parametrize("M", (1, 2))
@pytest.mark.parametrize("regularisation", (0.0, 0.2))
def test_gradients_agree_with_finite_differences(rng, layout, M, regularisation):
    T = spline(layout, rng, regularisation=regularisation)
    assert max(errors(T, rng, M)) < 1e-8


def test_the_gradient_test_sees_wrong_gradients():
    by_theta, by_xy = errors(HalfASlope(), np.random.default_rng(0))
    assert by_theta < 1e-8 < 1e-2 < by_xy
    assert min(errors(XAndYSwapped(), np.random.default_rng(0))) > 0.1


def test_at_a_control_point_the_gradient_is_the_smooth_one(rng):
    T = ThinPlateSpline()
    theta, xy = warps(T, rng, N=1), T.control_points[None]
    gd = rng.standard_normal(xy.shape)
    _, gxy = T.backward(theta, xy, gd)
    for axis in range(2):
        step = 1e-5 * np.eye(2)[axis]
        difference = T.displacement(theta, xy + step) - T.displacement(theta, xy - step)
        assert_allclose(gxy[..., axis], (gd * difference).sum(-1) / 2e-5, atol=1e-8)


def test_only_the_gradients_that_are_needed_are_computed(rng):
    T = ThinPlateSpline()
    theta, xy, gd = warps(T, rng), rng.uniform(-1, 1, (1, 4, 2)), rng.standard_normal((2, 4, 2))
    gtheta, gxy = T.backward(theta, xy, gd)
    only_theta, only_xy = T.backward(theta, xy, gd, (True, False)), T.backward(theta, xy, gd, (False, True))
    assert only_theta[1] is None and only_xy[0] is None
    assert_array_equal(only_theta[0], gtheta)
    assert_array_equal(only_xy[1], gxy)


@each_layout
@pytest.mark.parametrize("regularisation", (0.0, 0.2))
def test_the_gradient_of_the_bending_energy_agrees_with_finite_differences(rng, layout, regularisation):
    T = spline(layout, rng, regularisation=regularisation)
    theta, genergy = warps(T, rng), rng.standard_normal(2)
    gtheta = T.bending_energy_backward(theta, genergy)
    n = np.zeros_like(theta)
    for k in range(T.K):  # quadratic in theta: any step is exact
        step = np.eye(T.K)[k]
        n[:, k] = genergy * (T.bending_energy(theta + step) - T.bending_energy(theta - step)) / 2
    assert relative(gtheta, n) < 1e-8
    assert relative(gtheta[::-1], n) > 0.1
