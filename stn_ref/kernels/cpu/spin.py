"""Waiting awake: watch a number in memory, without Python's lock, until another thread changes it.

Work reaches a thread that sleeps in about 100 us, as long as sampling a small batch takes, and one that is awake in 25
(medians, from the caller's `parallel` to the first line of the task). A thread that will be needed soon therefore
watches a counter for a while before it goes to sleep. Nothing depends on it but time: what threads tell each other goes
through queues, and the counters only say that it is worth looking.
"""

from numba import config
from numba.extending import intrinsic

from stn_ref.kernels.cpu.jit import njit

# Looks at the counter, 0.5 to 1 ns each: 0.1 to 0.2 ms. No `pause` between them, which x86 has for the sake of a second
# thread on the core: it takes 25 ns on one processor, other times on others, and nobody would know how long a watch is.
TURNS = 200_000
GRACE = 30_000  # more of them, 15 us: until the thread that raised the counter has left Python for its own kernel

if config.DISABLE_JIT:

    def count_and_watch(raised, watched, seen, turns, grace):
        """Add 1 to raised[0]; interpreted, a loop would hold the lock that others need to get on."""
        raised[0] += 1
        return False

else:
    from stn_ref.kernels.cpu.restrict import data_pointer

    @intrinsic
    def _read(typingctx, counter):
        """Return counter[0], from memory: the compiler may not assume that it stays as it is."""

        def codegen(context, builder, signature, args):
            return builder.load_atomic(data_pointer(context, builder, signature.args[0], args[0]), "acquire", 8)

        return counter.dtype(counter), codegen

    @intrinsic
    def _raise(typingctx, counter):
        """Add 1 to counter[0] in one step, after everything that was written before."""

        def codegen(context, builder, signature, args):
            one = context.get_constant(signature.return_type, 1)
            return builder.atomic_rmw("add", data_pointer(context, builder, signature.args[0], args[0]), one, "acq_rel")

        return counter.dtype(counter), codegen

    @njit(nogil=True)
    def count_and_watch(raised, watched, seen, turns, grace):
        """Add 1 to raised[0], then wait until watched[0] > seen, and for `grace` turns more.

        Both in one call: whoever waits for `raised` finds Python's lock free.

        Args:
            raised, watched: counters, int64 of length 1 or more.
            seen: the number that is known already.
            turns: how often to look before giving up.
            grace: turns to wait on after the change.

        Returns:
            Whether it changed.
        """
        _raise(raised)
        for _ in range(turns):
            if _read(watched) > seen:
                for _ in range(grace):
                    _read(watched)
                return True
        return False
