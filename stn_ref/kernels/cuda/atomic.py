"""The samplers on an NVIDIA GPU, the gradient of U added up by atomic operations.

As sampling.py in all but that gradient: it needs no memory beside its arrays and no sorting, however many points
meet in one pixel; the order of its sums, and with it the last bits, changes from run to run.
"""

from stn_ref.kernels.cuda import kernels, sampling
from stn_ref.kernels.cuda.sampling import sample_forward, stream, take

__all__ = ["sample_backward", "sample_forward", "stream", "take"]


def _in_any_order(call, shape, points, gV, unit, padding, taps):
    """Eq. (6) by atomic operations."""
    gU = call.filled(shape, gV.dtype, 0)
    call.run(kernels.scatter, points.shape[1], points.shape[0], points, gV, gU, unit, padding, taps)
    return gU


def sample_backward(
    U, points, gV, mode="bilinear", padding="zeros", kink="right", a=-0.75, needs=(True, True), unit=None
):
    """Eqs. (6) and (7), times gV and summed. Returns (gU, gpoints), None where `needs` says so."""
    return sampling.backward(_in_any_order, U, points, gV, mode, padding, kink, needs, unit)
