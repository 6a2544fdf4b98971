"""Two transforms one after the other; and points at infinity, which a projective map makes and a composition keeps."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref.transforms import Affine, Attention, Composition, Projective, Rigid, Similarity, Translation


def near_identity(T, rng, N=2, reach=0.1):
    """Random theta; up to 0.1 away, no point of [-1, 1]^2 comes near the horizon."""
    return np.array(T.identity) + rng.uniform(-reach, reach, (N, T.K))


def test_composition_is_the_product_of_the_matrices_and_associative(rng):
    A, P, S = Affine(), Projective(), Similarity(aspect=1.4)
    left, right = Composition(Composition(A, P), S), Composition(A, Composition(P, S))
    a, p, s = (near_identity(T, rng) for T in (A, P, S))
    theta, xy = np.concatenate([a, p, s], axis=1), rng.uniform(-1, 1, (2, 5, 2))
    assert_allclose(left.matrix(theta), A.matrix(a) @ P.matrix(p) @ S.matrix(s), atol=1e-14)
    assert_allclose(left.matrix(theta), right.matrix(theta), atol=1e-14)
    assert_allclose(left.apply(theta, xy), right.apply(theta, xy), atol=1e-14)
    assert_allclose(left.apply(theta, xy), A.apply(a, P.apply(p, S.apply(s, xy))), atol=1e-14)


def test_the_parameters_of_a_composition_name_their_part():
    T = Composition(Affine(), Composition(Rigid(), Rigid()))
    assert T.symbols[6:] == (
        *("inner.outer.alpha", "inner.outer.t_x", "inner.outer.t_y"),
        *("inner.inner.alpha", "inner.inner.t_x", "inner.inner.t_y"),
    )
    assert len(set(T.symbols)) == T.K == 12
    assert T.name == "affine(rigid(rigid))"
    with pytest.raises(TypeError, match=r"inner must be a Transform, .*; got 'affine'"):
        Composition(Affine(), "affine")


def test_a_composition_preserves_what_both_preserve():
    assert Composition(Rigid(), Attention()).preserves == Attention.preserves
    assert Composition(Affine(), Composition(Projective(), Rigid())).preserves == ("straight lines",)


# Infinity.

BEHIND = np.array([[1.1, 0.1, 0.2, -0.3, 0.9, 0.1, 2.0, 1.0]])  # w = 2 x + y + 1
LINE = np.array([[[0.3, 0.2], [-0.5, 0.0], [-1.0, 0.5], [0.1, -0.9], [np.nan, 0.0]]])  # w: 1.8, 0, -0.5, 0.3, NaN


def test_on_the_horizon_and_behind_it_a_point_is_infinite_and_has_no_gradient(rng):
    T, seen = Projective(), [0, 3]
    d = T.displacement(BEHIND, LINE)
    assert np.isfinite(d[0, seen]).all() and (d[0, 1:3] == np.inf).all() and np.isnan(d[0, 4]).all()
    gd = rng.standard_normal(d.shape)
    gtheta, gxy = T.backward(BEHIND, LINE[:, :4], gd[:, :4])
    expected, _ = T.backward(BEHIND, LINE[:, seen], gd[:, seen])
    assert_allclose(gtheta, expected, rtol=1e-14)
    assert not gxy[0, 1:3].any() and gxy[0, seen].all()
    gd[:, 1:3] = np.nan  # whatever is said about a point that is not seen
    assert_array_equal(T.backward(BEHIND, LINE[:, :4], gd[:, :4])[0], gtheta)
    assert not T.apply_backward(BEHIND, LINE[:, :4], gd[:, :4])[1][0, 1:3].any()
    assert np.isnan(T.backward(BEHIND, LINE, gd)[0]).any()  # a NaN point is not hidden


def test_the_horizon_begins_at_one_millionth():
    T, x = Projective(), np.array([[[1.0, 0.0]]])
    for w, seen in ((0.9e-6, False), (1.1e-6, True)):
        theta = np.array([[1.0, 0, 0, 0, 1, 0, w - 1, 0]])
        assert np.isfinite(T.displacement(theta, x)).all() == seen


def test_what_the_inner_map_sends_to_infinity_stays_there_without_a_gradient(rng):
    for outer in (Affine(), Attention(scale=0.5), Projective()):
        T = Composition(outer, Projective())
        theta = np.concatenate([near_identity(outer, rng, 1, 0.05), BEHIND], axis=1)
        xy = LINE[:, :4]
        d, gd = T.displacement(theta, xy), rng.standard_normal((1, 4, 2))
        assert (d[0, 1:3] == np.inf).all() and np.isfinite(d[0, [0, 3]]).all()
        gtheta, gxy = T.backward(theta, xy, gd)
        expected, _ = T.backward(theta, xy[:, [0, 3]], gd[:, [0, 3]])
        assert_allclose(gtheta, expected, rtol=1e-13)
        assert not gxy[0, 1:3].any()


def test_what_the_outer_map_sends_to_infinity_gives_the_inner_no_gradient(rng):
    T = Composition(Projective(), Translation())
    theta = np.concatenate([BEHIND, np.zeros((1, 2))], axis=1)
    xy, gd = LINE[:, :4], rng.standard_normal((1, 4, 2))
    gtheta, gxy = T.backward(theta, xy, gd)
    expected, _ = T.backward(theta, xy[:, [0, 3]], gd[:, [0, 3]])
    assert_allclose(gtheta, expected, rtol=1e-13)
    assert not gxy[0, 1:3].any()


def test_one_infinite_coordinate_is_enough_and_its_sign_is_lost(rng):
    T = Composition(Rigid(), Translation())
    theta = np.array([[0.3, 0, 0, -np.inf, 0.1]])
    xy = rng.uniform(-1, 1, (4, 2))
    assert (T.apply(theta, xy) == np.inf).all()
    gtheta, gxy = T.apply_backward(theta, xy, rng.standard_normal((1, 4, 2)))
    assert not gtheta.any() and not gxy.any()


def test_a_horizon_that_overflows_is_still_no_gradient(rng):
    T, xy = Projective(), np.ones((1, 3, 2), np.float32)
    theta = np.array([[1, 0, 0, 0, 1, 0, -3e38, -3e38]], np.float32)  # w is -inf
    mapped = T.apply(theta, xy)
    gtheta, gxy = T.apply_backward(theta, xy, rng.standard_normal((1, 3, 2)).astype(np.float32))
    assert (mapped == np.inf).all() and not gtheta.any() and not gxy.any()
