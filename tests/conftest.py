import os

os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def relative(a, n):
    """max|a - n| / max(|a|, |n|), the error that all comparisons use."""
    scale = max(np.abs(a).max(initial=0), np.abs(n).max(initial=0))
    return 0.0 if scale == 0 else np.abs(a - n).max() / scale
