"""The limits of the machine: how fast it copies memory, and how fast it multiplies matrices.

The other parts are compared with these limits. A copy of n bytes reads n / 2 and writes n / 2. A product of two K x K
matrices does 2 K^3 operations. Both run on our own threads, with one product on each thread.
"""

from collections.abc import Callable, Iterator

import numpy as np

from stn_ref.kernels.cpu import threads
from stn_ref.kernels.cpu.one_blas_thread import one_blas_thread
from stn_ref.lab.bench import timing

SIZES = (2**16, 2**20, 2**24, 2**28)  # bytes: in a core's cache, in the shared cache, in memory
LEAST_SHARE = 2**18  # bytes of a thread, which takes Python's lock after each copy
COPIED, MOST_TIMES = 2**25, 2**12  # least bytes in one call, most copies in one call
K = 512  # rows and columns of the matrices


def copy(n_bytes: int) -> tuple[Callable[[], None], float]:
    """Return a call that moves n_bytes several times, and 1 / the number of times.

    The call reads half of the bytes and writes half. Each thread in use copies a share of at least LEAST_SHARE. The
    copy is repeated, because starting work on a thread takes longer than copying an array that fits into a cache.
    """
    n = max(1, min(threads.get_num_threads(), n_bytes // LEAST_SHARE))
    times = min(MOST_TIMES, max(1, COPIED // max(1, n_bytes)))
    source = np.ones(max(1, n_bytes // 8), np.float32)
    target = np.zeros_like(source)
    shares = [(target[a:b], source[a:b]) for a, b in threads.spans(len(source), n)]

    def share(k: int) -> None:
        for _ in range(times):
            np.copyto(*shares[k])

    return lambda: threads.parallel(share, n), 1 / times


def products(dtype=np.float32) -> tuple[Callable[[], None], float]:
    """Return a call that multiplies two K x K matrices on each thread in use, and its number of operations."""
    n, rng = threads.get_num_threads(), np.random.default_rng(0)
    A, B = rng.random((2, K, K)).astype(dtype)
    C = np.empty((n, K, K), dtype)

    def multiply() -> None:
        with one_blas_thread:
            threads.parallel(lambda k: np.dot(A, B, out=C[k]), n)

    return multiply, 2.0 * n * K**3


def _copy_row(n_bytes: int, seconds: float) -> dict:
    call, share = copy(n_bytes)
    row = timing.compare({"ours": call}, seconds)
    row["ours_ms"] *= share
    return row | {"gigabytes_per_second": n_bytes / row["ours_ms"] / 1e6}


def _product_row(dtype, seconds: float) -> dict:
    call, flops = products(dtype)
    theirs = timing.in_pytorch("torch_product", threads.get_num_threads() * K, K, np.dtype(dtype).name)
    row = timing.compare({"ours": call, "torch": theirs}, seconds)
    return row | {"gigaflops": flops / row["ours_ms"] / 1e6}


def cases(n_threads: list[int], quick: bool) -> Iterator[timing.Case]:
    """Yield the cases of the copies and the products."""
    for n in n_threads[-1:] if quick else n_threads:
        for size in SIZES[2:3] if quick else SIZES:
            yield timing.Case(f"copy {size >> 10} KiB", n, lambda s, size=size: _copy_row(size, s), 1.0)
        for dtype in (np.float32,) if quick else (np.float32, np.float64):
            name = f"product {K}x{K} {np.dtype(dtype).name}"
            yield timing.Case(name, n, lambda s, dtype=dtype: _product_row(dtype, s), 1.0)
