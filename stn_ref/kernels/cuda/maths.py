"""The scalar maths of sampling on the GPU: scalar_math.py, compiled, and products that are always rounded.

A GPU compiler fuses a * b + c into one operation that rounds once. `times` prevents the fusion: coordinates and weights
are then equal to those of the other backends to the bit, and slopes of a constant image are 0. `times` costs no time,
because memory limits the speed of sampling.

Read next: kernels.py.
"""

import math

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic

from stn_ref.kernels import scalar_math
from stn_ref.kernels.cuda.device import SIMULATED, device
from stn_ref.kernels.scalar_math import CENTRAL, LEFT, RIGHT, bound

ROUNDED_PRODUCTS = {types.float32: "__nv_fmul_rn", types.float64: "__nv_dmul_rn"}  # functions of CUDA's library


@device
def floor(x):
    """Return the floor of a coordinate as an integer; on CUDA math.floor returns a float."""
    return int(math.floor(x))  # noqa: RUF046


fold = device(scalar_math.fold if SIMULATED else bound(scalar_math.fold, remainder=math.fmod))
cell = device(bound(scalar_math.cell, floor=floor))
nearest = device(scalar_math.nearest)


if SIMULATED:

    def times(a, b):
        """Return a * b."""
        return a * b

else:

    @intrinsic
    def times(typing_context, a, b):
        """Return a * b, rounded and never fused with a sum. Operands of different types do not compile."""
        if a != b or a not in ROUNDED_PRODUCTS:
            return None

        def build(context, builder, signature, args):
            number = context.get_value_type(a)
            product = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(number, [number, number]), ROUNDED_PRODUCTS[a]
            )
            return builder.call(product, args)

        return a(a, b), build


@device
def pixel(points, b, p, unit):
    """Return (x_s, y_s) of point p of image b in pixels: scalar_math.to_pixel without fused operations."""
    x, y = points[b, p, 0], points[b, p, 1]
    if abs(x) != math.inf:
        x = times(x + unit[0], unit[1]) + unit[2]
    if abs(y) != math.inf:
        y = times(y + unit[0], unit[3]) + unit[4]
    return x, y


@device
def corner(x, size, padding, taps, ties):
    """Return (m, t, slope) of a coordinate x: the first tap, the fraction t = x - m, and the slope of the padding.

    Args:
        x: the coordinate, pixels.
        size: H or W.
        padding: ZEROS, ...
        taps: 2 for bilinear: m and m + 1 have the weights 1 - t and t. 1 for nearest: m has the weight 1; t and the
            slope are 0.
        ties: EVEN or UP, for nearest.
    """
    x, slope = fold(x, size, padding)
    m, t = cell(x, size)
    if taps == 1:
        m, t, slope = nearest(m, t, ties), type(t)(0), type(t)(0)
    return m, t, slope


@device
def weight(k, t):
    """Return the weight of tap k = 0 or 1 at the fraction t."""
    return t if k == 1 else type(t)(1) - t


@device
def slope_taps(t, kink):
    """Return (first, last), counted from m: the first and the last tap of dV/dx at the fraction t.

    Away from kinks this is the cell (0, 1) for every value of `kink`.
    """
    if t != 0 or kink == RIGHT:
        return 0, 1
    if kink == LEFT:
        return -1, 0
    if kink == CENTRAL:
        return -1, 1
    return 0, 0  # Eq. (7) as printed: U[x] itself


@device
def slope_weight(k, first, last, one):
    """Return dk/dx of tap k: -1 and 1 at the ends of one cell, half of that over two cells, and 1 "as_printed".

    Args:
        k: the tap, between first and last.
        first: the first tap, from slope_taps.
        last: the last tap, from slope_taps.
        one: 1 in the dtype of the computation.
    """
    if last == first:
        return one
    end = type(one)(0.5) if last - first == 2 else one
    if first < k < last:
        return type(one)(0)
    return -end if k == first else end
