"""The samplers compiled by Numba, the default backend: the maths of scalar_math.py in a few flat loops.

bilinear.py, nearest.py and cubic.py are fast and have few taps. windows.py has the other kernels, and the bilinear
gradients whose `kink` is not "right".
"""

import numpy as np

from stn_ref.kernels import PIXELS
from stn_ref.kernels.cpu import bilinear, blocks, cubic, nearest, windows
from stn_ref.kernels.cpu.jit import quiet
from stn_ref.kernels.scalar_math import KERNELS, KINKS, PADDINGS, RIGHT, UP

FEW_TAPS = {"bilinear": bilinear, "nearest": nearest, "bicubic": cubic}
# ns per value of V, forward and backward, in the middle of what one processor took with 1 and with 16 channels
COSTS = {"nearest": (0.5, 1), "bilinear": (1.5, 4), "bicubic": (6, 18)}


def _options(mode, padding, a, ties):
    code = PADDINGS.index(padding)
    if mode == "bicubic":
        return code, float(a)
    code = None if padding == "zeros" else code
    return (code, None if ties == "even" else UP) if mode == "nearest" else (code,)


@quiet  # infinite pixels: inf * 0 is NaN, as required
def sample_forward(U, points, mode="bilinear", padding="zeros", a=-0.75, unit=None, ties="even"):
    """Return V (N, C, Ho, Wo), Eq. (3), for U (N, C, H, W) and points (N, Ho, Wo, 2)."""
    unit = PIXELS[U.dtype] if unit is None else unit
    task, cost = FEW_TAPS[mode].forward_blocks, COSTS[mode][0]
    return blocks.forward(task, cost, U, points, unit, *_options(mode, padding, a, ties))


@quiet
def sample_backward(
    U, points, gV, mode="bilinear", padding="zeros", kink="right", a=-0.75, needs=(True, True), unit=None, ties="even"
):
    """Return (gU, gpoints), Eqs. (6) and (7) times gV and summed; None for a gradient that `needs` excludes."""
    unit = PIXELS[U.dtype] if unit is None else unit
    if mode == "bilinear" and kink != "right":
        no_width, codes = np.empty((len(U), 0), U.dtype), (KERNELS[mode], PADDINGS.index(padding), KINKS.index(kink))
        return windows.backward(U, points, no_width, gV, unit, *codes, (*needs, False))[:2]
    task, cost = FEW_TAPS[mode].backward_images, COSTS[mode][1]
    return blocks.backward(task, cost, U, points, gV, needs, unit, *_options(mode, padding, a, ties))


@quiet
def wide_forward(U, points, phi, kernel, padding="zeros"):
    """Return V by Eq. (3) with the kernel "tent" or "gaussian"; phi (N, Ho, Wo, 2): widths in x and y, pixels."""
    return windows.forward(U, points, phi, KERNELS[kernel], PADDINGS.index(padding))


@quiet
def wide_backward(U, points, phi, gV, kernel, padding="zeros", needs=(True, True, True)):
    """Return (gU, gpoints, gphi); None for a gradient that `needs` excludes."""
    return windows.backward(U, points, phi, gV, PIXELS[U.dtype], KERNELS[kernel], PADDINGS.index(padding), RIGHT, needs)
