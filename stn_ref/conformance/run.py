"""Run the claims: in this process (`check`), or in a separate one that may crash, hang or exit (`run`).

A sampler in C can crash the whole interpreter. So `run` starts a worker process and reads one line for each claim that
the worker finishes. If the worker dies or takes too long, `run` starts another one for the remaining claims. What the
sampler prints goes to standard error and is never mixed with the answers.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from stn_ref import checks
from stn_ref.conformance.claim import Claim, NotOffered, Violated
from stn_ref.conformance.claims import CLAIMS
from stn_ref.conformance.subject import Spec, Subject
from stn_ref.kernels.cpu import threads

OUTCOMES = ("satisfied", "violated", "not offered", "crash", "timeout", "error")
PASSES = ("satisfied", "not offered")
IMPORT_LIMIT = 120.0  # seconds to import the functions under test; frameworks that compile are slow

_WORKER = (
    "import json, sys; request = json.loads(sys.argv[1]); sys.path[:] = request['path'];"
    "from stn_ref.conformance import worker; worker.main(request)"
)


@dataclass(frozen=True)
class Verdict:
    """The result of one claim.

    Args:
        claim: name of the claim.
        outcome: one of OUTCOMES.
        detail: the numbers, the option that is not offered, or the error; "" if satisfied.
        seconds: duration.
    """

    claim: str
    outcome: str
    detail: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the claim is satisfied or is about an option that is not offered."""
        return self.outcome in PASSES

    def to_dict(self) -> dict:
        """Return the fields, for a report."""
        return asdict(self)


def select(only: Iterable[str] | None = None) -> list[Claim]:
    """Return the claims with these names, in teaching order, or all for None; raise ValueError for an unknown name."""
    if only is None:
        return list(CLAIMS.values())
    names = [only] if isinstance(only, str) else list(only)
    for name in names:
        checks.one_of("claim", name, CLAIMS)
    return [claim for name, claim in CLAIMS.items() if name in names]


def judge(claim: Claim, subject: Subject) -> Verdict:
    """Return the verdict on one claim, judged in this process: an exception gives a verdict, a crash ends it."""
    start = time.perf_counter()
    outcome, detail = "satisfied", ""
    subject.called = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            claim.check(subject)
    except Violated as error:
        outcome, detail = "violated", str(error)
    except NotOffered as error:
        outcome, detail = "not offered", str(error)
    except SystemExit as error:
        outcome, detail = "crash", f"crash: it called sys.exit({error.code!r})"
    except Exception as error:
        outcome, detail = "error", f"{type(error).__name__}: {error}"
    if outcome in ("violated", "error") and subject.called:
        detail += f" [{', '.join(f'{name}={value}' for name, value in subject.called.items())}]"
    return Verdict(claim.name, outcome, " ".join(detail.split()), time.perf_counter() - start)


def check(subject: Subject, claims: Iterable[Claim] | None = None) -> list[Verdict]:
    """Return the verdicts on `claims` (None: all claims), judged in this process."""
    return [judge(claim, subject) for claim in (select() if claims is None else claims)]


def run(
    spec: Spec,
    *,
    only: Iterable[str] | None = None,
    time_limit: float = 60.0,
    note: Callable[[Verdict], None] | None = None,
) -> list[Verdict]:
    """Return the verdicts on the functions that `spec` names, judged in a separate process.

    Args:
        spec: the names of the functions.
        only: names of claims; None: all claims.
        time_limit: seconds for each claim.
        note: called with each verdict as soon as it is known.

    Raises:
        ImportError: a module cannot be imported, or its import ends the process.
        ValueError: a function does not exist, or a claim is unknown.
    """
    checks.between("time_limit", time_limit, 1e-3, 1e6)
    left, verdicts = [claim.name for claim in select(only)], []
    while left:
        for verdict in _worker(spec, left, time_limit):
            left = left[1:]
            verdicts.append(verdict)
            if note is not None:
                note(verdict)
            if (verdict.claim, verdict.outcome) == (next(iter(CLAIMS)), "error"):
                return verdicts  # the function cannot be called at all: the other claims would repeat the error
    return verdicts


def _worker(spec: Spec, names: list[str], time_limit: float) -> Iterable[Verdict]:
    """Yield verdicts until all claims are judged or the worker dies or exceeds the limit, which is a verdict, too."""
    request = {"spec": asdict(spec), "claims": names, "path": [os.getcwd(), *sys.path]}
    command = [sys.executable, "-c", _WORKER, json.dumps(request)]
    counts = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), str(threads.get_num_threads()))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=os.environ | counts)
    lines = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    try:
        answer = _next(lines, max(time_limit, IMPORT_LIMIT))
        if answer is None:
            raise ImportError(f"the worker did not import {_told(spec)} in {max(time_limit, IMPORT_LIMIT):g} s")
        if answer == "":
            raise ImportError(f"importing {_told(spec)} ended the process: {_ending(process)}")
        if "error" in answer:
            kind = {"ImportError": ImportError, "ValueError": ValueError}[answer["error"]]
            raise kind(answer["text"])
        for name in names:
            start = time.perf_counter()
            answer = _next(lines, time_limit)
            if isinstance(answer, dict):
                yield Verdict(**answer)
                continue
            seconds = time.perf_counter() - start
            if answer is None:
                yield Verdict(name, "timeout", f"timeout after {time_limit:g} s", seconds)
            else:
                yield Verdict(name, "crash", f"crash: {_ending(process)}", seconds)
            return
    finally:
        process.kill()
        process.wait()


def _read(stream, lines: queue.SimpleQueue) -> None:
    with stream:
        for line in stream:
            lines.put(line)
    lines.put(b"")


def _next(lines: queue.SimpleQueue, limit: float) -> dict | str | None:
    """Return the worker's next answer, "" if the worker has ended, None if no answer comes within `limit` seconds."""
    try:
        line = lines.get(timeout=limit)
    except queue.Empty:
        return None
    return json.loads(line) if line.endswith(b"\n") else ""


def _ending(process: subprocess.Popen) -> str:
    status = process.wait()
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {-status} ({signal.Signals(-status).name})"
    except ValueError:
        return f"signal {-status}"


def _told(spec: Spec) -> str:
    return ", ".join(name for name in asdict(spec).values() if name is not None)
