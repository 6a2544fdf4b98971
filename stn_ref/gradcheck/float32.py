"""Detect a forward that computes in float32, whose rounding hides small errors from finite differences.

Imports nothing of the package. Read next: report.py.
"""

from collections.abc import Callable

import numpy as np


def outputs_in_float32(y: np.ndarray) -> bool:
    """Return whether every output is exactly a float32 number, and some output has more than three decimals."""
    with np.errstate(all="ignore"):
        return bool(np.array_equal(y, y.astype(np.float32)) and not np.array_equal(y, np.round(y, 3)))


def input_in_float32(outputs: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> bool:
    """Return whether forward first rounds x to float32.

    If it does, x and x (1 + 2^-26) are the same float32 number and the outputs are equal to the last bit, but the next
    float32 number gives other outputs. Outputs that are rounded for other reasons, to whole numbers for example, must
    not be mistaken for this. So an output counts only if it changes in proportion to larger steps of x, and so steeply
    that float64 would show a step of 2^-26.

        y(x (1 + 2^-26)) == y(x)      y(next x) != y(x)      y(x (1 + 2^-17)) - y(x) = 2 (y(x (1 + 2^-18)) - y(x))

    Args:
        outputs: x -> outputs, flat.
        x: any shape.

    Returns:
        True only if at least one output counts and all that count behave like this. A later rounding is not detected.
    """
    with np.errstate(all="ignore"):
        single = x.astype(np.float32)
        if not np.isfinite(single).all():
            return False
        sign = np.resize([1.0, -1.0, -1.0], x.shape)  # mixed signs: a common factor might not change the outputs

        def moved(by):
            return outputs(np.asarray(single.astype(np.float64) * (1 + by * sign)))

        y, tiny, near, far = moved(0.0), moved(2.0**-26), moved(2.0**-18), moved(2.0**-17)
        after = outputs(np.asarray(np.nextafter(single, np.float32(np.inf) * sign, dtype=np.float32), np.float64))
        steep = np.abs(near - y) * 2.0**-8 > 64 * np.finfo(np.float64).eps * np.max(np.abs(y), initial=0)
        counts = steep & (np.abs(far - y - 2 * (near - y)) <= np.abs(near - y) / 8)
        return bool(counts.any() and (tiny == y)[counts].all() and (after != y)[counts].all())
