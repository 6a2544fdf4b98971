"""What well-known code gets wrong about thin-plate splines; see tutorials/errata.md."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from stn_ref import transforms
from stn_ref.transforms.tps import ThinPlateSpline


def test_isnan_of_log_0_is_false_so_a_spline_that_asks_for_it_is_affine(rng):
    """log 0 is -inf. where(isnan(log r^2), r^2 log r^2, 0) is 0 for every r >= 0: nothing is left that bends."""
    with np.errstate(divide="ignore"):
        log_r2 = np.log(np.append(rng.uniform(0, 4, 100), 0))
    assert log_r2[-1] == -np.inf
    assert not np.isnan(log_r2).any()
    spline = ThinPlateSpline()
    theta = np.array([spline.identity]) + rng.normal(0, 0.1, (1, 32))
    xy = rng.uniform(-1, 1, (50, 2))
    A, w = spline.weights(theta)
    affine = transforms.get("affine").apply(A.reshape(1, 6), xy)[0]
    r2 = ((xy[:, None] - spline.control_points) ** 2).sum(-1)

    def spline_of(phi):
        return affine + phi @ w[0]

    assert_allclose(spline_of(r2 * np.log(r2)), spline.apply(theta, xy)[0], atol=1e-12)  # the right kernel
    asked = np.where(np.isnan(np.log(r2)), r2 * np.log(r2), 0)
    assert np.array_equal(spline_of(asked), affine)
    assert np.abs(spline.apply(theta, xy)[0] - affine).max() > 0.1  # what is lost


def bending_energy(centres, w, radius):
    """The integral of f_xx^2 + 2 f_xy^2 + f_yy^2 over a disc, for f = sum_j w_j phi(|x - c_j|), phi = r^2 log r^2.

    The second derivatives of phi are 2 (log r^2 + 1) I + 4 (x - c) (x - c)^T / r^2. Midpoint rule in (log r, angle).
    """
    s, a = np.meshgrid(np.linspace(-6, math.log(radius), 600), (np.arange(240) + 0.5) * math.pi / 120, indexing="ij")
    s = s[:-1] + np.diff(s, axis=0) / 2
    xy = np.exp(s)[..., None] * np.stack([np.cos(a[1:]), np.sin(a[1:])], -1)
    d = xy[..., None, :] - centres
    r2 = (d**2).sum(-1)
    diagonal = 2 * (np.log(r2) + 1)
    f_xx, f_yy = ((diagonal + 4 * d[..., k] ** 2 / r2) @ w for k in (0, 1))
    f_xy = (4 * d[..., 0] * d[..., 1] / r2) @ w
    area = np.exp(2 * s) * (math.log(radius) + 6) / 599 * math.pi / 120
    return ((f_xx**2 + 2 * f_xy**2 + f_yy**2).sum(-1) * area).sum()


def test_a_spline_with_k_from_source_to_destination_meets_its_points_but_bends_without_bound(rng):
    """Centres d_j, K[i,j] = phi(|s_i - d_j|), and side conditions on s: sum w = 0 and sum w_j s_j = 0.

    It interpolates, by its equations. But far away f is -p . grad phi with p = sum w_j d_j, which is not 0, and its
    second derivatives squared are 32 |p|^2 / r^2: each doubling of the radius adds 64 pi log 2 |p|^2, without end.
    """
    source = np.array([(-1, -1), (1, -1), (-1, 1), (1, 1), (0.1, -0.2)], float)
    destination = source + rng.normal(0, 0.2, (5, 2))
    one = np.ones((5, 1))

    def phi(a, b):
        r2 = ((a[:, None] - b) ** 2).sum(-1)
        return r2 * np.log(np.maximum(r2, 1e-300))

    P = np.hstack([one, source])
    system = np.block([[phi(source, destination), P], [P.T, np.zeros((3, 3))]])
    solution = np.linalg.solve(system, np.vstack([destination, np.zeros((3, 2))]))
    w = solution[:5]
    xy = source + 1e-9  # not exactly there, where it is an equation of the system
    assert_allclose(phi(xy, destination) @ w + np.hstack([one, xy]) @ solution[5:], destination, atol=1e-7)

    p = w.T @ destination
    assert (np.abs(p).max(axis=1) > 0.01).all()
    growth = bending_energy(destination, w, 2e3) - bending_energy(destination, w, 1e3)
    assert growth == pytest.approx(64 * math.pi * math.log(2) * (p**2).sum(), rel=0.005)

    spline = ThinPlateSpline(source)
    theta = destination.reshape(1, 10)
    assert_allclose(spline.apply(theta, source)[0], destination, atol=1e-13)
    least, least_w = spline.bending_energy(theta).item(), spline.weights(theta)[1][0]
    assert_allclose(least_w.T @ source, 0, atol=1e-13)  # p = 0
    assert bending_energy(source, least_w, 1e3) == pytest.approx(least, rel=1e-3)  # and all of it is near
    assert bending_energy(destination, w, 1e3) > 2 * least
