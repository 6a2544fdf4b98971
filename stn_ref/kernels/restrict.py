"""What C calls `restrict`: loads and stores that the compiler may assume never to touch the same memory.

Without this promise a loop that stores to one array while it gathers from another is not vectorised, because a store
might change what the next gather reads. `load` and `store` put the promise on single accesses as LLVM alias scopes,
on flat contiguous arrays and without a bounds test. Interpreted (NUMBA_DISABLE_JIT=1) they are plain indexing.
"""

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

if config.DISABLE_JIT:

    def load(array, i):
        """Return array[i]."""
        return array[i]

    def store(array, i, value):
        """Set array[i] = value."""
        array[i] = value

else:

    def _scope(module):
        domain = module.add_metadata([ir.MetaDataString(module, "stn_ref")])
        return module.add_metadata([module.add_metadata([ir.MetaDataString(module, "stores"), domain])])

    def _pointer(context, builder, array_type, array, i):
        data = cgutils.create_struct_proxy(array_type)(context, builder, value=array).data
        return builder.gep(data, [i])

    @intrinsic
    def load(typingctx, array, i):
        """Return array[i], promised not to be memory that `store` writes."""

        def codegen(context, builder, signature, args):
            value = builder.load(_pointer(context, builder, signature.args[0], args[0], args[1]))
            value.set_metadata("noalias", _scope(builder.module))
            return value

        return array.dtype(array, types.intp), codegen

    @intrinsic
    def store(typingctx, array, i, value):
        """Set array[i] = value, in memory that `load` is promised not to read."""

        def codegen(context, builder, signature, args):
            pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
            builder.store(args[2], pointer).set_metadata("alias.scope", _scope(builder.module))
            return context.get_dummy_value()

        return types.void(array, types.intp, array.dtype), codegen
