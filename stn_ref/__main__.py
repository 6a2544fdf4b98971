"""The command `stn-ref`, also `python -m stn_ref`: prepare the process, then run the command line.

Modules are imported inside `main`, so that Ctrl-C during an import is one line and status 130.
"""

import contextlib
import os
import signal
import sys


def main() -> int:
    """Run the command that the process was started with; return its exit status."""
    try:
        _open_streams()
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # the exception removes locks and part files
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        _drop_nonsense("NUMBA_NUM_THREADS")
        from stn_ref.cli import main as run

        status = run()
    except SystemExit as end:
        status = end.code
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):
            print("\nstn-ref: interrupted", file=sys.stderr, flush=True)
        status = 130
    return _flushed() or status or 0


def _open_streams() -> None:
    """Replace closed standard streams by the null device, and characters that the output cannot show by `?`.

    Otherwise the next file that is opened would get the number of a closed stream, and receive its text.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it takes the first free number, this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))
    sys.stdout.reconfigure(errors="replace")


def _drop_nonsense(variable: str) -> None:
    """Remove an environment variable that is no positive integer: numba would warn with a traceback, or fail."""
    with contextlib.suppress(ValueError):
        if int(os.environ.get(variable, "1")) > 0:
            return
    del os.environ[variable]


def _flushed() -> int:
    """Write what is left in the buffers of the standard streams; return 1 if a stream cannot be written, else 0."""
    failed = 0
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # a full disk, or a reader that has gone: the interpreter would try again and complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
