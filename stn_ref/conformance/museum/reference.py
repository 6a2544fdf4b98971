"""A correct sampler in small steps, so that an exhibit can override one of them.

It shares no code with sampler.py or the kernels. Each axis goes through the same three steps,

    pixels    normalised coordinate -> pixels
    pad       the point, for border and reflection
    taps      the pixels that are read, each with its weight and the weight's slope

and V is the sum over the taps of both axes of (weight along y) (weight along x) U[tap].
"""

import numpy as np


class Reference:
    """The sampler of Sec. 3.3, with the modes and paddings of grid_sample; call `forward` and `backward`."""

    A = -0.75  # Keys' parameter of the bicubic kernel
    PADS_THE_POINT = ("bilinear", "nearest")  # bicubic pads its taps

    def forward(self, U, grid, *, mode="bilinear", padding_mode="zeros", align_corners=False):
        """Return V, Eq. (3): (N, C, Ho, Wo)."""
        columns, rows = self.axes(U, grid, mode, padding_mode, align_corners)
        V = np.zeros((*U.shape[:2], *grid.shape[1:3]), U.dtype)
        for n, wy, _ in rows:
            for m, wx, _ in columns:
                V += (wy * wx)[:, None] * self.read(U, n, m)
        return V

    def backward(self, U, grid, gV, *, mode="bilinear", padding_mode="zeros", align_corners=False):
        """Return (gU, ggrid): Eqs. (6) and (7) times gV, summed."""
        columns, rows = self.axes(U, grid, mode, padding_mode, align_corners)
        gU, ggrid = np.zeros_like(U), np.zeros_like(grid)
        for n, wy, sy in rows:
            for m, wx, sx in columns:
                self.add(gU, n, m, (wy * wx)[:, None] * gV)
                g = (gV * self.read(U, n, m)).sum(1)
                ggrid[..., 0] += g * wy * sx
                ggrid[..., 1] += g * sy * wx
        return gU, ggrid

    def axes(self, U, grid, mode, padding, align_corners):
        """Return the taps along x and those along y."""
        x, y = self.split(grid)
        W, H = U.shape[3], U.shape[2]
        for_x, for_y = self.scales(H, W)
        x, y = self.pixels(x, for_x, align_corners), self.pixels(y, for_y, align_corners)
        return self.axis(*x, W, mode, padding, align_corners), self.axis(*y, H, mode, padding, align_corners)

    def split(self, grid):
        """Return x and y."""
        return grid[..., 0], grid[..., 1]

    def scales(self, H, W):
        """Return the sizes by which x and y are scaled."""
        return W, H

    def axis(self, x, chain, size, mode, padding, align_corners):
        """Return the taps of coordinates in pixels: (index, weight, slope per normalised unit) for each tap."""
        fold = 1.0
        if mode in self.PADS_THE_POINT:
            x, fold = self.pad(x, size, padding, align_corners)
        taps = getattr(self, mode)(self.tame(x, size, padding), size)
        return [
            (self.place(index, size, padding, align_corners), weight, slope * fold * chain)
            for index, weight, slope in taps
        ]

    def pixels(self, x, size, align_corners):
        """Return (x in pixels, pixels per normalised unit): the two conventions of align_corners."""
        if align_corners:
            return (x + 1) * ((size - 1) / 2), (size - 1) / 2
        return ((x + 1) * size - 1) / 2, size / 2

    def pad(self, x, size, padding, align_corners):
        """Return (the point, its slope): moved to the border or reflected; with zeros it stays where it is."""
        if padding == "zeros":
            return x, 1.0
        fold = 1.0
        if padding == "reflection":
            x, fold = self.reflect(x, size, align_corners)
        inside = (x > 0) & (x < size - 1)  # on the border itself the slope is 0
        return np.clip(x, 0, size - 1), np.where(inside, fold, 0).astype(x.dtype)

    def reflect(self, x, size, align_corners):
        """Return (x, +-1): mirrored until it lies between the first mirror and the second."""
        first, span = (0, size - 1) if align_corners else (-0.5, size)
        if span == 0:
            return 0 * x, 0 * x
        x = np.where(np.isinf(x), first, x)
        way = np.fmod(np.abs(x - first), 2 * span)
        back = way > span
        sign = np.where(back, -1.0, 1.0) * np.where(x < first, -1.0, 1.0)
        return (first + np.where(back, 2 * span - way, way)).astype(x.dtype), sign

    def tame(self, x, size, padding):
        """Return x with far coordinates moved closer, where they read the same values, so that they fit an integer."""
        far = 2.0**30 if padding == "reflection" else size + 2
        return np.clip(x, -far, far)

    def bilinear(self, x, size):
        """Return the taps of Eq. (5): the cell is that of floor(x), so at an integer the slope is that to the right."""
        left = np.floor(x)
        t = x - left
        return [(left, 1 - t, -1.0), (left + 1, t, 1.0)]

    def nearest(self, x, size):
        """Return the tap of Eq. (4): the nearest pixel, with slope 0."""
        return [(np.rint(x), np.where(np.isnan(x), x, 1).astype(x.dtype), 0 * x)]

    def bicubic(self, x, size):
        """Return the four taps of Keys' kernel."""
        A = self.A
        left = np.floor(x)
        t = x - left
        taps = []
        for k in (-1, 0, 1, 2):
            d, sign = (t - k, 1) if k < 1 else (k - t, -1)  # |distance| and its slope
            if k in (0, 1):
                weight, slope = (A + 2) * d**3 - (A + 3) * d**2 + 1, 3 * (A + 2) * d**2 - 2 * (A + 3) * d
            else:
                weight, slope = A * (d**3 - 5 * d**2 + 8 * d - 4), A * (3 * d**2 - 10 * d + 8)
            taps.append((left + k, weight, sign * slope))
        return taps

    def place(self, index, size, padding, align_corners):
        """Return the tap as an integer, -1 if it is outside the image: each tap is tested, never the point."""
        if padding == "border":
            index = np.clip(index, 0, size - 1)
        if padding == "reflection":
            index = np.clip(self.reflect(index, size, align_corners)[0], 0, size - 1)
        exists = (index >= 0) & (index <= size - 1)  # not for NaN
        return np.where(exists, index, -1).astype(np.int64)

    def read(self, U, n, m):
        """Return U[b, :, n, m], 0 for taps outside the image: (N, C, Ho, Wo)."""
        b = np.arange(len(U))[:, None, None]
        values = np.moveaxis(U[b, :, n, m], -1, 1)
        return np.where(((n >= 0) & (m >= 0))[:, None], values, 0).astype(U.dtype)

    def add(self, gU, n, m, g):
        """Add g (N, C, Ho, Wo) to gU[b, :, n, m]; all updates of one pixel add up."""
        b = np.arange(len(gU))[:, None, None]
        g = np.where(((n >= 0) & (m >= 0))[:, None], g, 0)
        np.add.at(gU, (b, slice(None), n, m), np.moveaxis(g, 1, -1))
