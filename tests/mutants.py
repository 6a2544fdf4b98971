"""Breaks the code on purpose, one fault at a time, and says which test notices: evidence about the tests, not the code.

    python tests/mutants.py                       every fault of mutants_table.py
    python tests/mutants.py --only 7 12           those two
    python tests/mutants.py --json report.json    the same lines as data, - for standard output

Run by hand: a fault takes from two seconds to a minute, most of it compiling; all of them about half an hour. Nothing
here touches the working tree: the repository at HEAD is copied to a temporary directory, faults are put in and taken
out there, and what is not committed is not seen.

For each fault the tests nearest to its file are run, up to the first that fails: first those that compile little, then
the others; where all pass, the whole suite is run. So "SURVIVED" means that no test at all noticed. A run that crashes,
or does not end within the time limit, counts as killed and is reported as such. The nearest tests must pass before the
first fault is put in, and a test elsewhere once the fault is taken out, or what they say would be worth nothing.

Exit status 0: every fault was killed; 1: some survived; 2: a fault does not fit the code, or tests fail without one.
"""

import argparse
import io
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutants_table import FAULTS, Fault

ROOT = Path(__file__).resolve().parent.parent
SUITE_LIMIT = 5  # times the limit of the nearest tests

SAMPLING = "test_sampler.py test_sampler_modes.py test_sampler_errors.py test_sampler_edges.py test_goldens.py"
NEAREST = {  # the tests of a file, quickest first; of several entries the longest that fits counts
    "transforms/": "test_transforms.py test_composition.py test_grid.py",
    "transforms/composition.py": "test_composition.py test_transforms.py",
    "transforms/tps.py": "test_tps.py test_tps_gradients.py test_tps_errors.py test_transforms.py",
    "coordinates.py": "test_grid.py test_grid_kernels.py test_transforms.py test_goldens.py test_sampler_errors.py",
    "grid.py": "test_grid.py test_grid_kernels.py test_transformer.py",
    "sampler.py": "test_goldens.py " + SAMPLING,
    "kernel_sampler.py": "test_widths.py",
    "second_order.py": "test_second_order.py",
    "transformer.py": "test_transformer.py test_widths.py",
    "kernels/": SAMPLING + " test_widths.py",
    "kernels/vectorised_grid.py": "test_transforms.py test_grid_kernels.py",
    "kernels/cpu/grid.py": "test_grid_kernels.py",
    "kernels/cpu/pairwise.py": "test_grid_kernels.py",
    "kernels/cuda": "kernels/test_cuda.py kernels/test_cuda_ptx.py",
    "kernels/literal_second.py": "test_second_order.py",
    "kernels/vectorised_second.py": "test_second_order.py",
    "kernels/cpu/second.py": "test_second_order.py",
    "kernels/cpu/windows.py": "test_widths.py test_sampler_modes.py test_goldens.py test_sampler_errors.py",
}
COMPILED = "blocks", "bilinear", "nearest", "cubic", "windows"
QUICK = {f"kernels/cpu/{name}.py": "cpu" for name in COMPILED}  # -k of the first try; others compile little


class Unusable(Exception):
    """The run would be worth nothing."""


def nearest_tests(file: str) -> list[str]:
    """Return the paths of the tests to try first."""
    entry = max((start for start in NEAREST if file.startswith(start)), key=len)
    return [f"tests/{name}" for name in dict.fromkeys(NEAREST[entry].split())]


def copy_of_head(folder: Path) -> Path:
    """Write the repository at HEAD to `folder`."""
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder)  # our own archive
    imported = run_python(folder, ["-c", "import stn_ref; print(stn_ref.__file__)"], 60)[1].strip()
    if not Path(imported).resolve().is_relative_to(folder.resolve()):
        raise Unusable(f"the copy in {folder} must win over an installed stn_ref; got {imported}")
    return folder


def run_python(folder: Path, arguments: list[str], limit: float) -> tuple[int | None, str]:
    """Run Python on the copy in `folder`; return its status, None if it had to be stopped, and what it said."""
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}  # a stale .pyc would hide a fault
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=env,
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=limit)
        return process.returncode, said
    except subprocess.TimeoutExpired:
        stop(process)
        return None, ""


def stop(process: subprocess.Popen) -> None:
    """End a process and, where the system can, those that it started."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()


def first_failure(folder: Path, tests: list[str], options: argparse.Namespace, only: str = "") -> str | None:
    """Run tests, all if the list is empty, up to the first that fails; return its name, None if all pass."""
    limit = options.limit if tests else SUITE_LIMIT * options.limit
    left_out = [f"--deselect={test}" for test in options.deselect]
    arguments = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-rfE", "-k", only, *left_out, *tests]
    status, said = run_python(folder, arguments, limit)
    if status is None:
        return f"time limit, {limit:g} s"
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", said, re.MULTILINE)
    if status in (1, 2) and failed:
        return failed[1]
    if status < 0 or status > 5:
        return f"crash, status {status}"
    if status != 0:
        raise Unusable(f"pytest ended with status {status}:\n{said[-2000:]}")
    return None


def put_in(folder: Path, fault: Fault) -> str:
    """Write the faulty file; return what was there before."""
    path = folder / "stn_ref" / fault.file
    before = path.read_text(encoding="utf-8")
    if before.count(fault.old) != 1 or fault.old == fault.new:
        raise Unusable(f"{fault.file}: {before.count(fault.old)} matches, expected 1 and a change; got {fault.old!r}")
    faulty = before.replace(fault.old, fault.new)
    compile(faulty, fault.file, "exec")  # a fault that is no Python would be killed by anything
    path.write_text(faulty, encoding="utf-8")
    return before


def take_out(folder: Path, fault: Fault, before: str) -> None:
    """Write the file as it was."""
    (folder / "stn_ref" / fault.file).write_text(before, encoding="utf-8")


def judge(folder: Path, fault: Fault, options: argparse.Namespace) -> str | None:
    """Return the test that kills the fault, None if it survives the whole suite."""
    before, tests = put_in(folder, fault), nearest_tests(fault.file)
    try:
        first = [f"tests/{fault.first}"] if fault.first else tests
        killer = first_failure(folder, first, options, QUICK.get(fault.file, "not (cpu or hostile)"))
        killer = killer or first_failure(folder, tests, options)
        if killer is not None:
            return killer
        killer = first_failure(folder, [], options)
    finally:
        take_out(folder, fault, before)
    if killer is not None and "::" in killer and first_failure(folder, [killer], options) is not None:
        raise Unusable(f"{killer} fails without a fault, too")
    return killer


def check_everything(folder: Path, numbers: list[int], options: argparse.Namespace) -> None:
    """Raise unless every fault fits the code once and the tests nearest to them pass without one."""
    for number in numbers:
        fault = FAULTS[number - 1]
        take_out(folder, fault, put_in(folder, fault))
    tests = dict.fromkeys(test for number in numbers for test in nearest_tests(FAULTS[number - 1].file))
    failure = first_failure(folder, list(tests), options)
    if failure is not None:
        raise Unusable(f"without a fault, too: {failure}")


def run(numbers: list[int], options: argparse.Namespace, out) -> list[dict]:
    """Judge the faults of these numbers, with a line for each as it comes; return the lines as data, in their order."""
    with tempfile.TemporaryDirectory(prefix="stn_ref_mutants_") as room, ThreadPoolExecutor(options.jobs) as pool:
        copies = queue.SimpleQueue()
        for k in range(options.jobs):
            copies.put(copy_of_head(Path(room) / str(k)))
        folder = copies.get()
        check_everything(folder, numbers, options)
        copies.put(folder)

        def one(number: int) -> dict:
            folder, fault, start = copies.get(), FAULTS[number - 1], time.perf_counter()
            try:
                killer = judge(folder, fault, options)
            finally:
                copies.put(folder)
            seconds = round(time.perf_counter() - start, 1)
            verdict = "SURVIVED" if killer is None else f"killed by {killer.removeprefix('tests/')}"
            print(f"{number:3} {seconds:6.1f} s  {fault.file}: {fault.what}\n{'':14}{verdict}", file=out, flush=True)
            return {"number": number, "file": fault.file, "what": fault.what, "killer": killer, "seconds": seconds}

        try:
            return list(pool.map(one, numbers))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def print_summary(results: list[dict], out) -> None:
    """Print how many faults of each file were killed, and the numbers of those that were not."""
    print(f"\n{'file':32}{'faults':>7}{'killed':>8}", file=out)
    for file in [*dict.fromkeys(result["file"] for result in results), ""]:
        lines = [result for result in results if file in ("", result["file"])]
        print(f"{file or 'all':32}{len(lines):7}{sum(r['killer'] is not None for r in lines):8}", file=out)
    survivors = [result["number"] for result in results if result["killer"] is None]
    print("survivors:", *(survivors or ["none"]), file=out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", nargs="+", type=int, metavar="N", help="the faults of these numbers, from 1")
    parser.add_argument("--json", metavar="FILE", help="write the results there, - for standard output")
    parser.add_argument("--jobs", type=int, default=1, help="faults at a time, each in a copy of its own")
    parser.add_argument("--limit", type=float, default=300, help="seconds for the nearest tests of a fault")
    parser.add_argument("--deselect", nargs="+", default=[], metavar="TEST", help="fails without a fault, too")
    options = parser.parse_args()
    numbers = options.only or list(range(1, len(FAULTS) + 1))
    if not set(numbers) <= set(range(1, len(FAULTS) + 1)):
        parser.error(f"--only must lie in 1 to {len(FAULTS)}; got {numbers}")
    out = sys.stderr if options.json == "-" else sys.stdout
    try:
        results = run(numbers, options, out)
    except Unusable as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_summary(results, out)
    if options.json:
        text = json.dumps({"faults": results}, indent=1) + "\n"
        if options.json == "-":
            sys.stdout.write(text)
        else:
            Path(options.json).write_text(text, encoding="utf-8")
    return 0 if all(result["killer"] is not None for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
