"""Max and average pooling; their inner loops are in kernels/cpu/pooling.py. Read next: dropout.py, loss.py."""

from types import ModuleType

import numpy as np

from stn_ref import checks, kernels
from stn_ref.nn.conv import reaches
from stn_ref.nn.layer import Layer


class _Pool(Layer):
    def __init__(self, kernel, stride=None):
        self.kernel = checks.pair("kernel", kernel, 1)
        self.stride = self.kernel if stride is None else checks.pair("stride", stride, 1)

    def _check(self, x: np.ndarray) -> None:
        _, _, H, W = checks.shape("x", checks.floating("x", x), ("N", "C", "H", "W"))
        reaches(self.kernel, H, W, x.shape)

    def _kernels(self) -> ModuleType:
        return kernels.compiled("cpu.pooling", type(self).__name__)


class MaxPool2d(_Pool):
    """Max pooling.

        y[n,c,i,j] = max_{k<kh, l<kw} x[n,c, i*sy + k, j*sx + l]
        gx[n,c,h,w] = sum of gy[n,c,i,j] over the windows whose maximum is at (h, w)

    Args:
        kernel: size of the window (kh, kw), or one number for both.
        stride: (sy, sx), or one number; default: the kernel, so that the windows tile the image.

    Raises:
        TypeError, ValueError: a size is not an integer of at least 1; in forward, x is not float32 or float64.
        ShapeError: in forward, x is not (N, C, H, W), or is smaller than the kernel.
        ImportError: in forward, numba is not installed.

    Ho = (H - kh) // sy + 1, and Wo has the same form. Rows and columns after the last window are not read.
    The whole gradient of a window goes to its maximum. Of several equal maxima the first in row-major order gets it. A
    NaN counts as the maximum; of several NaN the last one gets the gradient.

    Source: as torch.nn.MaxPool2d with ceil_mode=False, ties and NaN included.

    >>> MaxPool2d(2).forward(np.arange(10.0).reshape(1, 1, 2, 5))
    array([[[[6., 8.]]]])
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, C, Ho, Wo) for x (N, C, H, W)."""
        self._check(x)
        y, which = self._kernels().max_pool(x, self.kernel, self.stride)
        return self.keep(y, which, x.shape)

    def backward(self, gy: np.ndarray, needs: bool = True) -> np.ndarray | None:
        """Return gx (N, C, H, W)."""
        gy, (which, shape) = self.take(gy)
        return self._kernels().max_pool_backward(which, gy, shape, self.kernel, self.stride) if needs else None


class AvgPool2d(_Pool):
    """Average pooling.

        y[n,c,i,j] = 1/(kh kw) sum_{k<kh, l<kw} x[n,c, i*sy + k, j*sx + l]
        gx[n,c,h,w] = 1/(kh kw) sum of gy[n,c,i,j] over the windows that cover (h, w)

    The arguments, errors and sizes (Ho, Wo) are those of MaxPool2d.

    Source: as torch.nn.AvgPool2d with ceil_mode=False.

    >>> AvgPool2d((1, 2)).forward(np.arange(10.0).reshape(1, 1, 2, 5))
    array([[[[0.5, 2.5],
             [5.5, 7.5]]]])
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, C, Ho, Wo) for x (N, C, H, W)."""
        self._check(x)
        return self.keep(self._kernels().mean_pool(x, self.kernel, self.stride), x.shape)

    def backward(self, gy: np.ndarray, needs: bool = True) -> np.ndarray | None:
        """Return gx (N, C, H, W)."""
        gy, (shape,) = self.take(gy)
        return self._kernels().mean_pool_backward(gy, shape, self.kernel, self.stride) if needs else None
