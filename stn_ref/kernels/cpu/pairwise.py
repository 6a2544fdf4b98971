"""Sums in NumPy's order: a compiled sum has the same bits as `np.sum` over contiguous numbers.

NumPy halves a sum until at most BLOCK numbers are left. It adds those into eight totals, number k to total k % 8. The
error grows with the logarithm of the number of terms, and eight totals fill a vector register. (NumPy 2.0 first cuts
more than 8192 numbers into pieces of that length; 2.4 does not.)
"""

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from stn_ref.kernels.cpu.jit import njit
from stn_ref.kernels.cpu.restrict import load_scratch

BLOCK = 128  # the most numbers that are not halved

if config.DISABLE_JIT:

    def _eight_totals(array, first, stop):
        return tuple(
            array[first + k : stop : 8].cumsum()[-1] if stop > first else array.dtype.type(0) for k in range(8)
        )

else:
    from stn_ref.kernels.cpu.restrict import data_pointer

    @intrinsic
    def _eight_totals(typingctx, array, first, stop):
        """Return eight totals of array[first:stop], stop - first a multiple of 8, by one vector addition per step.

        Numba does not run LLVM's vectoriser of straight-line code, and the vectoriser of loops may not reorder sums.
        """
        totals = types.UniTuple(array.dtype, 8)

        def codegen(context, builder, signature, args):
            number = context.get_data_type(array.dtype)
            vector, address = ir.VectorType(number, 8), data_pointer(context, builder, signature.args[0], args[0])
            total = cgutils.alloca_once_value(builder, ir.Constant(vector, [ir.Constant(number, 0.0)] * 8))
            step = args[1].type(8)
            with cgutils.for_range_slice(builder, args[1], args[2], step, args[1].type) as (i, _):
                place = builder.bitcast(builder.gep(address, [i]), vector.as_pointer())
                eight = builder.load(place, align=array.dtype.bitwidth // 8)
                builder.store(builder.fadd(builder.load(total), eight), total)
            found = builder.load(total)
            numbers = [builder.extract_element(found, ir.IntType(32)(k)) for k in range(8)]
            return context.make_tuple(builder, totals, numbers)

        return totals(array, types.intp, types.intp), codegen


@njit(error_model="numpy")
def block_sum(array, first, count):
    """Return the sum of array[first:first + count], count <= BLOCK, in NumPy's order."""
    stop = first + count - count % 8
    a, b, c, d, e, f, g, h = _eight_totals(array, first, stop)
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for k in range(stop, first + count):
        total += load_scratch(array, k)
    return total


@njit(error_model="numpy")
def half(count):
    """Return the size of the first half of count > BLOCK numbers."""
    return count // 2 - count // 2 % 8
