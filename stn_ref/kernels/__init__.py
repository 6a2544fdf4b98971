"""Inner loops, in pixel coordinates; they import nothing above them.

A sampling backend is a module with two pairs of functions, and knows neither align_corners nor normalisation:

    sample_forward(U, points, mode, padding, a, unit) -> V
    sample_backward(U, points, gV, mode, padding, kink, a, needs, unit) -> (gU, gpoints)
    wide_forward(U, points, phi, kernel, padding) -> V                      kernels k(d; phi) with a width
    wide_backward(U, points, phi, gV, kernel, padding, needs) -> (gU, gpoints, gphi)

`unit` says how a coordinate of `points` becomes pixels: an array (before, scale_x, after_x, scale_y, after_y) of the
dtype of U, and x is read as (x + before) scale_x + after_x, y likewise; gpoints is the gradient in the unit of points.
None, and PIXELS, leave pixels as they are.

The CUDA backends have the first pair, for bilinear and nearest, and refuse bicubic with a ValueError. They add

    take(**arrays) -> views     arrays of a GPU, of any library, read where they are
    stream(handle)              a context: work on such arrays is queued there

The grid is a second kind of module, `grids(backend)`, in literal.py, vectorised_grid.py and cpu/grid.py. An axis is
(target, start, factor, shift), see coordinates.Axis; D (N, 2 or 3, 3) is T - identity, the third row a homography's.

    matrix_forward(D, axes) -> points                       T(G) in pixels, start + factor d + shift
    matrix_backward(D, gpoints, axes, aspect) -> sums       (N, 8), over a sample's points, of gd_x (x, y, 1), gd_y
                                                            (x, y, 1), gd_x x + gd_y y, gd_y r x - gd_x y / r; of a
                                                            homography gX, gY for gd, and last gw (x, y)
    shift_forward(d, axes) -> points                        for any other map, given d = T(G) - G
    shift_backward(gpoints, axes) -> gd

Bad numbers are part of the contract, the same in every backend:

1. U and points share a dtype, float32 or float64; anything else is a TypeError. H or W = 0 is a ShapeError; N, C, Ho or
   Wo = 0 give empty results. Inputs are read only, in any memory layout, and results share no memory with them.
2. A NaN coordinate (or phi) gives V = NaN in all channels and NaN in all gradients of that point; gU gets nothing.
3. zeros: every pixel outside is 0, tap by tap; a point outside is not. border: x is clamped to [0, W - 1]; reflect and
   mirror: the exact remainder by the period, then the turn. +-inf is outside (zeros) or the edge on that side. Kernels
   with more taps than bilinear extend the image instead of moving x. (float32 knows integers to 2^24: on a longer axis
   W - 1 is what it rounds to.)
4. Where the padding is flat, because x was clamped, is infinite or lies on the border itself, the gradient of that
   coordinate is 0 whatever the pixels are; likewise that of a phi beyond its range, and that of nearest everywhere.
5. Every in-image tap of the cell is multiplied, weight 0 included: a NaN pixel reaches the samples whose cell holds it.
   The cell of a slope is that of the side that `kink` names; that of a kernel with a width is all at that distance or
   less.
6. Backends agree in their pattern of NaN and inf exactly, in value to 8 ulp of max |V|, as long as no partial sum of
   finite numbers overflows and no weight underflows: they may add in another order. (Kernels with a width sum up to
   hundreds of terms, and an infinite number may meet a weight that is 0 but for rounding, in bicubic slopes with an
   unusual `a`, too: there they agree in what is finite, and to rounding.)

Casts to integers come after clamping, and no arithmetic is done on an infinite coordinate: interpreted it would warn.

Reading order: scalar_math.py, literal.py (Eqs. 1-7 as loops), vectorised.py, vectorised_grid.py (NumPy); cpu/ (Numba):
jit.py, threads.py, restrict.py, pairwise.py, grid.py, blocks.py, bilinear.py, nearest.py, cubic.py, windows.py,
sampling.py, and for the layers blas.py, convolution.py, pooling.py; cuda/ (GPU): device.py, maths.py, kernels.py,
lists.py, arrays.py, sampling.py, atomic.py.
"""

import functools
import sys
from types import ModuleType

import numpy as np

from stn_ref import checks
from stn_ref.kernels.scalar_math import KINKS, PADDINGS

HOMES = {"cpu": "cpu.sampling", "cuda": "cuda.sampling", "cuda_atomic": "cuda.atomic"}  # others: their name
GRID_HOMES = {backend: "cpu.grid" for backend in HOMES} | {"vectorised": "vectorised_grid"}  # points are NumPy arrays
BACKENDS = ("cpu", "literal", "vectorised")  # they run everywhere
CUDA_BACKENDS = ("cuda", "cuda_atomic")  # they need an NVIDIA GPU, and differ in how they add up the gradient of U
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
    "compiled",
    "get",
    "grids",
    "take",
]


@functools.cache
def get(backend: str) -> ModuleType:
    """Return the backend of that name, imported when it is first asked for: numba and numba-cuda are, too.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
        ImportError: `cpu` without numba, `cuda` without numba-cuda.
    """
    return _home(backend, HOMES)


@functools.cache
def grids(backend: str) -> ModuleType:
    """Return what computes the sampling grid for that backend; raises as `get` does."""
    return _home(backend, GRID_HOMES)


def _home(backend: str, homes: dict[str, str]) -> ModuleType:
    checks.one_of("backend", backend, ALL_BACKENDS)
    return compiled(
        homes.get(backend, backend),
        f"backend {backend!r}",
        f", or use backend={'vectorised' if backend == 'cpu' else 'cpu'!r}",
    )


def take(backend: str, **arrays) -> tuple:
    """Return the arguments as a backend reads them: arrays of a GPU as views, without a copy; others as they are.

    Args:
        backend: a CUDA backend takes any object with `__cuda_array_interface__`, such as an array of CuPy or JAX or a
            tensor of PyTorch.
        arrays: name -> argument.

    Raises:
        TypeError: some are on a GPU and others are not, or the backend is none for a GPU.
    """
    on_gpu = [name for name, array in arrays.items() if hasattr(array, "__cuda_array_interface__")]
    if not on_gpu:
        return tuple(arrays.values())
    if backend not in CUDA_BACKENDS:
        raise TypeError(
            f"{on_gpu[0]} must be a NumPy array with backend={backend!r}; got {type(arrays[on_gpu[0]]).__name__} on a "
            "GPU, which backend='cuda' takes"
        )
    return get(backend).take(**arrays)


def compiled(module: str, user: str, instead: str = "") -> ModuleType:
    """Return a module of this package, imported when it is first asked for.

    Args:
        module: its name, such as "cpu.convolution".
        user: who asks, for the message.
        instead: what else the message can advise.

    Raises:
        ImportError: it needs numba or numba-cuda, which is not installed.
    """
    try:
        __import__(f"{__name__}.{module}")  # not import_module: up to Python 3.10 it locks, and a fork may keep it so
        return sys.modules[f"{__name__}.{module}"]
    except ModuleNotFoundError as error:
        if error.name not in INSTALL:
            raise
        package = error.name.replace("llvmlite", "numba").replace("_", "-")
        raise ImportError(f"{user} needs {package}, which is not installed: {INSTALL[error.name]}{instead}") from None
