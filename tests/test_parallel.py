"""Several transformers side by side: the layers, their gradients, and what happens to twins."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import checks, transforms
from stn_ref.gradcheck import gradcheck
from stn_ref.localisation import fc_localisation
from stn_ref.nn import AvgPool2d, Conv2d, Flatten, Linear, Sequential
from stn_ref.several import Parallel, ParallelTransformers, PerView, starting_at
from stn_ref.transformer import SpatialTransformer

IN, OUT = (2, 4, 5), (2, 3)
WINDOW = transforms.get("attention", scale=0.5)


def moved(net, rng):
    """The net, away from its start, where last layers are zero."""
    for param in net.params():
        param.value += 0.05 * rng.standard_normal(param.value.shape).astype(param.value.dtype)
    return net


def one(family, rng, dtype=np.float64):
    f_loc = fc_localisation(IN, family, rng, hidden=(3,), dtype=dtype)
    return moved(SpatialTransformer(f_loc, family, OUT), rng)


def side_by_side(rng, dtype=np.float64):
    return Parallel(one(transforms.get("affine"), rng, dtype), one(WINDOW, rng, dtype))


def steered(rng, dtype=np.float64):
    f_loc = fc_localisation(IN, WINDOW, rng, hidden=(3,), dtype=dtype)
    f_loc = starting_at(f_loc, np.array([[-0.4, 0.1], [0.3, -0.2], [0.1, 0.35]]))
    return moved(ParallelTransformers(f_loc, [WINDOW] * 3, OUT), rng)


BOTH = {"side by side": (side_by_side, 4), "steered": (steered, 6)}  # make, channels of the output for two of the input
both = pytest.mark.parametrize("name", BOTH)


@both
def test_gradients_agree_with_finite_differences(rng, name):
    net = BOTH[name][0](rng)
    report = gradcheck(net, rng.standard_normal((2, *IN)), rng=rng)  # a random cotangent; kinks are told apart
    assert report, report
    assert report.max_rel_error < 1e-7
    assert all(entry.checked for entry in report.entries)


@both
def test_a_backward_that_forgets_a_transformer_is_caught(rng, name):
    net = BOTH[name][0](rng)
    right = net.backward

    def forgets_the_last(gV, needs=True):
        gV = gV.copy()
        gV[:, -2:] = 0
        return right(gV, needs)

    net.backward = forgets_the_last
    assert not gradcheck(net, rng.standard_normal((2, *IN)), rng=rng)


def test_side_by_side_is_each_on_its_own(rng):
    net = side_by_side(rng)
    U = rng.standard_normal((2, *IN))
    gV = rng.standard_normal((2, 4, *OUT))
    a, b = (layer.share() for layer in net.layers)
    assert_array_equal(net.forward(U), np.concatenate([a.forward(U), b.forward(U)], axis=1))
    gU = net.backward(gV)
    together = [param.grad.copy() for param in net.params()]
    net.zero_grad()
    assert_allclose(gU, a.backward(gV[:, :2]) + b.backward(gV[:, 2:]), rtol=1e-14)
    for grad, param in zip(together, net.params(), strict=True):
        assert_array_equal(grad, param.grad)


def test_steered_is_each_piece_of_theta_on_its_own(rng):
    net = steered(rng)
    U = rng.standard_normal((2, *IN))
    theta = net.localisation.share().eval().forward(U)
    V = net.forward(U)
    for k, (theta_k, points, V_k) in enumerate(net.look(U)):
        assert_array_equal(theta_k, theta[:, 2 * k : 2 * k + 2])
        assert_array_equal(V_k, V[:, 2 * k : 2 * k + 2])
        middle = ((theta_k + 1) * (5, 4) - 1) / 2  # of the window, in pixels: by hand
        assert_allclose(points.mean((1, 2)), middle, rtol=1e-12)
    net.backward(np.zeros_like(V))  # look() has kept nothing, and left alone what forward kept


def test_shared_parameters_collect_the_gradient_of_both_uses(rng):
    f = one(WINDOW, rng)
    U, gV = rng.standard_normal((2, *IN)), rng.standard_normal((2, 4, *OUT))
    net = Parallel(f, f.share())
    assert len(list(net.params())) == len(list(f.params()))
    net.forward(U)
    gU = net.backward(gV)
    shared = [param.grad.copy() for param in f.params()]
    f.zero_grad()
    f.forward(U)
    assert_allclose(gU, f.backward(gV[:, :2] + gV[:, 2:]), rtol=1e-12)
    for grad, param in zip(shared, f.params(), strict=True):
        assert_allclose(grad, param.grad, rtol=1e-12, atol=1e-14)
    with pytest.raises(checks.UsageError, match="share"):
        Parallel(f, f).forward(U)
    assert f.forward(U) is not None  # the failure left nothing behind


@both
def test_a_twin_has_the_parameters_and_a_memory_of_its_own(rng, name):
    net = BOTH[name][0](rng)
    twin = net.share()
    U = rng.standard_normal((2, *IN))
    V = net.forward(U)
    assert_array_equal(twin.forward(2 * U).shape, V.shape)
    twin.backward(V)
    net.backward(V)
    assert [id(param) for param in net.params()] == [id(param) for param in twin.params()]
    with pytest.raises(checks.UsageError):
        twin.backward(V)


@both
def test_a_gradient_that_nobody_needs_is_none_and_changes_no_other(rng, name):
    net = BOTH[name][0](rng)
    U, gV = rng.standard_normal((2, *IN)), rng.standard_normal((2, BOTH[name][1], *OUT))
    net.forward(U)
    net.backward(gV)
    wanted = [param.grad.copy() for param in net.params()]
    net.zero_grad()
    net.forward(U)
    assert net.backward(gV, needs=False) is None
    for grad, param in zip(wanted, net.params(), strict=True):
        assert_array_equal(grad, param.grad)


@both
def test_float32_stays_float32_and_an_empty_batch_is_empty(rng, name):
    make, channels = BOTH[name]
    net = make(rng, np.float32)
    for N in (3, 0):
        V = net.forward(rng.standard_normal((N, *IN)).astype(np.float32))
        gU = net.backward(V)
        assert V.shape == (N, channels, *OUT) and gU.shape == (N, *IN)
        assert V.dtype == gU.dtype == np.float32


def test_vectors_stand_side_by_side_too(rng):
    net = Parallel(Sequential(Flatten(), Linear(40, 2, rng)), Sequential(Flatten(), Linear(40, 3, rng)))
    assert net.forward(rng.standard_normal((4, *IN)).astype(np.float32)).shape == (4, 5)


def test_identical_transformers_stay_twins_where_what_follows_treats_them_alike(rng):
    """Gradients of the two halves of the last layer are equal at equal biases, and not at different ones."""
    U, gV = rng.standard_normal((2, *IN)), rng.standard_normal((2, 2, *OUT))
    for thetas, alike in (([[0.1, 0.2], [0.1, 0.2]], True), ([[-0.3, 0.2], [0.3, 0.2]], False)):
        f_loc = starting_at(fc_localisation(IN, WINDOW, rng, hidden=(3,), dtype=np.float64), np.array(thetas))
        net = ParallelTransformers(f_loc, [WINDOW] * 2, OUT)
        net.forward(U)
        net.backward(np.concatenate([gV, gV], axis=1))
        first, second = np.split(f_loc.layers[-1].b.grad, 2)
        assert (abs(first - second).max() < 1e-14) == alike


def test_starting_at_changes_the_last_layer_only(rng):
    f_loc = fc_localisation(IN, WINDOW, rng, hidden=(3,), lr_scale=0.1)
    thetas = np.array([[-0.5, 0.0], [0.5, 0.25]])
    begun = starting_at(f_loc, thetas)
    assert_array_equal(begun.forward(rng.standard_normal((2, *IN)).astype(np.float32)), [[-0.5, 0.0, 0.5, 0.25]] * 2)
    assert begun.layers[:-1] == f_loc.layers[:-1]
    assert {(param.value.dtype.name, param.lr_scale) for param in begun.params()} == {("float32", 0.1)}


def test_what_does_not_fit_is_said(rng):
    f_loc = fc_localisation(IN, WINDOW, rng)
    U = np.zeros((3, *IN), np.float32)
    with pytest.raises(TypeError, match="layers must be Layers; got list"):
        Parallel([f_loc])
    with pytest.raises(ValueError, match="layers must be at least one; got none"):
        Parallel()
    with pytest.raises(
        checks.ShapeError, match=r"equal but for C_k; got \(3, 2, 4, 5\) of layer 0 and .*\(3, 2, 2, 2\)"
    ):
        Parallel(Conv2d(2, 2, 1, rng), AvgPool2d(2)).forward(U)
    with pytest.raises(TypeError, match="localisation must be a Layer; got 'f'"):
        ParallelTransformers("f", [WINDOW])
    with pytest.raises(TypeError, match="sampler must be a Layer"):
        ParallelTransformers(f_loc, [WINDOW], sampler="bicubic")
    with pytest.raises(TypeError, match="transform must be a Transform"):
        ParallelTransformers(f_loc, ["attention"])
    with pytest.raises(ValueError, match="transforms must be at least one; got none"):
        ParallelTransformers(f_loc, [])
    net = ParallelTransformers(f_loc, [WINDOW] * 2, OUT)
    with pytest.raises(checks.ShapeError, match="axis 1 is 2, expected K=4 from the transforms together"):
        net.forward(U)
    with pytest.raises(checks.ShapeError, match=r"U must be \(N, C, H, W\)"):
        net.forward(U[0])
    with pytest.raises(checks.ShapeError, match=r"thetas must be \(M, K\)"):
        starting_at(f_loc, np.zeros(4))
    with pytest.raises(TypeError, match="ends in a Linear"):
        starting_at(Sequential(), np.zeros((2, 2)))


def description(rng, dtype=np.float64):
    return Sequential(Conv2d(2, 3, 2, rng, dtype=dtype), Flatten(), Linear(18, 3, rng, dtype=dtype))


def test_a_net_per_view_is_the_same_net_on_each(rng):
    views = [rng.standard_normal((2, 2, 3, 4)) for _ in range(3)]
    net = description(rng)
    each = PerView(net.share(), 3)
    found = each.forward(np.concatenate(views, axis=1))
    net.eval()
    assert_allclose(found, np.concatenate([net.forward(view) for view in views], axis=1), rtol=1e-12)
    report = gradcheck(PerView(net.train(), 3), np.concatenate(views, axis=1), rng=rng)
    assert report and report.max_rel_error < 1e-7
    assert each.backward(found, needs=False) is None
    with pytest.raises(checks.ShapeError, match="with M=3: axis 1 is 4, no multiple"):
        each.forward(np.zeros((2, 4, 3, 4)))
    with pytest.raises(TypeError, match="net must be a Layer"):
        PerView([net], 2)
    with pytest.raises(ValueError, match="views must be at least 1; got 0"):
        PerView(net, 0)
