"""The nets of Table 1 (FCN, CNN, and each with a spatial transformer in front), and two nets published by others.

Reads: transformer.py, localisation.py, nn/. Read next: training/.

The sources give ranges (128-256 units, 32-64 filters). This module uses 256 and 200 units, 32 and 64 filters. On the
larger canvases (42 and 60 pixels) the transformer samples 56 x 56 points, and average pooling 2 x 2 reduces them. So
the view has 28 x 28 pixels, the size of a digit, without the aliasing of a warp that reduces the image.

The two published nets have the same structure: a transformer and a small convolutional net, each with two convolutions
and two fully-connected layers; the convolutional net has dropout. Their final log-softmax is part of our loss.
"""

import os
import zipfile
import zlib

import numpy as np

from stn_ref import checks, transforms
from stn_ref.localisation import conv_localisation, fc_localisation, regression_layer, scaled
from stn_ref.nn import AvgPool2d, Conv2d, Dropout, Dropout2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential
from stn_ref.transformer import SpatialTransformer

SIZES = (28, 42, 60)
VIEW = 28  # side in pixels of the image that the classifier gets from the transformer
CLASSES = 10
CIFAR10_CLASSIFIER = ((16, 5), (32, 5), 1024)  # (filters, kernel) twice, and the hidden width


def fcn(
    size: int,
    rng: np.random.Generator,
    *,
    channels: int = 1,
    classes: int = CLASSES,
    dropout: float = 0.0,
    dtype=np.float32,
) -> Sequential:
    """Return the fully-connected net: channels size^2 -> 256 -> 200 -> classes, ReLU between.

    Args:
        size: side in pixels of the input (N, channels, size, size).
        rng: generator for the weights, and then for dropout.
        channels: number of input channels.
        classes: number of scores for each image.
        dropout: probability of dropping a unit of the two hidden layers; 0: no dropout layers.
        dtype: dtype of the weights.
    """
    return Sequential(
        Flatten(),
        Linear(channels * size * size, 256, rng, dtype=dtype),
        ReLU(),
        *_dropping(dropout, rng),
        Linear(256, 200, rng, dtype=dtype),
        ReLU(),
        *_dropping(dropout, rng),
        Linear(200, classes, rng, dtype=dtype),
    )


def _dropping(p: float, rng: np.random.Generator, kind: type[Dropout] = Dropout) -> list[Layer]:
    return [kind(p, rng)] if p else []


def cnn(
    size: int,
    rng: np.random.Generator,
    *,
    filters: tuple[int, int] = (32, 64),
    channels: int = 1,
    classes: int = CLASSES,
    dropout: float = 0.0,
    dtype=np.float32,
) -> Sequential:
    """Return the convolutional net: conv 9x9, max 2x2, conv 7x7, max 2x2, FC; ReLU after each pooling, no padding.

    Args:
        filters: numbers of filters of the two convolutions.
        dropout: probability of dropping a feature before the fully-connected layer; 0: no dropout layer.
        size, rng, channels, classes, dtype: as of `fcn`.
    """
    first, second = filters
    left = ((size - 8) // 2 - 6) // 2
    return Sequential(
        Conv2d(channels, first, 9, rng, dtype=dtype),
        MaxPool2d(2),
        ReLU(),
        Conv2d(first, second, 7, rng, dtype=dtype),
        MaxPool2d(2),
        ReLU(),
        Flatten(),
        *_dropping(dropout, rng),
        Linear(second * left * left, classes, rng, dtype=dtype),
    )


def tutorial(
    rng: np.random.Generator, *, dropout: float = 0.5, localisation_lr_scale: float = 1.0, dtype=np.float32
) -> Sequential:
    """Return the net of PyTorch's tutorial, (N, 1, 28, 28) -> scores (N, 10): 27,360 parameters.

    Args:
        rng: generator for the weights, and then for dropout.
        dropout: probability of dropping a channel after the second convolution, and a unit of the hidden layer.
        localisation_lr_scale: factor on the learning rate of the localisation net.
        dtype: dtype of the weights.

    Source: G. Hamrouni, "Spatial Transformer Networks Tutorial", pytorch.org/tutorials.
    """
    localisation, classifier = ((8, 7), (10, 5), 32), ((10, 5), (20, 5), 50)
    return _with_transformer((1, 28), localisation, classifier, rng, dropout, localisation_lr_scale, dtype)


def cifar10(
    rng: np.random.Generator, *, dropout: float = 0.5, localisation_lr_scale: float = 1.0, dtype=np.float32
) -> Sequential:
    """Return the CIFAR-10 net of a widely copied README, (N, 3, 32, 32) -> scores (N, 10): 1,585,008 parameters.

    The arguments are those of `tutorial`; the two nets differ only in their widths.

    Source: gokul-pv, DawnOfTransformers/SpacialTransformers, README.md on GitHub.
    """
    localisation = ((64, 7), (128, 5), 256)
    return _with_transformer((3, 32), localisation, CIFAR10_CLASSIFIER, rng, dropout, localisation_lr_scale, dtype)


def cifar10_cnn(rng: np.random.Generator, *, dropout: float = 0.5, dtype=np.float32) -> Sequential:
    """Return the net of `cifar10` without its transformer, the baseline that the README lacks: 844,522 parameters.

    Args:
        rng: generator for the weights, and then for dropout.
        dropout: as for `tutorial`.
        dtype: dtype of the weights.
    """
    return Sequential(*_classifier((3, 32), CIFAR10_CLASSIFIER, rng, dropout, dtype))


def _with_transformer(in_shape, localisation, classifier, rng, dropout, lr_scale, dtype) -> Sequential:
    """Return transformer and classifier; each is described by ((filters, kernel), (filters, kernel), hidden width)."""
    affine = transforms.get("affine")
    last = regression_layer(localisation[-1], affine, dtype=dtype)
    f_loc = scaled(Sequential(*_features(in_shape, localisation, rng, dtype), last), lr_scale)
    return Sequential(SpatialTransformer(f_loc, affine), *_classifier(in_shape, classifier, rng, dropout, dtype))


def _classifier(in_shape, classifier, rng, dropout, dtype) -> list:
    return [
        *_features(in_shape, classifier, rng, dtype, dropout),
        *_dropping(dropout, rng),
        Linear(classifier[-1], CLASSES, rng, dtype=dtype),
    ]


def _features(in_shape, widths, rng, dtype, dropout=0.0) -> list:
    """Return conv, max 2x2, ReLU -> conv, dropout of channels, max 2x2, ReLU -> FC, ReLU."""
    (channels, size), ((first, kernel_1), (second, kernel_2), hidden) = in_shape, widths
    left = ((size - kernel_1 + 1) // 2 - kernel_2 + 1) // 2
    return [
        Conv2d(channels, first, kernel_1, rng, dtype=dtype),
        MaxPool2d(2),
        ReLU(),
        Conv2d(first, second, kernel_2, rng, dtype=dtype),
        *_dropping(dropout, rng, Dropout2d),
        MaxPool2d(2),
        ReLU(),
        Flatten(),
        Linear(second * left * left, hidden, rng, dtype=dtype),
        ReLU(),
    ]


BACKBONES = {"fcn": (fcn, fc_localisation), "cnn": (cnn, conv_localisation)}
MODELS = (*BACKBONES, *(f"st-{backbone}-{family}" for backbone in BACKBONES for family in transforms.FAMILIES))

PUBLISHED = {"tutorial": (tutorial, 28), "cifar10": (cifar10, 32)}  # name -> (function, side of the image in pixels)


def build(
    name: str,
    size: int,
    rng: np.random.Generator,
    *,
    localisation_lr_scale: float = 1.0,
    dropout: float = 0.0,
    dtype=np.float32,
) -> Sequential:
    """Return a net of Table 1, (N, 1, size, size) -> scores (N, 10), or one of PUBLISHED.

    Args:
        name: "fcn", "cnn", "st-fcn-affine", "st-cnn-attention", ... (MODELS); or "tutorial", "cifar10" (PUBLISHED).
        size: 28, 42 or 60; "tutorial" needs 28, "cifar10" 32 (and 3 channels).
        rng: generator for the weights, and then for dropout.
        localisation_lr_scale: factor on the learning rate of the localisation net.
        dropout: probability for the classifier, see `fcn` and `cnn`; the nets of PUBLISHED use their own.
        dtype: dtype of the weights.

    Raises:
        ValueError: the name is unknown, or the net does not exist in this size.
        TypeError: rng is not a Generator.

    Source: Jaderberg et al. 2015, Sec. 4.1 and appendix A.4.
    """
    checks.one_of("model", name, (*MODELS, *PUBLISHED))
    sizes = (PUBLISHED[name][1],) if name in PUBLISHED else SIZES
    if size not in sizes:
        raise ValueError(f"size of {name!r} must be one of {', '.join(map(str, sizes))}; got {size!r}")
    checks.generator("rng", rng)
    if name in PUBLISHED:
        return PUBLISHED[name][0](rng, localisation_lr_scale=localisation_lr_scale, dtype=dtype)
    if name in BACKBONES:
        return BACKBONES[name][0](size, rng, dropout=dropout, dtype=dtype)
    _, backbone, family = name.split("-")
    classifier, localisation = BACKBONES[backbone]
    transform = transforms.get(family)
    f_loc = localisation((1, size, size), transform, rng, lr_scale=localisation_lr_scale, dtype=dtype)
    if size == VIEW:
        look: list[Layer] = [SpatialTransformer(f_loc, transform)]
    else:
        look = [SpatialTransformer(f_loc, transform, out_size=(2 * VIEW, 2 * VIEW)), AvgPool2d(2)]
    return Sequential(*look, *classifier(VIEW, rng, dropout=dropout, dtype=dtype).layers)


def load_weights(net: Layer, path: str | os.PathLike) -> Layer:
    """Copy the weights in an npz file, an array for each name of `Layer.named_params`, into a net; return the net.

    `stn-ref experiment NAME --weights DIR` writes such files. After an error the net is unchanged.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: the file is damaged, or has the weights of another net.
    """
    params = dict(net.named_params())
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file):  # np.load would leave a damaged file open
            file.seek(0)
            arrays = np.load(file, allow_pickle=False)
            found = {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file of weights") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise checks.DamagedFileError(f"{path} is damaged or not an npz file: {error}") from None
    for name in params.keys() | found.keys():
        wanted, got = (
            f"{array.dtype} {array.shape}" if array is not None else "nothing"
            for array in (params[name].value if name in params else None, found.get(name))
        )
        if wanted != got:
            raise checks.DamagedFileError(f"{path} does not fit this net: {name} must be {wanted}; got {got}")
    for name, param in params.items():
        param.value[...] = found[name]
    return net


def transformer_of(net: Sequential) -> SpatialTransformer | None:
    """Return the net's spatial transformer, None if it has none."""
    return net[0] if isinstance(net[0], SpatialTransformer) else None
