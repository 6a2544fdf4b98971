"""Samplers that read the wrong pixels. Each overrides one small step of the correct one."""

# ruff: noqa: D102 -- every method here overrides one that Reference describes

import numpy as np

from stn_ref.conformance.museum.exhibit import exhibit
from stn_ref.conformance.museum.reference import Reference


@exhibit("zeros-fade-over-one-pixel", seen="kevinzakka/spatial-transformer-network and its many copies")
class ClipBeforeWeight(Reference):
    """The neighbours are clipped before they are weighted: at the edge both are one pixel, with weights that cancel."""

    def bilinear(self, x, size):
        left, right = np.clip(np.floor(x), 0, size - 1), np.clip(np.floor(x) + 1, 0, size - 1)
        return [(left, right - x, -1.0), (right, x - left, 1.0)]


@exhibit(
    "align-corners-true-reaches-the-centres",
    seen="kevinzakka/spatial-transformer-network: (x + 1) * (max_x - 1) / 2, where max_x is W - 1 already",
)
class ScaledByTwoLess(Reference):
    """With align_corners=True the scale is (W - 2) / 2: the last row and column are never reached."""

    def pixels(self, x, size, align_corners):
        return super().pixels(x, size - 1 if align_corners else size, align_corners)


@exhibit("x-before-y", seen="voxelmorph PR 652, deformable-attention#6")
class RowBeforeColumn(Reference):
    """The grid is read as (row, column) instead of (x, y)."""

    def split(self, grid):
        return grid[..., 1], grid[..., 0]

    def backward(self, *arrays, **options):
        gU, ggrid = super().backward(*arrays, **options)
        return gU, ggrid[..., ::-1]


@exhibit(
    "output-is-laid-out-as-the-grid",
    seen="ports between (N, C, H, W) and (N, C, W, H) that reshape where they should transpose",
)
class TransposedOutput(Reference):
    """V has its rows and columns exchanged, and is reshaped to the expected shape."""

    def forward(self, *arrays, **options):
        V = super().forward(*arrays, **options)
        return V.swapaxes(2, 3).reshape(V.shape)


@exhibit("width-goes-with-x", seen="Lasagne#782, pytorch/vision PR 2553, pytorch#4223: invisible on square pictures")
class HeightForWidth(Reference):
    """x is scaled by the height and y by the width."""

    def scales(self, H, W):
        return H, W


@exhibit(
    "align-corners-false-reaches-the-edges",
    seen="PyTorch before 1.3, where True was the only convention (pytorch#20785), and code written for it",
)
class AlignCornersIgnored(Reference):
    """align_corners is accepted and ignored: it is always True."""

    def pixels(self, x, size, align_corners):
        return super().pixels(x, size, True)


@exhibit("target-to-source", seen="the question 'why must the matrix be inverted?', STN.keras#4")
class SourceToTarget(Reference):
    """The transform is applied from source to target: a shift to the right reads from the left."""

    def _other_way(self, grid, align_corners):
        Ho, Wo = grid.shape[1:3]
        target = [np.linspace(-1, 1, n) if align_corners else (2 * np.arange(n) + 1) / n - 1 for n in (Wo, Ho)]
        return (2 * np.stack(np.meshgrid(*target), axis=-1) - grid).astype(grid.dtype)

    def forward(self, U, grid, *, align_corners=False, **options):
        return super().forward(U, self._other_way(grid, align_corners), align_corners=align_corners, **options)

    def backward(self, U, grid, gV, *, align_corners=False, **options):
        there = self._other_way(grid, align_corners)
        gU, ggrid = super().backward(U, there, gV, align_corners=align_corners, **options)
        return gU, -ggrid


@exhibit("zeros-fade-over-one-pixel", seen="any test of the kind `if 0 <= x < W`; scipy.ndimage with mode='constant'")
class PointTestedInsteadOfTaps(Reference):
    """V is 0 at every point outside the outer pixel centres: a hard edge instead of a fade."""

    def bilinear(self, x, size):
        inside = (x >= 0) & (x <= size - 1) | np.isnan(x)
        return [(m, np.where(inside, weight, 0), np.where(inside, s, 0)) for m, weight, s in super().bilinear(x, size)]


@exhibit("zeros-beyond-one-pixel", seen="NumPy code without a test for negative indices: U[-1] is the last row")
class NegativeIndexWraps(Reference):
    """A tap beyond the left edge of the picture reads a pixel at the right edge."""

    def place(self, index, size, padding, align_corners):
        index = np.where((index < 0) & (index >= -size), index + size, index)
        return super().place(index, size, padding, align_corners)


@exhibit(
    "reflection-about-the-edge", seen="libraries that give the mirrors opposite names: 'reflect', 'mirror', 'symmetric'"
)
class OtherMirrors(Reference):
    """Reflection is about the edges where it should be about the centres, and vice versa."""

    def reflect(self, x, size, align_corners):
        return super().reflect(x, size, not align_corners)


@exhibit("equation-5", seen="kernels that process blocks of 256 points and forget the last, incomplete block")
class ForgetsTheRest(Reference):
    """The last samples of a large output stay 0."""

    def forward(self, U, grid, **options):
        V = super().forward(U, grid, **options)
        points = V.reshape(*V.shape[:2], -1)
        if points.shape[2] > 256:
            points[..., points.shape[2] // 256 * 256 :] = 0
        return V


@exhibit("single-pixel-image", seen="PyTorch treats this case separately, as is necessary")
class ReflectsAnEmptySpan(Reference):
    """For an image of one pixel with align_corners=True, reflection takes the remainder of a division by 0."""

    def reflect(self, x, size, align_corners):
        if align_corners and size == 1:
            return x + np.nan, 0 * x
        return super().reflect(x, size, align_corners)


@exhibit("nearest-rounds", seen="casts to int, which round towards 0")
class NearestTruncates(Reference):
    """Nearest truncates the coordinate instead of rounding it."""

    def nearest(self, x, size):
        return [(np.trunc(x), weight, slope) for _, weight, slope in super().nearest(x, size)]


@exhibit("bicubic-is-smooth", seen="wrappers that pass 'mode' on to code that ignores it")
class BicubicIsBilinear(Reference):
    """mode="bicubic" is accepted, but gives bilinear sampling."""

    def bicubic(self, x, size):
        return self.bilinear(x, size)


@exhibit("bicubic-is-keys-with-three-quarters", seen="the other common cubic, which Keys and Pillow chose")
class BicubicWithOneHalf(Reference):
    """The bicubic kernel has a = -1/2 instead of -3/4."""

    A = -0.5


@exhibit("bicubic-pads-taps", seen="samplers that clamp the point first, for bicubic as well as for bilinear")
class BicubicPadsThePoint(Reference):
    """With bicubic the point is moved to the border or reflected, instead of each of its four taps."""

    PADS_THE_POINT = ("bilinear", "nearest", "bicubic")


@exhibit("float64-is-computed-in-float64", seen="OpenCV 4's remap, whose tables have 32 steps to a pixel")
class ThirtySecondsOfAPixel(Reference):
    """Points are rounded to 1/32 of a pixel."""

    def pixels(self, x, size, align_corners):
        x, chain = super().pixels(x, size, align_corners)
        return np.round(32 * x) / 32, chain


@exhibit("same-call-same-answer", seen="code that tries to avoid kinks by moving every point a little")
class Jitter(Reference):
    """A random number below 1e-9 pixels is added to every point, so that none falls on a kink."""

    def pixels(self, x, size, align_corners):
        x, chain = super().pixels(x, size, align_corners)
        return x + 1e-9 * np.random.default_rng().random(x.shape), chain
