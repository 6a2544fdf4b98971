"""C += A B on strided float32 or float64 matrices, callable from compiled code: the one BLAS routine we need.

NumPy and numba offer no product that adds to its output, or that reads a window of a wider matrix without a copy;
BLAS does. The routine is SciPy's, the same that numba's own `np.dot` calls. Call it inside `threads.parallel`, which
keeps BLAS on one thread.
"""

import ctypes

import numpy as np
from numba import njit
from numba.extending import get_cython_function_address

_ARGUMENTS = [ctypes.c_void_p] * 13  # Fortran: everything by reference


def _routine(name: str):
    return ctypes.CFUNCTYPE(None, *_ARGUMENTS)(get_cython_function_address("scipy.linalg.cython_blas", name))


_sgemm = _routine("sgemm")
_dgemm = _routine("dgemm")


@njit(nogil=True)
def _apart(matrix):
    """Elements from one row to the next; the stride of a single row may be anything, and BLAS wants the width."""
    return max(matrix.strides[0] // matrix.itemsize, matrix.shape[1])


@njit(nogil=True)
def add_product(C, A, B):
    """Add the matrix product A B to C.

    C[i,j] += sum_k A[i,k] B[k,j]

    Args:
        C: (I, J), changed in place. All three share a dtype, float32 or float64; their rows are contiguous, but may
            lie apart (windows of wider matrices).
        A: (I, K).
        B: (K, J).
    """
    (n, m), k = C.shape, A.shape[1]
    if n == 0 or m == 0 or k == 0:
        return
    # Fortran reads rows as columns: it is told C^T = B^T A^T, and sees our arrays as the transposed ones.
    no = np.full(1, 78, np.uint8)  # b"N": not transposed
    sizes = np.array([m, n, k, _apart(B), _apart(A), _apart(C)], np.int32)
    one = np.ones(1, C.dtype)
    if C.itemsize == 4:
        _sgemm(
            no.ctypes, no.ctypes, sizes.ctypes, sizes[1:].ctypes, sizes[2:].ctypes, one.ctypes,
            B.ctypes, sizes[3:].ctypes, A.ctypes, sizes[4:].ctypes, one.ctypes, C.ctypes, sizes[5:].ctypes,
        )  # fmt: skip
    else:
        _dgemm(
            no.ctypes, no.ctypes, sizes.ctypes, sizes[1:].ctypes, sizes[2:].ctypes, one.ctypes,
            B.ctypes, sizes[3:].ctypes, A.ctypes, sizes[4:].ctypes, one.ctypes, C.ctypes, sizes[5:].ctypes,
        )  # fmt: skip
