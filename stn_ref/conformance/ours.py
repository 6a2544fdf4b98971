"""Our own functions under names that `stn-ref check` accepts, for example "stn_ref.conformance.ours:literal"."""

from functools import partial

import numpy as np

from stn_ref.sampler import grid_sample, grid_sample_backward
from stn_ref.transforms.tps import ThinPlateSpline

literal = partial(grid_sample, backend="literal")
literal_backward = partial(grid_sample_backward, backend="literal")
vectorised = partial(grid_sample, backend="vectorised")
vectorised_backward = partial(grid_sample_backward, backend="vectorised")
cpu = partial(grid_sample, backend="cpu")
cpu_backward = partial(grid_sample_backward, backend="cpu")
cuda = partial(grid_sample, backend="cuda")
cuda_backward = partial(grid_sample_backward, backend="cuda")
cuda_atomic_backward = partial(grid_sample_backward, backend="cuda_atomic")


def tps(control_points: np.ndarray, destinations: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Return our thin-plate spline through destinations (P, 2) at control_points (P, 2), evaluated at xy (Q, 2)."""
    spline = ThinPlateSpline(control_points)
    return xy + spline.displacement(destinations.reshape(1, -1), xy[None])[0]
