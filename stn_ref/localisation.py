"""Sec. 3.1: localisation networks, theta = f_loc(U).

Reads: nn/, transforms/. Read next: grid.py.

The last layer starts with zero weights and with the identity transform as bias. So before training the transformer
returns every image unchanged. With random weights it would sample a random region, often one without the object, and
no gradient there leads back to the object.
"""

import numpy as np

from stn_ref import checks
from stn_ref.nn import AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from stn_ref.transforms import Transform


def regression_layer(n_in: int, transform: Transform, *, dtype=np.float32) -> Linear:
    """Return the last layer of a localisation net: before training it gives theta = identity for every input."""
    return Linear.constant(n_in, np.array(transform.identity, dtype))


def fc_localisation(
    in_shape: tuple[int, int, int],
    transform: Transform,
    rng: np.random.Generator,
    *,
    hidden: tuple[int, ...] = (32, 32, 32),
    lr_scale: float = 1.0,
    dtype=np.float32,
) -> Sequential:
    """Return the fully-connected localisation net of ST-FCN.

        U (N, C, H, W) -> [FC, ReLU] for each of `hidden` -> FC -> theta (N, K)

    Args:
        in_shape: (C, H, W).
        transform: the family; its K is the width of the last layer, its identity the initial bias.
        rng: generator that draws the weights.
        hidden: widths of the hidden layers.
        lr_scale: factor on the learning rate of every parameter.
        dtype: dtype of the weights.

    Source: Jaderberg et al. 2015, appendix A.4.
    """
    C, H, W = (checks.integer("in_shape", size, 1) for size in in_shape)
    layers, width = [Flatten()], C * H * W
    for n_out in hidden:
        layers += [Linear(width, n_out, rng, dtype=dtype), ReLU()]
        width = n_out
    return scaled(Sequential(*layers, regression_layer(width, transform, dtype=dtype)), lr_scale)


def conv_localisation(
    in_shape: tuple[int, int, int],
    transform: Transform,
    rng: np.random.Generator,
    *,
    filters: int = 20,
    hidden: int = 20,
    lr_scale: float = 1.0,
    dtype=np.float32,
) -> Sequential:
    """Return the convolutional localisation net of ST-CNN.

        U -> average 2x2 -> conv 5x5, max 2x2, ReLU -> conv 5x5, ReLU -> FC, ReLU -> FC -> theta (N, K)

    Args:
        in_shape: (C, H, W), at least 28 x 28.
        transform: the family; its K is the width of the last layer, its identity the initial bias.
        rng: generator that draws the weights.
        filters: number of filters of each convolution.
        hidden: width of the fully-connected layer.
        lr_scale: factor on the learning rate of every parameter.
        dtype: dtype of the weights.

    Raises:
        ValueError: H or W is less than 28.

    Source: Jaderberg et al. 2015, appendix A.4.
    """
    C, H, W = (checks.integer("in_shape", size, 1) for size in in_shape)
    if min(H, W) < 28:
        raise ValueError(
            f"in_shape must be (C, H, W) with H, W >= 28: convolution leaves nothing of a smaller image; got {in_shape}"
        )
    left_H, left_W = (((size // 2 - 4) // 2) - 4 for size in (H, W))
    return scaled(
        Sequential(
            AvgPool2d(2),
            Conv2d(C, filters, 5, rng, dtype=dtype),
            MaxPool2d(2),
            ReLU(),
            Conv2d(filters, filters, 5, rng, dtype=dtype),
            ReLU(),
            Flatten(),
            Linear(filters * left_H * left_W, hidden, rng, dtype=dtype),
            ReLU(),
            regression_layer(hidden, transform, dtype=dtype),
        ),
        lr_scale,
    )


def scaled(net: Sequential, lr_scale: float) -> Sequential:
    """Set the learning-rate factor of every parameter to lr_scale, and return the net."""
    for param in net.params():
        param.lr_scale = lr_scale
    return net
