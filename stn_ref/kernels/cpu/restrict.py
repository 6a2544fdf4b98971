"""Array accesses with a promise to the compiler, as `restrict` in C: they never touch the same memory.

A loop that stores to one array and gathers from another is not vectorised without this promise, because a store might
change what the next gather reads. The rule: during one call from Python each array has one role,

    input     read by `load`
    output    written by `store`, and never read by `load` or `load_scratch`
    scratch   written by `store_scratch` and read by `load_scratch`

and arrays with different roles do not overlap. The rule holds across functions: the compiler may inline one function
into another and then relies on the promises of both. Two scratch arrays may overlap each other.
Plain indexing promises nothing and may be mixed with all three. `prefetch` does not count as an access and may name any
array.

The promises are LLVM alias scopes on single accesses, to flat contiguous arrays, without a bounds test. Without
compilation (NUMBA_DISABLE_JIT=1) the accesses are plain indexing.
"""

import sys

from llvmlite import binding, ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

FAST_GATHERS = binding.get_host_cpu_features().get("avx512f", False)

if config.DISABLE_JIT:

    def load(array, i):
        """Return array[i]."""
        return array[i]

    def store(array, i, value):
        """Set array[i] = value."""
        array[i] = value

    load_scratch, store_scratch = load, store

    def load_pair(array, i):
        """Return (array[i], array[i + 1])."""
        return array[i], array[i + 1]

    def prefetch(array, i):
        """Do nothing."""

else:

    def _scopes(module, *names):
        domain = module.add_metadata([ir.MetaDataString(module, "stn_ref")])
        scopes = [module.add_metadata([ir.MetaDataString(module, name), domain]) for name in names]
        return module.add_metadata(scopes)

    def data_pointer(context, builder, array_type, array):
        """Return the address of the first element, for use in the code of an intrinsic."""
        return cgutils.create_struct_proxy(array_type)(context, builder, value=array).data

    def _pointer(context, builder, array_type, array, i):
        return builder.gep(data_pointer(context, builder, array_type, array), [i])

    def _load(array, mine: tuple, others: tuple):
        def codegen(context, builder, signature, args):
            value = builder.load(_pointer(context, builder, signature.args[0], args[0], args[1]))
            if mine:
                value.set_metadata("alias.scope", _scopes(builder.module, *mine))
            value.set_metadata("noalias", _scopes(builder.module, *others))
            return value

        return array.dtype(array, types.intp), codegen

    def _halves(builder, number):
        """Return the two float32 numbers in an int64, in memory order."""
        low, high = number, builder.lshr(number, ir.IntType(64)(32))
        halves = [builder.bitcast(builder.trunc(half, ir.IntType(32)), ir.FloatType()) for half in (low, high)]
        return halves if sys.byteorder == "little" else halves[::-1]

    def _store(array, mine: tuple, others: tuple):
        def codegen(context, builder, signature, args):
            access = builder.store(args[2], _pointer(context, builder, signature.args[0], args[0], args[1]))
            access.set_metadata("alias.scope", _scopes(builder.module, *mine))
            access.set_metadata("noalias", _scopes(builder.module, *others))
            return context.get_dummy_value()

        return types.void(array, types.intp, array.dtype), codegen

    @intrinsic
    def load(typingctx, array, i):
        """Return array[i] of an input: memory that neither `store` nor `store_scratch` writes."""
        return _load(array, mine=(), others=("output", "scratch"))

    @intrinsic
    def store(typingctx, array, i, value):
        """Set array[i] = value in an output: memory that neither `load` nor `load_scratch` reads."""
        return _store(array, mine=("output",), others=("scratch",))

    @intrinsic
    def load_scratch(typingctx, array, i):
        """Return array[i] of scratch memory, which `store_scratch` may have written and `store` never writes."""
        return _load(array, mine=("scratch",), others=("output",))

    @intrinsic
    def store_scratch(typingctx, array, i, value):
        """Set array[i] = value in scratch memory, which `load_scratch` may read and `load` never reads."""
        return _store(array, mine=("scratch",), others=("output",))

    @intrinsic
    def load_pair(typingctx, array, i):
        """Return (array[i], array[i + 1]) of an input.

        On a processor with fast gathers, two float32 are loaded as one 64-bit number: one gather instead of two. The
        time of a gather depends on the number of elements and hardly on their size. Elsewhere both are plain loads.
        """
        pair = types.UniTuple(array.dtype, 2)

        def codegen(context, builder, signature, args):
            pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
            alone = _scopes(builder.module, "output", "scratch")
            if array.dtype == types.float32 and FAST_GATHERS:
                number = builder.load(builder.bitcast(pointer, ir.IntType(64).as_pointer()))
                number.align = 4
                number.set_metadata("noalias", alone)
                values = _halves(builder, number)
            else:
                values = [builder.load(builder.gep(pointer, [ir.IntType(64)(k)])) for k in range(2)]
                for value in values:
                    value.set_metadata("noalias", alone)
            return context.make_tuple(builder, pair, values)

        return pair(array, types.intp), codegen

    @intrinsic
    def prefetch(typingctx, array, i):
        """Prefetch array[i], which will be read or written soon; i may lie outside the array."""

        def codegen(context, builder, signature, args):
            pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
            byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
            call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
            builder.call(call, [builder.bitcast(pointer, byte), flag(0), flag(3), flag(1)])  # read, keep, data
            return context.get_dummy_value()

        return types.void(array, types.intp), codegen
