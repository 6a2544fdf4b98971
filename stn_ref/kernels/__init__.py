"""Inner loops, in pixel coordinates; they import nothing above them.

A sampling backend is a module with two pairs of functions. It does not know align_corners or normalised coordinates.

    sample_forward(U, points, mode, padding, a, unit, ties) -> V
    sample_backward(U, points, gV, mode, padding, kink, a, needs, unit, ties) -> (gU, gpoints)
    wide_forward(U, points, phi, kernel, padding) -> V                      kernels k(d; phi) of width phi
    wide_backward(U, points, phi, gV, kernel, padding, needs) -> (gU, gpoints, gphi)

`unit` converts a coordinate of `points` to pixels. It is an array (before, scale_x, after_x, scale_y, after_y) of the
dtype of U: x in pixels is (x + before) scale_x + after_x, and y likewise. gpoints is the gradient in the unit of
`points`. None means pixels, and so does PIXELS.

`second(backend)` returns a module with the derivatives of these derivatives, for the CPU backends:

    sample_jvp(U, points, dU, dpoints, mode, padding, kink, a, unit, ties) -> dV        forward mode
    sample_double_backward(U, points, gV, hU, hpoints, ...) -> (gV2, gU2, gpoints2)     gradients of <gU, hU> +
                                                                                        <gpoints, hpoints>

The CUDA backends have only the first pair, for bilinear and nearest; bicubic raises ValueError. They add

    take(**arrays) -> views     views of GPU arrays of any library, without a copy; NumPy arrays as they are
    stream(handle)              a context manager: work on GPU arrays is queued on this stream

`grids(backend)` returns the module that computes the sampling grid. An axis is (target, start, factor, shift), see
coordinates.Axis. D (N, 2 or 3, 3) is T - identity; a homography has a third row.

    matrix_forward(D, axes) -> points                       T(G) in pixels, start + factor d + shift
    matrix_backward(D, gpoints, axes, aspect) -> sums       (N, 8), over a sample's points, of gd_x (x, y, 1), gd_y
                                                            (x, y, 1), gd_x x + gd_y y, gd_y r x - gd_x y / r; of a
                                                            homography gX, gY for gd, and last gw (x, y)
    shift_forward(d, axes) -> points                        for any other map, given d = T(G) - G
    shift_backward(gpoints, axes) -> gd

The contract also covers special values. Every backend follows the same rules:

1. U and points share a dtype, float32 or float64; any other dtype is a TypeError. H = 0 or W = 0 is a ShapeError;
   N, C, Ho or Wo = 0 gives empty results. Inputs may have any memory layout and are not changed. Results share no
   memory with them.
2. A NaN coordinate (or phi) gives V = NaN in all channels and NaN in all gradients of that point; gU gets nothing.
3. zeros: each tap outside the image has the value 0; taps inside keep their pixels. border: x is clamped to [0, W - 1].
   reflect and mirror: x is reduced by the exact remainder modulo the period, then reflected. +-inf is outside (zeros)
   or at the edge on that side. Kernels with more taps than bilinear extend the image instead of moving x. (float32
   holds all integers only up to 2^24: on a longer axis W - 1 is rounded.)
4. The padding is flat where x was clamped, is infinite or lies exactly on the border. There the gradient of that
   coordinate is 0 for any pixels. The gradient of a phi outside its range is 0 too, and that of nearest everywhere.
5. Every tap of the cell inside the image is multiplied, even if its weight is 0: a NaN pixel reaches each sample whose
   cell contains it. The cell of a slope is the one on the side that `kink` names. The cell of a kernel with a width
   contains all pixels within its reach.
6. Backends agree exactly on which results are NaN or inf, and in value to 8 ulp of max |V|, if no partial sum of finite
   numbers overflows and no weight underflows; they may add in a different order. (Two exceptions agree only on which
   results are finite, and in value to rounding: kernels with a width, which sum up to hundreds of terms, and bicubic
   slopes with an unusual `a`. There an infinite pixel may meet a weight that is 0 except for rounding.)

7. Second order: a point moves by dx = slope * scale * dpoints pixels. Where the slope is 0, dx is 0. Where dx is 0, its
   terms multiply no pixel, so an infinite pixel leaves them 0.

Casts to integers come after clamping. No arithmetic is done on an infinite coordinate: without compilation it warns.

Reading order: scalar_math.py, literal.py (Eqs. 1-7 as loops), literal_second.py, vectorised.py, vectorised_second.py,
vectorised_grid.py (NumPy); cpu/ (Numba): jit.py, threads.py, restrict.py, pairwise.py, grid.py, blocks.py, bilinear.py,
nearest.py, cubic.py, windows.py, sampling.py, second.py, and for the layers blas.py, convolution.py, pooling.py; cuda/
(GPU): device.py, maths.py, kernels.py, lists.py, arrays.py, sampling.py, atomic.py.
"""

import functools
import sys
from types import ModuleType

import numpy as np

from stn_ref import checks
from stn_ref.kernels.scalar_math import KINKS, PADDINGS, TIES

HOMES = {"cpu": "cpu.sampling", "cuda": "cuda.sampling", "cuda_atomic": "cuda.atomic"}  # others: module = backend name
SECOND_HOMES = {backend: f"{backend}_second" for backend in ("literal", "vectorised")} | {"cpu": "cpu.second"}
GRID_HOMES = {backend: "cpu.grid" for backend in HOMES} | {"vectorised": "vectorised_grid"}  # points are NumPy arrays
BACKENDS = ("cpu", "literal", "vectorised")  # run everywhere
CUDA_BACKENDS = ("cuda", "cuda_atomic")  # need an NVIDIA GPU; differ in how they sum the gradient of U
ALL_BACKENDS = BACKENDS + CUDA_BACKENDS

PIXELS = {np.dtype(kind): np.array([0, 1, 0, 1, 0], kind) for kind in (np.float32, np.float64)}  # the unit of pixels

CUDA_INSTALL = 'pip install "numba-cuda[cu13]" (driver 580 or later) or "numba-cuda[cu12]" (driver 525 or later)'
INSTALL = {"numba": "pip install numba", "llvmlite": "pip install numba", "numba_cuda": CUDA_INSTALL}

__all__ = [
    "ALL_BACKENDS",
    "BACKENDS",
    "CUDA_BACKENDS",
    "KINKS",
    "PADDINGS",
    "PIXELS",
    "TIES",
    "compiled",
    "get",
    "grids",
    "second",
]


@functools.cache
def get(backend: str) -> ModuleType:
    """Return the module of a backend. The first call imports it, and with it numba or numba-cuda.

    Raises:
        ValueError: the name is unknown; the message lists the known names.
        ImportError: numba is missing for `cpu`, or numba-cuda for `cuda`.
    """
    return _home(backend, HOMES)


@functools.cache
def grids(backend: str) -> ModuleType:
    """Return what computes the sampling grid for that backend; raises as `get` does."""
    return _home(backend, GRID_HOMES)


@functools.cache
def second(backend: str) -> ModuleType:
    """Return the module with the second order of that backend; raises as `get` does, and for CUDA NotImplementedError.

    It is a module of its own, so that sampling imports and compiles none of it.
    """
    if backend in CUDA_BACKENDS:
        raise NotImplementedError(
            f"forward mode and second order have no CUDA kernels: use backend='cpu'; got {backend!r}"
        )
    return _home(backend, SECOND_HOMES)


def _home(backend: str, homes: dict[str, str]) -> ModuleType:
    checks.one_of("backend", backend, ALL_BACKENDS)
    return compiled(
        homes.get(backend, backend),
        f"backend {backend!r}",
        f", or use backend={'vectorised' if backend == 'cpu' else 'cpu'!r}",
    )


def compiled(module: str, user: str, instead: str = "") -> ModuleType:
    """Return a module of this package. The first call imports it.

    Args:
        module: its name, for example "cpu.convolution".
        user: what needs the module, for the error message.
        instead: an alternative that the error message suggests.

    Raises:
        ImportError: the module needs numba or numba-cuda, which is not installed.
    """
    try:
        __import__(f"{__name__}.{module}")  # not import_module: up to Python 3.10 a fork can leave its lock locked
        return sys.modules[f"{__name__}.{module}"]
    except ModuleNotFoundError as error:
        if error.name not in INSTALL:
            raise
        package = error.name.replace("llvmlite", "numba").replace("_", "-")
        raise ImportError(f"{user} needs {package}, which is not installed: {INSTALL[error.name]}{instead}") from None
