"""What C calls `restrict`: accesses that the compiler may assume never to touch the same memory.

Without such a promise a loop that stores to one array while it gathers from another is not vectorised, because a store
might change what the next gather reads. The rule: throughout one call from Python each array plays one part,

    input     read by `load`
    output    written by `store`, and never read by `load` or `load_scratch`
    scratch   written by `store_scratch` and read by `load_scratch`

and no two of these overlap, whoever makes the accesses: the compiler may inline one function into another, and then
believes the promises of both. Two scratch arrays may overlap, so a loop that keeps two apart is left to the compiler.
Plain indexing promises nothing and mixes with all three.

The promises are LLVM alias scopes on single accesses, to flat contiguous arrays and without a bounds test. Interpreted
(NUMBA_DISABLE_JIT=1) they are plain indexing.
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

    load_scratch, store_scratch = load, store

else:

    def _scopes(module, *names):
        domain = module.add_metadata([ir.MetaDataString(module, "stn_ref")])
        scopes = [module.add_metadata([ir.MetaDataString(module, name), domain]) for name in names]
        return module.add_metadata(scopes)

    def _pointer(context, builder, array_type, array, i):
        data = cgutils.create_struct_proxy(array_type)(context, builder, value=array).data
        return builder.gep(data, [i])

    def _load(array, mine: tuple, others: tuple):
        def codegen(context, builder, signature, args):
            value = builder.load(_pointer(context, builder, signature.args[0], args[0], args[1]))
            if mine:
                value.set_metadata("alias.scope", _scopes(builder.module, *mine))
            value.set_metadata("noalias", _scopes(builder.module, *others))
            return value

        return array.dtype(array, types.intp), codegen

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
