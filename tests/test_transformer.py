"""Sec. 3.4: localisation, grid and sampler as one layer, and the nets of Table 1."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import checks, coordinates, models, transforms
from stn_ref.kernel_sampler import AntialiasedSampler
from stn_ref.localisation import conv_localisation, fc_localisation
from stn_ref.nn import Layer, Sequential
from stn_ref.sampler import Sampler, grid_sample, grid_sample_backward, sample_backward
from stn_ref.transformer import SpatialTransformer

DTYPES = (np.float32, np.float64)
FAMILIES = sorted(transforms.FAMILIES)


def small(family, rng, *, out_size=None, dtype=np.float64, **options):
    """A transformer of (N, 2, 5, 7) images with weights that are not zero."""
    transform = transforms.get(family)
    f_loc = fc_localisation((2, 5, 7), transform, rng, hidden=(6,), dtype=dtype)
    for param in f_loc.params():
        param.value += 0.05 * rng.standard_normal(param.value.shape).astype(dtype)
    return SpatialTransformer(f_loc, transform, out_size, **options)


class Always(Layer):
    """A localisation net that says the same theta to every image."""

    def __init__(self, theta):
        self.theta = np.array([theta])

    def forward(self, U):
        return self.keep(self.theta.astype(U.dtype).repeat(len(U), 0), U)

    def backward(self, gtheta, needs=True):
        gtheta, (U,) = self.take(gtheta)
        return np.zeros_like(U) if needs else None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("align_corners", (False, True))
@pytest.mark.parametrize("backend", ("cpu", "vectorised", "literal"))
def test_identity_returns_the_input_exactly(rng, dtype, family, align_corners, backend):
    transform = transforms.get(family)
    for H, W in ((1, 1), (5, 7), (16, 11)) + (() if backend == "literal" else ((511, 29),)):
        U = rng.standard_normal((2, 3, H, W)).astype(dtype)
        f_loc = fc_localisation((3, H, W), transform, rng, hidden=(2,), dtype=dtype)
        V = SpatialTransformer(f_loc, transform, align_corners=align_corners, backend=backend).forward(U)
        assert_array_equal(V, U)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("align_corners", (False, True))
@pytest.mark.parametrize("backend", ("cpu", "vectorised"))
def test_identity_returns_the_input_exactly_at_every_size(rng, dtype, align_corners, backend):
    looks = [
        SpatialTransformer(Always(T.identity), T, align_corners=align_corners, backend=backend).eval()
        for T in map(transforms.get, FAMILIES)
    ]
    noise = rng.standard_normal((1, 1, 512, 512)).astype(dtype)
    for n in range(1, 513):  # the families take turns: test_grid.py has the points of each at every size
        for k, (H, W) in enumerate(((n, 1 + n % 3), (1 + n % 3, n))):
            U = noise[:, :, :H, :W]
            for look in looks if n in (28, 60, 64, 127) else (looks[(n + k) % len(looks)],):
                assert (look.forward(U) == U).all(), (look.grid.transform, H, W)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("align_corners", (False, True))
@pytest.mark.parametrize("family", FAMILIES)
def test_at_the_identity_the_gradient_is_the_right_derivative_at_every_pixel(rng, family, align_corners, dtype):
    transform = transforms.get(family)
    H, W = 6, 29
    U, gV = rng.standard_normal((2, 2, 1, H, W)).astype(dtype)
    net = SpatialTransformer(Always(transform.identity), transform, align_corners=align_corners, return_theta=True)
    _, theta = net.forward(U)
    points = net.grid.eval().forward(theta, (H, W))
    sampler = net.sampler.share()
    sampler.forward(U, points)
    _, gpoints = sampler.backward(gV)
    outside = np.pad(U[:, 0], ((0, 0), (0, 1), (0, 1)))  # zero padding, to the right and below
    right, below = outside[:, :H, 1:] - U[:, 0], outside[:, 1:, :W] - U[:, 0]
    rounding = {"rtol": 0, "atol": 32 * np.finfo(dtype).eps}  # one product of numbers below 5
    assert_allclose(gpoints, gV[:, 0, ..., None] * np.stack([right, below], axis=-1), **rounding)
    span = np.array([W - 1, H - 1] if align_corners else [W, H])  # J^T gpoints, the rest of the way to theta
    G = coordinates.target_grid((H, W), align_corners, dtype)[None]
    gtheta, _ = transform.backward(theta, G, gpoints * (span / 2).astype(dtype))
    net.grid.train().forward(theta, (H, W))
    assert_allclose(net.grid.backward(gpoints), gtheta, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_agree_with_finite_differences(rng, family):
    net = small(family, rng, out_size=(4, 6), return_theta=True)
    U = rng.standard_normal((2, 2, 5, 7))
    V, theta = net.forward(U)
    gV, gtheta = rng.standard_normal(V.shape), rng.standard_normal(theta.shape)
    gU = net.backward(gV, gtheta)
    net.eval()

    def loss():
        V, theta = net.forward(U)
        return (gV * V).sum() + (gtheta * theta).sum()

    for at, g in [(U, gU), *((param.value, param.grad) for param in net.params())]:
        v, h = rng.standard_normal(at.shape), 1e-6
        at += h * v
        above = loss()
        at -= 2 * h * v
        below = loss()
        at += h * v
        assert_allclose((g * v).sum(), (above - below) / (2 * h), rtol=2e-7)  # 1e-6: no kink is crossed with this seed


@pytest.mark.parametrize("option", ({"kink": "left"}, {"kink": "central"}, {"mode": "bicubic", "a": -0.5}), ids=str)
def test_the_sampler_inside_has_the_options_of_the_transformer(rng, option):
    T = transforms.get("affine")
    U, gV = rng.standard_normal((2, 2, 2, 5, 7))
    net = SpatialTransformer(Always(T.identity), T, padding_mode="border", backend="vectorised", **option)
    points = net.look(U)[1]  # the pixels: kinks, where the slope of Keys' kernel depends on a
    net.sampler.forward(U, points)
    _, gpoints = net.sampler.backward(gV)
    options = {"padding": "border", "backend": "vectorised"}
    assert_array_equal(gpoints, sample_backward(U, points, gV, **options, **option)[1])
    default = {**options, **option, "kink": "right", "a": -0.75}
    assert (gpoints != sample_backward(U, points, gV, **default)[1]).any()


def test_every_face_of_the_sampler_passes_ties_on(rng):
    U, gV = rng.standard_normal((1, 2, 4, 4)), rng.standard_normal((1, 2, 2, 2))
    T = transforms.get("affine")
    points = np.stack(np.meshgrid([0.5, 2.5], [0.5, 2.5]), -1)[None]  # an output of half the size: all are ties
    grid = coordinates.target_grid((2, 2), False, np.float64)[None]
    wanted = U[:, :, 1::2, 1::2]  # Eq. (4): the pixel to the right and below
    wanted_gU = np.zeros_like(U)
    wanted_gU[:, :, 1::2, 1::2] = gV
    layer = Sampler(mode="nearest", ties="up")
    module = SpatialTransformer(Always(T.identity), T, (2, 2), mode="nearest", ties="up")
    for V in (layer.forward(U, points), grid_sample(U, grid, mode="nearest", ties="up"), module.forward(U)):
        assert_array_equal(V, wanted)
    gradients = grid_sample_backward(U, grid, gV, mode="nearest", ties="up")
    for gU in (layer.backward(gV)[0], gradients[0], module.backward(gV)):
        assert_array_equal(gU, wanted_gU)
    with pytest.raises(ValueError, match="ties must be one of 'even', 'up'; got 'down'"):
        Sampler(mode="nearest", ties="down")


@pytest.mark.parametrize("align_corners", (False, True))
def test_an_output_of_another_size_shows_the_whole_input(rng, align_corners):
    T, U = transforms.get("affine"), rng.standard_normal((2, 2, 5, 7))
    net = SpatialTransformer(Always(T.identity), T, (4, 6), align_corners=align_corners, backend="vectorised")
    G = coordinates.target_grid((4, 6), align_corners, np.float64)[None].repeat(2, 0)
    expected = grid_sample(U, G, align_corners=align_corners, backend="vectorised")
    assert_allclose(net.forward(U), expected, atol=1e-14)
    assert_allclose(net.look(U)[2], expected, atol=1e-14)


def test_without_needs_parameters_get_the_same_gradients_and_the_input_none(rng):
    net, U = small("affine", rng), rng.standard_normal((2, 2, 5, 7))
    gV = rng.standard_normal(U.shape)
    net.forward(U)
    assert net.backward(gV).shape == U.shape
    first = [param.grad.copy() for param in net.params()]
    net.zero_grad()
    net.forward(U)
    assert net.backward(gV, needs=False) is None
    for a, param in zip(first, net.params(), strict=True):
        assert_array_equal(a, param.grad)


def test_twins_share_parameters_and_add_up_their_gradients(rng):
    net = small("attention", rng)
    twin = net.share()
    U = rng.standard_normal((2, 2, 2, 5, 7))
    gV = rng.standard_normal(U.shape)
    for one, u in zip((net, twin), U, strict=True):
        one.forward(u)
    for one, g in zip((net, twin), gV, strict=True):
        one.backward(g)
    together = [param.grad.copy() for param in net.params()]
    assert len(together) == len(list(Sequential(net, twin).params()))
    net.zero_grad()
    for u, g in zip(U, gV, strict=True):
        net.forward(u)
        net.backward(g)
    for a, param in zip(together, net.params(), strict=True):
        assert_allclose(a, param.grad, rtol=1e-14)


def test_float32_stays_float32(rng):
    net = small("affine", rng, dtype=np.float32)
    U = rng.standard_normal((2, 2, 5, 7)).astype(np.float32)
    V = net.forward(U)
    assert V.dtype == np.float32
    assert net.backward(V).dtype == np.float32
    assert {param.grad.dtype for param in net.params()} == {np.dtype(np.float32)}
    with pytest.raises(TypeError, match="x must have the dtype of W, float32; got float64"):
        net.forward(U.astype(np.float64))


def test_a_transformer_misused_says_so(rng):
    net, U = small("affine", rng), rng.standard_normal((2, 2, 5, 7))
    with pytest.raises(checks.UsageError, match="needs a forward in training mode before it"):
        net.backward(U)
    net.forward(U)
    with pytest.raises(checks.UsageError, match=r"use share\(\)"):
        net.forward(U)
    with pytest.raises(checks.ShapeError, match="gy must have the shape of the output of forward"):
        net.backward(U[:1])
    net.backward(U)  # the failed calls lost nothing
    with pytest.raises(checks.UsageError):
        net.backward(U)


@pytest.mark.parametrize(
    "option", ({"mode": "nearest"}, {"padding_mode": "border"}, {"kink": "left"}, {"a": -0.5}), ids=str
)
def test_a_transformer_with_a_sampler_of_its_own_takes_no_options_for_another(rng, option):
    sampler = AntialiasedSampler(backend="vectorised")
    assert small("affine", rng, sampler=sampler).sampler is sampler
    with pytest.raises(ValueError, match="must be left out if a sampler is given, which has its own; got"):
        small("affine", rng, sampler=sampler, **option)


def test_a_forward_that_fails_halfway_leaves_nothing_behind(rng):
    class WrongTheta(Layer):
        def forward(self, x):
            return self.keep(np.zeros((len(x), 5)))

    net, U = SpatialTransformer(WrongTheta(), transforms.get("affine")), rng.standard_normal((2, 2, 5, 7))
    for _ in range(2):  # the second time it is the same error, not "forward was called twice"
        with pytest.raises(checks.ShapeError, match="theta must be"):
            net.forward(U)


def test_in_eval_mode_nothing_is_kept(rng):
    net, U = small("affine", rng).eval(), rng.standard_normal((2, 2, 5, 7))
    assert_array_equal(net.forward(U), net.forward(U))
    with pytest.raises(checks.UsageError):
        net.backward(U)


@pytest.mark.parametrize("size", models.SIZES)
@pytest.mark.parametrize("name", models.MODELS)
def test_every_model_takes_every_canvas(rng, name, size):
    net = models.build(name, size, rng, localisation_lr_scale=0.1)
    scores = net.forward(rng.random((2, 1, size, size), np.float32))
    assert scores.shape == (2, 10) and scores.dtype == np.float32
    net.backward(scores, needs=False)
    assert all(np.isfinite(param.grad).all() for param in net.params())
    transformer = models.transformer_of(net)
    assert (transformer is None) == (name in models.BACKBONES)
    if transformer is not None:
        assert {param.lr_scale for param in transformer.params()} == {0.1}
        last = transformer.localisation[len(transformer.localisation) - 1]
        assert not last.W.value.any() and last.b.value.tolist() == list(np.float32(transformer.grid.transform.identity))


def test_parameters_by_hand(rng):
    count = lambda name, size: sum(p.value.size for p in models.build(name, size, rng).params())  # noqa: E731
    cnn = (32 * 81 + 32) + (64 * 32 * 49 + 64) + (64 * 4 * 10 + 10)
    localisation = (20 * 25 + 20) + (20 * 20 * 25 + 20) + (20 * 20 + 20) + (20 * 6 + 6)
    assert count("cnn", 28) == cnn
    assert count("st-cnn-affine", 28) == cnn + localisation
    assert count("fcn", 28) == 784 * 256 + 256 + 256 * 200 + 200 + 200 * 10 + 10


def test_bad_requests_for_a_model_are_named(rng):
    with pytest.raises(ValueError, match=r"model must be one of 'fcn', 'cnn', .*; got 'vgg'"):
        models.build("vgg", 28, rng)
    with pytest.raises(ValueError, match="size of 'cnn' must be one of 28, 42, 60; got 32"):
        models.build("cnn", 32, rng)
    with pytest.raises(ValueError, match="size of 'cifar10' must be one of 32; got 28"):
        models.build("cifar10", 28, rng)
    with pytest.raises(TypeError, match=r"rng must be a numpy\.random\.Generator"):
        models.build("cnn", 28, 0)
    with pytest.raises(ValueError, match="H, W >= 28"):
        conv_localisation((1, 20, 28), transforms.get("affine"), rng)


@pytest.mark.parity
@pytest.mark.parametrize(("name", "size"), [("st-cnn-affine", 28), ("st-cnn-attention", 42), ("st-fcn-affine", 60)])
def test_a_whole_net_and_its_gradients_agree_with_pytorch(rng, name, size):
    torch = pytest.importorskip("torch")
    from stn_ref.lab.bench.pytorch import twin

    net = models.build(name, size, rng, dtype=np.float64)
    for param in net.params():  # off the identity, whose points are kinks
        param.value += 0.01 * rng.standard_normal(param.value.shape)
    U = rng.random((3, 1, size, size))
    module = twin(net)
    tU = torch.tensor(U, requires_grad=True)
    expected = module(tU)
    gy = rng.standard_normal((3, 10))
    expected.backward(torch.tensor(gy))
    scores = net.forward(U)
    gU = net.backward(gy)
    pairs = [(scores, expected.detach()), (gU, tU.grad)]
    pairs += [(p.grad, q.grad) for p, q in zip(net.params(), module.parameters(), strict=True)]
    for got, wanted in pairs:
        wanted = wanted.numpy()
        assert np.abs(got - wanted).max() <= 1e-9 * np.abs(wanted).max()  # a few thousand terms, some cancel


def test_parts_that_are_no_layers_are_named():
    affine = transforms.get("affine")
    with pytest.raises(TypeError, match="localisation must be a Layer; got None"):
        SpatialTransformer(None, affine)
    with pytest.raises(TypeError, match="sampler must be a Layer; got 'x'"):
        SpatialTransformer(Sequential(), affine, sampler="x")
