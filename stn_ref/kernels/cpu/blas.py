"""The matrix products C = A B and C += A B for compiled code, on strided float32 or float64 matrices.

NumPy and numba have no product that adds to its output, and none that reads a window of a wider matrix without a copy.
BLAS has both. The BLAS routine is SciPy's; numba's own `np.dot` calls the same one. Call `product` inside
`one_blas_thread`.
"""

import ctypes
from collections.abc import Callable

import numpy as np
from llvmlite import binding
from numba import config, types
from numba.extending import get_cython_function_address

from stn_ref.kernels.cpu.jit import njit

_NO, _YES = 78, 84  # b"N": not transposed, b"T": transposed


def _routine(name: str) -> Callable:
    """Return a BLAS routine that compiled code finds by name, because its address differs in each process."""
    address = get_cython_function_address("scipy.linalg.cython_blas", name)
    if config.DISABLE_JIT:
        return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(address)
    binding.add_symbol(f"stn_ref_{name}", address)
    return types.ExternalFunction(f"stn_ref_{name}", types.void(*[types.voidptr] * 13))  # Fortran: by reference


_sgemm = _routine("sgemm")
_dgemm = _routine("dgemm")


@njit(nogil=True)
def _layout(matrix):
    """Return (_NO or _YES, number of elements from one line in memory to the next).

    A matrix of a single line may have any stride there. BLAS requires at least the length of the line, hence the max.
    """
    if matrix.strides[1] == matrix.itemsize:
        return _NO, max(matrix.strides[0] // matrix.itemsize, matrix.shape[1])
    return _YES, max(matrix.strides[1] // matrix.itemsize, matrix.shape[0])


@njit(nogil=True)
def product(C, A, B, add):
    """Set C to the matrix product A B, or add the product to C.

    C[i,j] = sum_k A[i,k] B[k,j],   or C[i,j] += ...

    Args:
        C: (I, J), changed in place, with contiguous rows. A, B and C share a dtype, float32 or float64, and may be
            windows of wider matrices.
        A: (I, K), with contiguous rows or contiguous columns, as X.T has.
        B: (K, J), likewise.
        add: True adds to C, False overwrites it. With K = 0 the sum is empty, and C stays unchanged in both cases.
    """
    (n, m), k = C.shape, A.shape[1]
    if n == 0 or m == 0 or k == 0:
        return
    (trans_A, lda), (trans_B, ldb), (_, ldc) = _layout(A), _layout(B), _layout(C)
    # Fortran stores columns where C stores rows: it reads our arrays as transposed, so we call it for C^T = B^T A^T.
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
