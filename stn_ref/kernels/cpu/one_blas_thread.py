"""One BLAS thread inside our own parallel loops: `with one_blas_thread:`.

BLAS products on 1 and on 2 threads differ in their last bits. BLAS threads inside our threads would also be more than
the cores.
"""

import contextlib
import functools
import os
import threading

from threadpoolctl import ThreadpoolController

PATIENCE = 1.0  # seconds that a fork waits for other threads to leave BLAS


@functools.cache
def _blas() -> list:
    """Return threadpoolctl's handles of the BLAS libraries in this process."""
    with contextlib.suppress(ImportError):
        import scipy.linalg.cython_blas  # noqa: F401  compiled code calls SciPy's BLAS: load it before the search
    return ThreadpoolController().select(user_api="blas").lib_controllers


def _set_blas_threads(library, n: int) -> None:
    """Set the number of threads of one BLAS library, from any Python thread.

    From version 3.7 on, threadpoolctl ignores all threads except the first that set a number. `_OneBlasThread` counts
    its users itself, so this function calls the method without that guard.
    """
    getattr(library, "_real_set_num_threads", library.set_num_threads)(n)


class _OneBlasThread(contextlib.AbstractContextManager):
    """Limit BLAS to one thread, from the first entry to the last exit over all Python threads (about 7 us)."""

    def __init__(self):
        self.gate = threading.RLock()  # every entry acquires it; a fork holds it
        self.changed = threading.Condition()  # guards the attributes below; notified when a thread leaves
        self.users: list[int] = []  # the threads inside, once for each entry
        self.before: list[tuple] = []  # (library, its number of threads when no thread is inside)

    def __enter__(self):
        with self.gate, self.changed:
            inside = len(self.users)
            try:
                if not self.users:
                    self.before = [(library, library.num_threads) for library in _blas()]
                    for library, _ in self.before:
                        _set_blas_threads(library, 1)
                self.users.append(threading.get_ident())
            except BaseException:  # Ctrl-C: __exit__ will not be called
                del self.users[inside:]
                self._restore()
                raise

    def __exit__(self, *error):
        with self.changed:
            try:
                self.users.remove(threading.get_ident())
            finally:
                self._restore()
                self.changed.notify_all()

    def _restore(self):
        if not self.users:
            for library, n in self.before:
                _set_blas_threads(library, n)

    def _alone(self) -> bool:
        return set(self.users) <= {threading.get_ident()}

    def before_fork(self):
        """Block new entries, and wait at most PATIENCE for other threads to leave: one may be waiting for the fork."""
        self.gate.acquire()
        self.changed.acquire()
        self.changed.wait_for(self._alone, PATIENCE)

    def after_fork(self):
        """Allow entries again."""
        self.changed.release()
        self.gate.release()

    def after_fork_in_child(self):
        """Remove the threads that do not exist in the child."""
        if not self._alone():
            self.users = [user for user in self.users if user == threading.get_ident()]
            self._restore()
        self.after_fork()


one_blas_thread = _OneBlasThread()

if hasattr(os, "register_at_fork"):
    # OpenBLAS has its own locks. A child that is forked while another thread holds one would wait for it forever, so
    # none of our threads is in BLAS during a fork.
    os.register_at_fork(
        before=one_blas_thread.before_fork,
        after_in_parent=one_blas_thread.after_fork,
        after_in_child=one_blas_thread.after_fork_in_child,
    )
