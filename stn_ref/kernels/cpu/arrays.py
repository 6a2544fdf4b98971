"""How arrays are handed to compiled code."""

import numpy as np


def plain(array: np.ndarray) -> np.ndarray:
    """Return the array in one piece and writable, copied only if it is not: one compiled version serves all."""
    return np.require(array, requirements=["C", "W"])
