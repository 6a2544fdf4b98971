"""The command line: every command is one call into the package.

Exit status: 0, success; 1, a check failed; 2, bad arguments or input, explained in one line; 130, interrupted.
Progress goes to standard error.
"""

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable

from stn_ref import __version__, checks, files
from stn_ref.cli.options import parser, refuse_ignored

WINDOWED = ("explore", "tutorials")  # commands that may open windows, with the user's MPLBACKEND
BAD_INPUT = (ValueError, TypeError, OSError, ImportError, OverflowError, MemoryError, checks.DeviceError)


def _dumps(report: dict) -> str:
    """Return strict JSON: a number that is not finite becomes null."""

    def strict(value):
        if isinstance(value, dict):
            return {key: strict(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [strict(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(strict(report), indent=2, allow_nan=False)


def _report_writer(target: str | None) -> Callable[[dict], None]:
    """Return the function that writes the report; raise OSError before the work if the file cannot be written."""
    if target is None:
        return lambda report: None
    if target == "-":
        return lambda report: print(_dumps(report), flush=True)
    files.expect_writable(target)
    return lambda report: files.write(target, _dumps(report) + "\n")


def _complain(line: str) -> None:
    with contextlib.suppress(OSError):  # standard error itself cannot be written
        print(line, file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit status."""
    args, unknown = parser().parse_known_args(argv)
    if unknown:  # the command's own parser reports it, so the message names its --help
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")

    if args.command not in WINDOWED:
        os.environ["MPLBACKEND"] = "agg"  # an unknown backend would fail when matplotlib is imported, after a training

    def note(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def say(line: str) -> None:
        print(line, file=sys.stderr if args.json == "-" else sys.stdout, flush=True)

    try:
        refuse_ignored(args)
        write = _report_writer(args.json)
        if args.threads is not None:
            from stn_ref import set_num_threads

            set_num_threads(args.threads)
        status, report = args.call(args, note, say)
        write({"command": args.command, "stn_ref": __version__, **report})
        return status
    except BrokenPipeError:  # the reader has closed the pipe, as in `stn-ref gradcheck | head`
        return 1
    except BAD_INPUT as error:
        if os.environ.get("STN_REF_TRACEBACK"):  # to debug this package
            raise
        _complain(f"stn-ref {args.command}: error: {' '.join(str(error).split()) or type(error).__name__}")
        return 2
    except FloatingPointError as error:  # a training that diverged
        _complain(f"stn-ref {args.command}: {error}")
        return 1
    except KeyboardInterrupt:
        hints = {
            "train": "; --resume continues from the last checkpoint",
            "experiment": "; the same command continues from there",
        }
        hint = hints.get(args.command, "")
        _complain(f"\nstn-ref {args.command}: interrupted{hint}")
        return 130
