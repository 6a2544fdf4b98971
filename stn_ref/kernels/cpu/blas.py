"""C = A B or C += A B on strided float32 or float64 matrices, callable from compiled code: all we need of BLAS.

NumPy and numba offer no product that adds to its output, or that reads a window of a wider matrix without a copy;
BLAS does. The routine is SciPy's, the same that numba's own `np.dot` calls. Call it inside `one_blas_thread`.
"""

import ctypes
from collections.abc import Callable

import numpy as np
from llvmlite import binding
from numba import config, types
from numba.extending import get_cython_function_address

from stn_ref.kernels.cpu.jit import njit

_NO, _YES = 78, 84  # b"N": as it lies in memory, b"T": transposed


def _routine(name: str) -> Callable:
    """Return a routine that compiled code finds by name: its address is another one in each process."""
    address = get_cython_function_address("scipy.linalg.cython_blas", name)
    if config.DISABLE_JIT:
        return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(address)
    binding.add_symbol(f"stn_ref_{name}", address)
    return types.ExternalFunction(f"stn_ref_{name}", types.void(*[types.voidptr] * 13))  # Fortran: all by reference


_sgemm = _routine("sgemm")
_dgemm = _routine("dgemm")


@njit(nogil=True)
def _layout(matrix):
    """Return (transposed or not, elements from one line in memory to the next).

    The stride of a single line may be anything, and BLAS wants its length.
    """
    if matrix.strides[1] == matrix.itemsize:
        return _NO, max(matrix.strides[0] // matrix.itemsize, matrix.shape[1])
    return _YES, max(matrix.strides[1] // matrix.itemsize, matrix.shape[0])


@njit(nogil=True)
def product(C, A, B, add):
    """Set C to the matrix product A B, or add it.

    C[i,j] = sum_k A[i,k] B[k,j],   or C[i,j] += ...

    Args:
        C: (I, J), changed in place; its rows are contiguous. All three share a dtype, float32 or float64, and may be
            windows of wider matrices.
        A: (I, K), rows or columns contiguous (it may be X.T).
        B: (K, J), likewise.
        add: whether to add. A sum of nothing, K = 0, leaves C as it is.
    """
    (n, m), k = C.shape, A.shape[1]
    if n == 0 or m == 0 or k == 0:
        return
    (trans_A, lda), (trans_B, ldb), (_, ldc) = _layout(A), _layout(B), _layout(C)
    # Fortran reads rows as columns: it is told C^T = B^T A^T, and sees our arrays as the transposed ones.
    trans = np.array([trans_B, trans_A], np.uint8)
    sizes = np.array([m, n, k, ldb, lda, ldc], np.int32)
    factors = np.array([1, add], C.dtype)  # of A B and of C
    if C.itemsize == 4:
        _sgemm(
            trans.ctypes, trans[1:].ctypes, sizes.ctypes, sizes[1:].ctypes, sizes[2:].ctypes, factors.ctypes,
            B.ctypes, sizes[3:].ctypes, A.ctypes, sizes[4:].ctypes, factors[1:].ctypes, C.ctypes, sizes[5:].ctypes,
        )  # fmt: skip
    else:
        _dgemm(
            trans.ctypes, trans[1:].ctypes, sizes.ctypes, sizes[1:].ctypes, sizes[2:].ctypes, factors.ctypes,
            B.ctypes, sizes[3:].ctypes, A.ctypes, sizes[4:].ctypes, factors[1:].ctypes, C.ctypes, sizes[5:].ctypes,
        )  # fmt: skip
