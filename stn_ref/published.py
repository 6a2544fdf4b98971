"""Nets and numbers that others published: the nets layer for layer, so that the numbers can be looked at again.

Reads: transformer.py, nn/. Read next: models.py.

The two nets are of one kind: a transformer before a small convolutional net, each with two convolutions and two
fully-connected layers, and dropout in the net. The log-softmax at their end is part of the loss here.
"""

import numpy as np

from stn_ref import transforms
from stn_ref.localisation import regression_layer, scaled
from stn_ref.nn import Conv2d, Dropout, Dropout2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from stn_ref.transformer import SpatialTransformer

CLASSES = 10
TABLE_1 = {  # net -> distortion -> test error in %, two sources or more for each; TC is from the paper's text
    "fcn": {"R": 2.1, "RTS": 5.2, "P": 3.1, "E": 3.2, "TC": 13.2},
    "cnn": {"R": 1.2, "RTS": 0.8, "P": 1.5, "E": 1.4, "TC": 3.5},
    "st-fcn-affine": {"R": 1.2, "RTS": 0.8, "P": 1.5, "E": 2.7, "TC": 2.0},
    "st-fcn-projective": {"R": 1.3, "RTS": 0.9, "P": 1.4, "E": 2.6},
    "st-fcn-tps": {"R": 1.1, "RTS": 0.8, "P": 1.4, "E": 2.4},
    "st-cnn-affine": {"R": 0.7, "RTS": 0.5, "P": 0.8, "E": 1.2, "TC": 1.7},
    "st-cnn-projective": {"R": 0.8, "RTS": 0.6, "P": 0.8, "E": 1.3},
    "st-cnn-tps": {"R": 0.7, "RTS": 0.5, "P": 0.8, "E": 1.1},
}
ADDITION = {  # MNIST addition: net -> test error in %
    "fcn": 47.7,
    "cnn": 14.7,
    "st-fcn-affine": 22.6,  # this and the next two from one source alone
    "2xst-fcn-affine": 9.0,
    "2xst-fcn-projective": 5.9,
    "2xst-fcn-tps": 5.8,
}
CIFAR10_CLASSIFIER = ((16, 5), (32, 5), 1024)  # (filters, kernel) twice, and the hidden width
CIFAR10_CORRECT = (  # of 10,000 test images after each of 50 epochs, as the README of `cifar10` logged them
    *(3439, 4266, 4567, 4790, 5053, 5157, 5332, 5392, 5550, 5854, 5591, 5873, 5690, 5980, 6220, 6205, 6148),
    *(6283, 6403, 6198, 6358, 6261, 6279, 6380, 6385, 6394, 6589, 6490, 6216, 6535, 6298, 6127, 6566, 6522),
    *(6130, 6141, 6424, 6624, 6507, 6579, 6246, 6487, 6565, 6616, 6532, 6424, 6403, 6565, 6668, 6568),
)


def tutorial(
    rng: np.random.Generator, *, dropout: float = 0.5, localisation_lr_scale: float = 1.0, dtype=np.float32
) -> Sequential:
    """Return the net of PyTorch's tutorial, (N, 1, 28, 28) -> scores (N, 10): 27,360 parameters.

    Args:
        rng: for the weights, and then for dropout.
        dropout: probability of dropping a channel after the second convolution, and a unit of the hidden layer.
        localisation_lr_scale: factor on the learning rate of the localisation net.
        dtype: of the weights.

    Source: G. Hamrouni, "Spatial Transformer Networks Tutorial", pytorch.org/tutorials.
    """
    localisation, classifier = ((8, 7), (10, 5), 32), ((10, 5), (20, 5), 50)
    return _net((1, 28), localisation, classifier, rng, dropout, localisation_lr_scale, dtype)


def cifar10(
    rng: np.random.Generator, *, dropout: float = 0.5, localisation_lr_scale: float = 1.0, dtype=np.float32
) -> Sequential:
    """Return the CIFAR-10 net of a widely copied README, (N, 3, 32, 32) -> scores (N, 10): 1,585,008 parameters.

    Args:
        rng: for the weights, and then for dropout.
        dropout: as for `tutorial`, whose net this is but for its widths.
        localisation_lr_scale: factor on the learning rate of the localisation net.
        dtype: of the weights.

    Source: gokul-pv, DawnOfTransformers/SpacialTransformers, README.md on GitHub.
    """
    localisation = ((64, 7), (128, 5), 256)
    return _net((3, 32), localisation, CIFAR10_CLASSIFIER, rng, dropout, localisation_lr_scale, dtype)


def cifar10_cnn(rng: np.random.Generator, *, dropout: float = 0.5, dtype=np.float32) -> Sequential:
    """Return the net of `cifar10` without its transformer, the baseline that the README lacks: 844,522 parameters.

    Args:
        rng: for the weights, and then for dropout.
        dropout: as for `tutorial`.
        dtype: of the weights.
    """
    return Sequential(*_classifier((3, 32), CIFAR10_CLASSIFIER, rng, dropout, dtype))


def _net(in_shape, localisation, classifier, rng, dropout, lr_scale, dtype) -> Sequential:
    """Return transformer and classifier; each is described by (filters, kernel) twice, and its hidden width."""
    affine = transforms.get("affine")
    f_loc = Sequential(
        *_features(in_shape, localisation, rng, dtype), regression_layer(localisation[-1], affine, dtype=dtype)
    )
    return Sequential(
        SpatialTransformer(scaled(f_loc, lr_scale), affine), *_classifier(in_shape, classifier, rng, dropout, dtype)
    )


def _classifier(in_shape, classifier, rng, dropout, dtype) -> list:
    return [
        *_features(in_shape, classifier, rng, dtype, dropout),
        *([Dropout(dropout, rng)] if dropout else []),
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
        *([Dropout2d(dropout, rng)] if dropout else []),
        MaxPool2d(2),
        ReLU(),
        Flatten(),
        Linear(second * left * left, hidden, rng, dtype=dtype),
        ReLU(),
    ]
