"""The samplers on an NVIDIA GPU, bilinear and nearest; the gradient of U has the same bits in every run.

The contract is that of every backend. GPU arrays are accepted as well, see arrays.py. One thread writes the gradient of
each point. The gradient of each pixel is summed in the order of the points; lists.py states the cost. This is the
default because the package promises the same bits for the same input. backend="cuda_atomic" sums in an order that
changes from run to run.

    with stn_ref.kernels.get("cuda").stream(torch.cuda.current_stream()):
        V = stn_ref.grid_sample(U, grid, backend="cuda")  # tensors on the GPU
        V = torch.as_tensor(V, device="cuda")
"""

import numpy as np

from stn_ref.kernels import PIXELS
from stn_ref.kernels.cuda import kernels, lists
from stn_ref.kernels.cuda.arrays import Call, stream, take
from stn_ref.kernels.scalar_math import KINKS, PADDINGS, TIES

__all__ = ["sample_backward", "sample_forward", "stream", "take"]

TAPS = {"nearest": 1, "bilinear": 2}  # number of taps along each axis


def _taps(mode: str) -> int:
    if mode not in TAPS:
        raise ValueError(f"the CUDA backends sample with mode 'bilinear' or 'nearest'; got {mode!r}: use backend='cpu'")
    return TAPS[mode]


def sample_forward(U, points, mode="bilinear", padding="zeros", a=-0.75, unit=None, ties="even"):
    """Return V (N, C, Ho, Wo), Eq. (3), for U (N, C, H, W) and points (N, Ho, Wo, 2)."""
    taps, padding, ties = _taps(mode), PADDINGS.index(padding), TIES.index(ties)
    N, C, _, _ = U.shape
    _, Ho, Wo, _ = points.shape
    with Call(U, points) as call:
        u, xy = call.arrays
        V = call.empty((N, C, Ho, Wo), u.dtype)
        call.run(kernels.forward, Ho * Wo, N, u, _rows(xy), _planes(V), _numbers(unit, u), padding, taps, ties)
        return call.result(V)


def backward(gather, U, points, gV, mode, padding, kink, needs, unit, ties):
    """Return (gU, gpoints); None for a gradient that `needs` excludes.

    Args:
        gather: (call, shape of U, points, gV, unit, padding, taps, ties) -> gU.
        U: (N, C, H, W).
        points: (N, Ho, Wo, 2).
        gV: (N, C, Ho, Wo).
        mode: "bilinear" or "nearest".
        padding: one of PADDINGS.
        kink: one of KINKS.
        needs: two flags, for gU and gpoints.
        unit: the unit of points and gpoints, see kernels/__init__.py.
        ties: one of TIES.
    """
    taps, padding, kink, ties = _taps(mode), PADDINGS.index(padding), KINKS.index(kink), TIES.index(ties)
    N, P = len(U), points.shape[1] * points.shape[2]
    with Call(U, points, gV) as call:
        u, xy, g = call.arrays
        gU = gpoints = None
        xy, g, unit = _rows(xy), _planes(g), _numbers(unit, u)
        if needs[0]:
            gU = call.result(gather(call, U.shape, xy, g, unit, padding, taps, ties))
        if needs[1]:
            gpoints = call.empty(points.shape, u.dtype)
            call.run(kernels.slopes, P, N, u, xy, g, _rows(gpoints), unit, padding, taps, ties, kink)
            gpoints = call.result(gpoints)
        return gU, gpoints


def _in_order(call, shape, points, gV, unit, padding, taps, ties):
    """Return gU, Eq. (6); the sum of each pixel has a fixed order."""
    N, _, H, W = shape
    P = points.shape[1]
    index = np.int32 if P < 2**31 else np.int64
    cells = (H + 1) * (W + 1)
    heads = call.filled((N, cells), index, -1)
    following = call.empty((N, P), index)
    call.run(lists.push, P, N, points, heads, following, H, W, unit, padding, taps, ties)
    call.run(lists.sort, cells, N, heads, following)
    gU = call.empty(shape, gV.dtype)
    call.run(lists.gather, H * W, N, points, gV, heads, following, gU, unit, padding, taps, ties)
    return gU


def sample_backward(
    U, points, gV, mode="bilinear", padding="zeros", kink="right", a=-0.75, needs=(True, True), unit=None, ties="even"
):
    """Return (gU, gpoints), Eqs. (6) and (7) times gV and summed; None for a gradient that `needs` excludes."""
    return backward(_in_order, U, points, gV, mode, padding, kink, needs, unit, ties)


def _numbers(unit, U):
    """Return the numbers of a unit as a tuple of the dtype of U; kernels take a tuple without a copy to the GPU."""
    return tuple(PIXELS[U.dtype] if unit is None else unit)


def _rows(points):
    """Return points (N, Ho, Wo, 2) as (N, P, 2)."""
    N, Ho, Wo, axes = points.shape
    return points.reshape(N, Ho * Wo, axes)


def _planes(V):
    """Return V (N, C, Ho, Wo) as (N, C, P)."""
    N, C, Ho, Wo = V.shape
    return V.reshape(N, C, Ho * Wo)
