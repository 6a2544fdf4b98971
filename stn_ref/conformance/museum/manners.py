"""Samplers that are correct for ordinary pictures, but mishandle dtypes, memory, batches or bad numbers."""

# ruff: noqa: D102 -- every method here overrides one that Reference describes

import numpy as np

from stn_ref.conformance.museum.exhibit import exhibit
from stn_ref.conformance.museum.reference import Reference


@exhibit("dtype-is-kept", seen="weights that are always computed in float64")
class DoublesEverything(Reference):
    """float32 goes in and float64 comes out."""

    def forward(self, *arrays, **options):
        return super().forward(*arrays, **options).astype(np.float64)

    def backward(self, *arrays, **options):
        return tuple(g.astype(np.float64) for g in super().backward(*arrays, **options))


@exhibit(
    "float32-agrees-with-float64", seen="GPUs, whose matrix products keep only 10 bits of a float32 if this is allowed"
)
class TenBits(Reference):
    """In float32 the numbers of U are rounded to ten bits after the leading one."""

    def read(self, U, n, m):
        values = super().read(U, n, m)
        return values.astype(np.float16).astype(np.float32) if U.dtype == np.float32 else values


@exhibit("inputs-are-left-alone", seen="NumPy code with x *= a instead of x = x * a")
class WritesToTheGrid(Reference):
    """The caller's grid is converted to pixels in place."""

    def pixels(self, x, size, align_corners):
        pixels, chain = super().pixels(x, size, align_corners)
        x[...] = pixels
        return x, chain


@exhibit("memory-layout-does-not-matter", seen="C extensions that take a pointer and ignore the strides")
class ReadsRawMemory(Reference):
    """The numbers of U are read in memory order, whatever the axes of U are."""

    def forward(self, U, grid, **options):
        return super().forward(U.ravel(order="K").reshape(U.shape), grid, **options)


@exhibit(
    "images-of-a-batch-are-independent", seen="code that merges channels into the batch: np.tile instead of np.repeat"
)
class TileForRepeat(Reference):
    """Channels become images of the batch, but the grids are repeated in another order."""

    def forward(self, U, grid, **options):
        N, C, H, W = U.shape
        V = super().forward(U.reshape(N * C, 1, H, W), np.tile(grid, (C, 1, 1, 1)), **options)
        return V.reshape(N, C, *grid.shape[1:3])


@exhibit("empty-grid-gives-an-empty-output", seen="functions that reject input that they should handle")
class RefusesToDiverge(Reference):
    """A coordinate that is NaN or larger than 10000, or a grid without points, raises an exception."""

    def forward(self, U, grid, **options):
        if not np.abs(grid).max() < 1e4:
            raise ValueError("the transform has diverged")
        return super().forward(U, grid, **options)

    def backward(self, U, grid, gV, **options):
        self.forward(U, grid, **options)
        return super().backward(U, grid, gV, **options)


@exhibit("huge-coordinate-is-outside", seen="pytorch#42616, #19826: casts of floats that are too large for an int")
class IntegerOverflow(Reference):
    """Indices have 32 bits: an index far to the right overflows to one far to the left."""

    def tame(self, x, size, padding):
        return x

    def place(self, index, size, padding, align_corners):
        narrow = np.nan_to_num(index, nan=-(2.0**31)).clip(-(2.0**62), 2.0**62).astype(np.int64).astype(np.int32)
        return super().place(narrow.astype(float), size, padding, align_corners)


@exhibit("nan-coordinate-gives-nan", seen="PyTorch with border and reflection, where clip(NaN) is a pixel")
class NanIsAPixel(Reference):
    """A NaN coordinate reads a pixel, as an ordinary coordinate does."""

    def tame(self, x, size, padding):
        return np.nan_to_num(super().tame(x, size, padding))


@exhibit("nan-pixel-stays-local", seen="Eq. (5) as a product of dense matrices: 0 * NaN is NaN")
class DenseSum(Reference):
    """Every sample is a sum over all pixels, most of them with weight 0."""

    def forward(self, U, grid, **options):
        return super().forward(U, grid, **options) + (0 * U).sum((2, 3), keepdims=True)


@exhibit(
    "nan-coordinate-spares-the-image-gradient",
    seen="masks used as factors: 0 * NaN is NaN, and NaN in one sample becomes NaN in the weights of earlier layers",
)
class MasksByMultiplying(Reference):
    """In backward, taps outside the image are multiplied by 0 instead of being left out."""

    def add(self, gU, n, m, g):
        b = np.arange(len(gU))[:, None, None]
        exists = ((n >= 0) & (m >= 0))[:, None]
        np.add.at(gU, (b, slice(None), n, m), np.moveaxis(g * exists, 1, -1))
