"""The convolution layer; its inner loops are in kernels/cpu/convolution.py. Read next: pooling.py."""

import numpy as np

from stn_ref import checks, kernels
from stn_ref.nn.layer import Layer, Param
from stn_ref.nn.linear import affine, affine_backward, uniform


def reaches(kernel: tuple[int, int], H: int, W: int, shape: tuple) -> None:
    """Raise ShapeError unless the (padded) image of H x W is at least as large as the kernel."""
    for axis, size, least in (("H", H, kernel[0]), ("W", W, kernel[1])):
        if size < least:
            raise checks.ShapeError(
                f"x must be (N, C, H, W) with {axis} (padding included) at least that of the kernel, {least}; "
                f"got {size}, shape {shape}"
            )


class Conv2d(Layer):
    """Convolution layer. As in every deep-learning library it computes a correlation: the kernel is not flipped.

        y[n,o,i,j] = b[o] + sum_{c,k,l} W[o,c,k,l] x[n,c, i*sy + k - py, j*sx + l - px],     x = 0 outside the image

    backward is the transposed sum: gx[n,c,h,w] collects W[o,c,k,l] gy[n,o,i,j] from every output that read x[n,c,h,w],
    gW[o,c,k,l] = sum_{n,i,j} gy[n,o,i,j] x[n,c, i*sy + k - py, j*sx + l - px], and gb[o] = sum_{n,i,j} gy[n,o,i,j].

    Args:
        c_in: input channels C.
        c_out: output channels O.
        kernel: size (kh, kw), or one number for both.
        rng: generator that draws the weights; see `linear.uniform`, fan_in = C*kh*kw.
        stride: (sy, sx), or one number.
        padding: zeros around the image, (py, px) on each side, or one number.
        dtype: float32 or float64.

    Attributes:
        W: Param (O, C, kh, kw).
        b: Param (O,), without weight decay.

    Raises:
        TypeError, ValueError: a size is not an integer or is too small; rng is not a Generator; dtype is not float32
            or float64; in forward, x and W have different dtypes.
        ShapeError: in forward, x is not (N, C, H, W), or is smaller than the kernel.
        ImportError: in forward, numba is not installed.

    Ho = (H + 2 py - kh) // sy + 1, and Wo has the same form. Rows and columns after the last window are not read.

    Source: LeCun et al. 1998, "Gradient-based learning applied to document recognition"; arguments and initial weights
        as in torch.nn.Conv2d, without dilation and groups.

    >>> Conv2d(1, 4, 3, np.random.default_rng(0), padding=1).forward(np.zeros((2, 1, 5, 7), np.float32)).shape
    (2, 4, 5, 7)
    """

    def __init__(
        self, c_in: int, c_out: int, kernel, rng: np.random.Generator, *, stride=1, padding=0, dtype=np.float32
    ):
        c_in, c_out = checks.integer("c_in", c_in, 1), checks.integer("c_out", c_out, 1)
        self.kernel, self.stride = checks.pair("kernel", kernel, 1), checks.pair("stride", stride, 1)
        self.padding = checks.pair("padding", padding, 0)
        dtype = checks.float_dtype("dtype", dtype)
        shape = (c_out, c_in, *self.kernel)
        fan_in = c_in * self.kernel[0] * self.kernel[1]
        self.W = Param(uniform(rng, shape, fan_in, dtype))
        self.b = Param(uniform(rng, (c_out,), fan_in, dtype), decay=False)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, O, Ho, Wo) for x (N, C, H, W)."""
        W, b = self.W.value, self.b.value
        checks.floating("x", x, like=("W", W))
        N, _, height, width = checks.shape("x", x, ("N", "C", "H", "W"), C=(W.shape[1], "W"))
        py, px = self.padding
        reaches(self.kernel, height + 2 * py, width + 2 * px, x.shape)
        if self._covers(x):
            y = affine(x.reshape(N, W[0].size), W.reshape(len(W), W[0].size), b).reshape(N, len(W), 1, 1)
        else:
            y = kernels.compiled("cpu.convolution", "Conv2d").convolve(x, W, b, self.stride, self.padding)
        return self.keep(y, x, W)

    def backward(self, gy: np.ndarray, needs: bool = True) -> np.ndarray | None:
        """Add gW and gb; return gx (N, C, H, W)."""
        gy, (x, W) = self.take(gy)
        N = len(x)
        if self._covers(x):
            gy = gy.reshape(N, len(W))
            gx, gW, gb = affine_backward(x.reshape(N, W[0].size), W.reshape(len(W), W[0].size), gy, needs)
        else:
            conv = kernels.compiled("cpu.convolution", "Conv2d")
            gx, gW, gb = conv.convolve_backward(x, W, gy, self.stride, self.padding, needs)
        self.W.add(gW.reshape(W.shape))
        self.b.add(gb)
        return gx.reshape(x.shape) if needs else None

    def _covers(self, x: np.ndarray) -> bool:
        """Return whether the kernel is as large as the image: then one matrix product computes the layer, faster."""
        return x.shape[2:] == self.kernel and self.padding == (0, 0)
