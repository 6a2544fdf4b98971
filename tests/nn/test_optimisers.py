import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import checks, nn
from stn_ref.nn import optim
from stn_ref.nn.layer import Param

OPTIMISERS = {
    "sgd": lambda params, lr=0.1: nn.SGD(params, lr),
    "momentum": lambda params, lr=0.1: nn.SGD(params, lr, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda params, lr=0.1: nn.SGD(params, lr, momentum=0.8, nesterov=True, weight_decay=0.02),
    "adam": lambda params, lr=0.1: nn.Adam(params, lr, betas=(0.8, 0.95), weight_decay=0.03),
}
every_optimiser = pytest.mark.parametrize("name", OPTIMISERS)


def make_params(dtype=np.float64):
    rng = np.random.default_rng(3)
    return [Param(rng.standard_normal(shape).astype(dtype)) for shape in ((3, 4), (5,))]


def walk(params, optimiser, steps, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        optimiser.zero_grad()
        for param in params:
            param.grad += rng.standard_normal(param.grad.shape).astype(param.grad.dtype)
        optimiser.step()
    return [param.value.copy() for param in params]


def test_momentum_by_hand():
    w = Param(np.array([1.0]))
    optimiser = nn.SGD([w], 0.5, momentum=0.5, weight_decay=0.25)
    w.grad[...] = 1
    optimiser.step()
    assert w.value[0] == 1 - 0.5 * 1.25  # v = 1 + 0.25 * 1
    optimiser.step()
    assert w.value[0] == 0.375 - 0.5 * (0.5 * 1.25 + 1 + 0.25 * 0.375)


def test_the_first_step_of_adam_is_lr_whatever_the_gradient():
    w = Param(np.zeros(3))
    w.grad[...] = [1e-3, 7, -1e5]
    nn.Adam([w], 0.1, eps=0).step()
    assert_allclose(w.value, [-0.1, -0.1, 0.1], rtol=1e-12)


@every_optimiser
def test_lr_scale_and_decay_of_each_param_are_applied(name):
    plain, scaled = make_params(), make_params()
    for param in scaled:
        param.lr_scale, param.decay = 0.5, False
    a = walk(plain, nn.SGD(plain, 0.1, momentum=0.9), 3)
    b = walk(scaled, nn.SGD(scaled, 0.2, momentum=0.9, weight_decay=0.5), 3)
    for x, y in zip(a, b, strict=True):
        assert_array_equal(x, y)
    params = make_params()
    params[0].lr_scale = 0
    before = params[0].value.copy()
    assert_array_equal(walk(params, OPTIMISERS[name](params), 2)[0], before)


@every_optimiser
def test_a_restored_state_continues_with_the_same_bits(name):
    params = make_params(np.float32)
    optimiser = OPTIMISERS[name](params, nn.CosineRate(0.1, 9))
    walk(params, optimiser, 3)
    state = optimiser.state()
    copies = [Param(param.value.copy()) for param in params]
    twin = OPTIMISERS[name](copies, nn.CosineRate(0.1, 9))
    twin.load_state(state)
    for a, b in zip(walk(params, optimiser, 3, 1), walk(copies, twin, 3, 1), strict=True):
        assert a.dtype == np.float32
        assert_array_equal(a, b)


@every_optimiser
def test_float32_params_are_never_computed_in_float64(name):
    params = make_params(np.float32)
    for param in params:
        param.lr_scale = np.float64(0.5)
    updates = []
    optimiser = OPTIMISERS[name](params, lambda step: np.float64(0.1))
    update = optimiser._update
    optimiser._update = lambda value, g, lr, *arrays: (
        updates.append((g.dtype, type(lr))),
        update(value, g, lr, *arrays),
    )
    walk(params, optimiser, 2)
    assert set(updates) == {(np.dtype(np.float32), float)}


def test_a_state_that_does_not_fit_is_named_and_changes_nothing():
    params = make_params()
    optimiser = nn.SGD(params, 0.1, momentum=0.9)
    walk(params, optimiser, 1)
    state = optimiser.state()
    with pytest.raises(ValueError, match=r"missing \['m\.0', 'm\.1', 'v\.0', 'v\.1'\], unknown \['momentum\.0'"):
        nn.Adam(params).load_state(state)
    with pytest.raises(checks.ShapeError, match=r"state\['momentum\.1'\] must have shape \(5,\); got shape \(4,\)"):
        optimiser.load_state(state | {"momentum.0": state["momentum.0"] * 0, "momentum.1": np.zeros(4)})
    with pytest.raises(TypeError, match=r"state\['momentum\.0'\] must be float64; got float32"):
        optimiser.load_state(state | {"momentum.0": state["momentum.0"].astype(np.float32)})
    assert_array_equal(optimiser.state()["momentum.0"], state["momentum.0"])


def test_converting_params_after_the_optimiser_is_made_is_an_error(rng):
    net = nn.Linear(2, 3, rng)
    optimiser = nn.Adam(net.params())
    net.astype(np.float64)
    with pytest.raises(TypeError, match="converted after the optimiser was made"):
        optimiser.step()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: nn.SGD(p, -1), ValueError, "lr must lie in"),
        (lambda p: nn.SGD(p, 0.1, nesterov=True), ValueError, "nesterov needs a momentum"),
        (lambda p: nn.SGD(p * 2, 0.1), ValueError, "each Param once"),
        (lambda p: nn.SGD([np.zeros(3)], 0.1), TypeError, "params must be Params"),
        (lambda p: nn.Adam(p, betas=(0.9, 1)), ValueError, "betas must lie in"),
    ],
)
def test_wrong_arguments_of_an_optimiser_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make(make_params())


def test_schedules_by_hand():
    step = nn.StepRate(1.0, every=2, factor=0.5)
    assert [step(k) for k in range(5)] == [1, 1, 0.5, 0.5, 0.25]
    cosine = nn.CosineRate(1.0, steps=2, final=0.2)
    assert_allclose([cosine(k) for k in range(4)], [1, 0.6, 0.2, 0.2], rtol=1e-15)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda n: nn.StepRate(0.1, every=n), "every"),
        (lambda n: nn.CosineRate(0.1, steps=n), "steps"),
        (lambda n: nn.WarmUp(nn.StepRate(0.1, every=1), steps=n), "steps"),
    ],
)
def test_a_schedule_over_no_steps_is_an_error_when_it_is_made(make, name):
    make(np.int64(1))
    with pytest.raises(ValueError, match=f"{name} must be at least 1; got 0"):
        make(0)
    with pytest.raises(TypeError, match=rf"{name} must be an integer; got 2\.5"):
        make(2.5)


def test_a_schedule_drives_the_optimiser():
    w = Param(np.zeros(1))
    optimiser = nn.SGD([w], nn.StepRate(1.0, every=1, factor=0.5))
    w.grad[...] = 1
    for expected in (-1, -1.5, -1.75):
        optimiser.step()
        assert w.value[0] == expected


def test_clipping_scales_all_gradients_to_the_joint_length():
    params = [Param(np.zeros(2)), Param(np.zeros(1))]
    params[0].grad[...], params[1].grad[...] = [2, 3], 6
    assert nn.clip_grad_norm(params, 10) == 7
    assert_array_equal(params[0].grad, [2, 3])
    assert nn.clip_grad_norm(iter(params), 3.5) == 7
    assert_allclose(params[0].grad, [1, 1.5], rtol=1e-6)  # the 1e-6 in the quotient
    assert_allclose(params[1].grad, 3, rtol=1e-6)


@pytest.mark.parametrize("optimiser", (nn.SGD, nn.Adam))
def test_a_param_without_axes_is_a_param(optimiser):
    param = Param(np.array(1.0))
    param.grad[...] = 2.0
    optimiser([param], 0.1).step()
    assert param.value.shape == () and param.value < 1


@pytest.mark.parametrize("make", (lambda p: nn.SGD(p, 0.1, momentum=0.9, nesterov=True), lambda p: nn.Adam(p, 0.1)))
def test_a_large_param_in_any_layout_is_updated_like_many_small_ones(make, rng):
    size = 3 * optim.PIECE // 2 + 6
    value, g = rng.standard_normal((2, 2, size // 2)).astype(np.float32)
    whole, columns = Param(value.copy()), Param(np.asfortranarray(value))
    parts = [Param(part.copy()) for part in np.split(value.reshape(-1), 6)]
    optimisers = [make(params) for params in ([whole], [columns], parts)]
    for scale in (1, -2, 3):
        for params, grads in (([whole], [g]), ([columns], [g]), (parts, np.split(g.reshape(-1), 6))):
            for param, grad in zip(params, grads, strict=True):
                param.grad[...] = np.float32(scale) * grad
        for optimiser in optimisers:
            optimiser.step()
    assert_array_equal(whole.value, columns.value)
    assert_array_equal(whole.value.reshape(-1), np.concatenate([part.value for part in parts]))
    assert (whole.value != value).all()
