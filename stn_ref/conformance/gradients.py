"""The gradient of every layer and transform, compared with finite differences: the table of `stn-ref gradcheck`.

Shapes are small and not square, and different axes have different sizes; everything is float64. In a case "on kinks"
every value lies where the slope jumps: there a gradient must lie between the slopes to its left and right.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from stn_ref import checks, grid, kernel_sampler, kernels, nn, sampler, transforms
from stn_ref.gradcheck import GradReport, gradcheck
from stn_ref.localisation import conv_localisation, fc_localisation
from stn_ref.transformer import SpatialTransformer


def _loss_pair(loss: type, target: np.ndarray) -> tuple[Callable, Callable]:
    """Return a loss as a pair of functions of the scores."""

    def forward(scores):
        return np.asarray(loss().forward(scores, target))

    def backward(scores, gloss):
        use = loss()
        use.forward(scores, target)
        return gloss * use.backward()

    return forward, backward


def _small_transformer(family: str, rng: np.random.Generator) -> SpatialTransformer:
    """Return a transformer for 4 x 5 images with 2 channels; it is not the identity, so its points are off kinks."""
    transform = transforms.get(family)
    localisation = fc_localisation((2, 4, 5), transform, rng, hidden=(4,), dtype=np.float64)
    last = localisation[len(localisation) - 1]
    last.W.value[...] = 0.05 * rng.standard_normal(last.W.value.shape)
    last.b.value += 0.1 * rng.standard_normal(last.b.value.shape)
    return SpatialTransformer(localisation, transform, out_size=(3, 6))


def cases(seed: int = 0) -> dict[str, tuple]:
    """Return name -> (layer or pair, inputs)."""
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal
    image = normal((2, 3, 6, 7))
    steps = rng.integers(-1, 2, (2, 3, 4)).astype(float)  # a third of them zeros: kinks of ReLU
    levels = rng.integers(0, 2, (2, 3, 6, 8)).astype(float)  # ties in most windows: kinks of max-pooling
    f64 = {"dtype": np.float64}
    dice = np.random.default_rng([seed, 2])  # for dropout alone, so that a new case does not change what drops
    table = {
        "Linear": (nn.Linear(5, 4, rng, **f64), [normal((3, 5))]),
        "Conv2d": (nn.Conv2d(3, 4, 3, rng, **f64), [image]),
        "Conv2d stride 2, padding 1": (nn.Conv2d(3, 4, (3, 2), rng, stride=2, padding=1, **f64), [image]),
        "MaxPool2d": (nn.MaxPool2d(2), [normal((2, 3, 6, 8))]),
        "MaxPool2d 3, stride 2": (nn.MaxPool2d(3, stride=2), [image]),
        "MaxPool2d on kinks": (nn.MaxPool2d(2), [levels]),
        "AvgPool2d": (nn.AvgPool2d(2), [normal((2, 3, 6, 8))]),
        "ReLU": (nn.ReLU(), [normal((2, 3, 4))]),
        "ReLU on kinks": (nn.ReLU(), [steps]),
        "Tanh": (nn.Tanh(), [normal((2, 3, 4))]),
        "Sigmoid": (nn.Sigmoid(), [normal((2, 3, 4))]),
        "Flatten": (nn.Flatten(), [image]),
        "Dropout": (nn.Dropout(0.5, dice), [normal((4, 5))]),
        "Dropout2d": (nn.Dropout2d(0.5, dice), [image]),
        "SoftmaxCrossEntropy": (_loss_pair(nn.SoftmaxCrossEntropy, rng.integers(0, 4, 3)), [normal((3, 4))]),
        "MeanSquaredError": (_loss_pair(nn.MeanSquaredError, normal((3, 4))), [normal((3, 4))]),
    }
    return table | _samplers(rng) | _transforms(rng)


def _samplers(rng: np.random.Generator) -> dict[str, tuple]:
    """Return the cases of sampler.py and kernel_sampler.py."""
    table = {}
    U, points = rng.standard_normal((2, 3, 3, 4)), rng.uniform(-2, 5, (2, 4, 5, 2))
    pixels = np.stack(np.meshgrid(np.arange(-1.0, 5), np.arange(-1.0, 4)), axis=-1)[None].repeat(2, 0)
    for backend in kernels.BACKENDS:
        table[f"Sampler {backend}"] = (sampler.Sampler(backend=backend), [U, points])
        table[f"Sampler {backend} on kinks"] = (sampler.Sampler(backend=backend), [U, pixels])
    for mode in sampler.MODES:
        for padding in sampler.PIXEL_PADDINGS:
            layer = sampler.Sampler(mode=mode, padding=padding)
            table[f"Sampler {mode}, {padding}"] = (layer, [U, points])
            if mode == "bilinear":
                table[f"Sampler {mode}, {padding} on kinks"] = (layer, [U, pixels])
    for kink in ("left", "central"):
        table[f"Sampler kink {kink} on kinks"] = (sampler.Sampler(kink=kink), [U, pixels])
    for align_corners in (False, True):
        options = {"align_corners": align_corners}
        pair = partial(sampler.grid_sample, **options), partial(sampler.grid_sample_backward, **options)
        inputs = [U, rng.uniform(-1.3, 1.3, (2, 4, 5, 2))]
        table[f"grid_sample, align_corners={align_corners}"] = (pair, inputs)
    f64 = {"dtype": np.float64}
    for kernel in kernel_sampler.KERNELS:
        layer = kernel_sampler.KernelSampler((1.7, 1.3), kernel=kernel, **f64)
        table[f"KernelSampler {kernel}"] = (layer, [U, points])
    table["KernelSampler tent on kinks"] = (kernel_sampler.KernelSampler((2.0, 1.0), **f64), [U, pixels])
    shrunk = 2.2 * np.stack(np.meshgrid(np.arange(4.0), np.arange(3.0)), axis=-1) + rng.uniform(-0.3, 0.3, (2, 3, 4, 2))
    inputs = [rng.standard_normal((2, 2, 6, 9)), shrunk]
    table["AntialiasedSampler"] = (kernel_sampler.AntialiasedSampler(padding="border"), inputs)
    return table


def _transforms(rng: np.random.Generator) -> dict[str, tuple]:
    """Return the cases of transforms/, grid.py, localisation.py and transformer.py."""
    table, normal = {}, rng.standard_normal
    for align_corners in (False, True):
        options = {"size": (2, 3, 4, 5), "align_corners": align_corners}
        backward = partial(grid.affine_grid_backward, **options)
        pair = partial(grid.affine_grid, **options), lambda theta, ggrid, backward=backward: backward(ggrid)
        table[f"affine_grid, align_corners={align_corners}"] = (pair, [normal((2, 2, 3))])
    f_loc = conv_localisation((1, 28, 30), transforms.get("affine"), rng, filters=3, hidden=8, dtype=np.float64)
    for param in f_loc.params():  # small weights and biases of 1, so that no ReLU is 0 for every image
        param.value *= 0.3
        param.value += 0.03 * normal(param.value.shape) + (param.value.ndim == 1)
    table["conv_localisation affine"] = (f_loc, [normal((2, 1, 28, 30))])
    for family in transforms.FAMILIES:
        transform = transforms.get(family)
        theta = transform.identity + 0.1 * normal((2, transform.K))  # near the identity no point is near the horizon
        table[f"GridGenerator {family}"] = (grid.GridGenerator(transform, (4, 5)), [theta])
        landmarks = [theta, rng.uniform(-1, 1, (2, 5, 2))]
        table[f"apply {family}"] = ((transform.apply, transform.apply_backward), landmarks)
        table[f"SpatialTransformer {family}"] = (_small_transformer(family, rng), [normal((2, 2, 4, 5))])
    pair = transforms.Composition(transforms.get("projective"), transforms.get("affine"))
    theta = pair.identity + 0.1 * normal((2, pair.K))
    landmarks = [theta, rng.uniform(-1, 1, (2, 5, 2))]
    table["apply projective after affine"] = ((pair.apply, pair.apply_backward), landmarks)
    return table


def check_all(seed: int = 0) -> dict[str, GradReport]:
    """Return name -> GradReport for every case."""
    checks.integer("seed", seed)
    rng = np.random.default_rng([seed, 1])
    return {name: gradcheck(subject, *inputs, rng=rng) for name, (subject, inputs) in cases(seed).items()}
