"""The samplers on an NVIDIA GPU; atomic operations sum the gradient of U.

Only this gradient differs from sampling.py. It needs no extra memory and no sorting, however many points fall into one
pixel. The order of its sums changes from run to run, and so do the last bits.
"""

from stn_ref.kernels.cuda import kernels, sampling
from stn_ref.kernels.cuda.sampling import sample_forward, stream, take

__all__ = ["sample_backward", "sample_forward", "stream", "take"]


def _in_any_order(call, shape, points, gV, unit, padding, taps, ties):
    """Return gU, Eq. (6), summed by atomic operations."""
    gU = call.filled(shape, gV.dtype, 0)
    call.run(kernels.scatter, points.shape[1], points.shape[0], points, gV, gU, unit, padding, taps, ties)
    return gU


def sample_backward(
    U, points, gV, mode="bilinear", padding="zeros", kink="right", a=-0.75, needs=(True, True), unit=None, ties="even"
):
    """Return (gU, gpoints), Eqs. (6) and (7) times gV and summed; None for a gradient that `needs` excludes."""
    return sampling.backward(_in_any_order, U, points, gV, mode, padding, kink, needs, unit, ties)
