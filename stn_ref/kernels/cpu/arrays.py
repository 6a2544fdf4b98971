"""The memory layout of arrays that compiled code receives."""

import numpy as np


def plain(array: np.ndarray) -> np.ndarray:
    """Return the array if it is contiguous and writable, else a copy that is: then one compiled version serves all."""
    return np.require(array, requirements=["C", "W"])
