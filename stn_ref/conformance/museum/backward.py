"""Samplers with correct pictures and wrong gradients: only a careful gradient check detects them."""

# ruff: noqa: D102 -- every method here overrides one that Reference describes

import numpy as np

from stn_ref.conformance.museum.exhibit import exhibit
from stn_ref.conformance.museum.reference import Reference


@exhibit("gradient-at-pixels-is-alive", seen="jax#3024, dm_pix PR 126, deformable convolution")
class CeilNeighbour(Reference):
    """The neighbours are floor(x) and ceil(x): at an integer the same pixel twice, with slopes that cancel."""

    def bilinear(self, x, size):
        left, right = super().bilinear(x, size)
        return [left, (np.ceil(x), *right[1:])]


@exhibit("constant-image-has-no-slope-at-pixels", seen="Eq. (7) of the paper, read literally")
class EquationSevenAsPrinted(Reference):
    """At an integer x the pixel itself has the slope +1 and its neighbours 0: a grey value counts as an edge."""

    def bilinear(self, x, size):
        (m, weight, _), right = super().bilinear(x, size)
        at_pixel = x == m
        return [(m, weight, np.where(at_pixel, 1.0, -1.0)), (*right[:2], np.where(at_pixel, 0.0, 1.0))]


@exhibit(
    "kink-takes-the-right-slope",
    seen="not as a fault: the slope to the left is as valid as that to the right, which PyTorch takes",
)
class LeftKink(Reference):
    """At an integer x the slope to the left is taken."""

    def bilinear(self, x, size):
        left = np.ceil(x) - 1
        return [(left, left + 1 - x, -1.0), (left + 1, x - left, 1.0)]


@exhibit(
    "gradient-is-per-normalised-unit",
    seen="kernels that work in pixels, called with a normalised grid; the paper omits the factor",
)
class NoChainFactor(Reference):
    """The gradient is per pixel, not per unit of the normalised grid: W/2 is missing."""

    def pixels(self, x, size, align_corners):
        return super().pixels(x, size, align_corners)[0], 1.0


@exhibit(
    "constant-image-has-no-slope-in-a-cell",
    seen="a widely read explanation of the paper, which has max(0, 1 - |x - m|) where max(0, 1 - |y - n|) belongs",
)
class WeightOfTheWrongAxis(Reference):
    """dV/dx is weighted by the distance along x, and dV/dy by that along y."""

    def backward(self, U, grid, gV, *, mode="bilinear", padding_mode="zeros", align_corners=False):
        columns, rows = self.axes(U, grid, mode, padding_mode, align_corners)
        gU, ggrid = super().backward(U, grid, gV, mode=mode, padding_mode=padding_mode, align_corners=align_corners)
        ggrid[...] = 0
        for n, wy, sy in rows:
            for m, wx, sx in columns:
                g = (gV * self.read(U, n, m)).sum(1)
                ggrid[..., 0] += g * wx * sx
                ggrid[..., 1] += g * wy * sy
        return gU, ggrid


@exhibit(
    "each-sample-has-its-own-gradient",
    seen="gradient checks whose upstream gradient is all ones: this fault passes them with an error of 5e-10",
)
class TransposedUpstream(Reference):
    """The upstream gradient is read with its rows and columns exchanged."""

    def backward(self, U, grid, gV, **options):
        return super().backward(U, grid, gV.swapaxes(2, 3).reshape(gV.shape), **options)


@exhibit("image-gradient-adds-up", seen="NumPy's gU[n, m] += g, which keeps one of several updates of a pixel")
class LostUpdates(Reference):
    """Where samples overlap only the last one reaches the gradient of U."""

    def add(self, gU, n, m, g):
        b = np.arange(len(gU))[:, None, None]
        g = np.where(((n >= 0) & (m >= 0))[:, None], g, 0)
        gU[b, :, n, m] += np.moveaxis(g, 1, -1)


@exhibit("padded-border-is-flat", seen="pytorch#23925")
class BorderPushes(Reference):
    """Exactly on the border the slope is that of the inside, although padding makes the outside flat."""

    def pad(self, x, size, padding, align_corners):
        moved, slope = super().pad(x, size, padding, align_corners)
        if padding == "zeros":
            return moved, slope
        return moved, np.where((x == 0) | (x == size - 1), 1, slope)


@exhibit("nearest-has-no-slope", seen="kornia#827 asks for it")
class NearestWithASlope(Reference):
    """With nearest the gradient of the coordinates is that of bilinear, so that a net can learn from it."""

    def backward(self, U, grid, gV, *, mode="bilinear", **options):
        gU, ggrid = super().backward(U, grid, gV, mode=mode, **options)
        if mode == "nearest":
            ggrid = super().backward(U, grid, gV, mode="bilinear", **options)[1]
        return gU, ggrid
