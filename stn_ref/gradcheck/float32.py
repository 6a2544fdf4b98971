"""Whether forward computes in float32, where finite differences know nothing of small errors.

Reads: nothing of the package. Read next: report.py.
"""

from collections.abc import Callable

import numpy as np


def outputs_in_float32(y: np.ndarray) -> bool:
    """Whether every output is a float32 number, and not only because it is a round one."""
    with np.errstate(all="ignore"):
        return bool(np.array_equal(y, y.astype(np.float32)) and not np.array_equal(y, np.round(y, 3)))


def input_in_float32(outputs: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> bool:
    """Whether forward rounds x to float32 before anything else.

    float32 does not tell x (1 + 2^-26) from its own number x, so the outputs are equal to the last bit, but it does
    tell the next float32 number. Outputs in steps of another size, such as whole numbers, are told apart by what they
    do when x moves further: only those count that follow in proportion, and so steeply that float64 would show 2^-26.

        y(x (1 + 2^-26)) == y(x)      y(next x) != y(x)      y(x (1 + 2^-17)) - y(x) = 2 (y(x (1 + 2^-18)) - y(x))

    Args:
        outputs: x -> outputs, flat.
        x: any shape.

    Returns:
        True only if every output that counts says so, and there is one. A rounding of some later number is not seen.
    """
    with np.errstate(all="ignore"):
        single = x.astype(np.float32)
        if not np.isfinite(single).all():
            return False
        sign = np.resize([1.0, -1.0, -1.0], x.shape)  # a common factor might not change the outputs at all

        def moved(by):
            return outputs(np.asarray(single.astype(np.float64) * (1 + by * sign)))

        y, tiny, near, far = moved(0.0), moved(2.0**-26), moved(2.0**-18), moved(2.0**-17)
        after = outputs(np.asarray(np.nextafter(single, np.float32(np.inf) * sign, dtype=np.float32), np.float64))
        steep = np.abs(near - y) * 2.0**-8 > 64 * np.finfo(np.float64).eps * np.max(np.abs(y), initial=0)
        counts = steep & (np.abs(far - y - 2 * (near - y)) <= np.abs(near - y) / 8)
        return bool(counts.any() and (tiny == y)[counts].all() and (after != y)[counts].all())
