"""The real command in a process of its own: killed at any moment, or the disk full, it loses one cell at most, and the
same command ends in the bits of one that was never disturbed."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from stn_ref.cli import main
from stn_ref.lab.experiments import table1

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")

RECIPE = {"epochs": 3, "batch_size": 50}  # 4 steps an epoch
CELLS = ["fcn/R", "st-fcn-affine/R", "st-fcn-affine/E"]
COMMAND = ["experiment", "table1", "--threads", "1", "--only", *CELLS]
CHILD = """
import os, signal, sys, numpy as np
from stn_ref import cli, files
from stn_ref.lab.experiments import table1
from stn_ref.lab.results import store
from stn_ref.nn import Adam
table1.RECIPES["smoke"] = {recipe}
signal.signal(signal.SIGINT, signal.default_int_handler)  # what is started in the background would ignore it
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
more = lambda calls: next(calls, None) is not None
{fault}
sys.exit(cli.main(sys.argv[1:]))
"""


def child(out, fault="", *, command=COMMAND, **options):
    """Start the command with a fault in it."""
    script = CHILD.format(recipe=RECIPE, fault=fault)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen([sys.executable, "-c", script, *command, "--out", str(out)], **streams)


def results(folder):
    """What the files say, apart from times and the machine."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text())
        for key in ("seconds", "date", "machine"):
            del result[key]
        del result["result"]["training_seconds"]
        found[path.name] = result | {"history": [{**row, "seconds": 0} for row in result["history"]]}
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(table1.RECIPES, "smoke", RECIPE)
        assert main([*COMMAND, "--out", str(out)]) == 0
    assert len(results(out)) == 3
    return results(out)


def finish(out, capsys, monkeypatch):
    """Give the same command again, here; return what it said."""
    monkeypatch.setitem(table1.RECIPES, "smoke", RECIPE)
    capsys.readouterr()
    assert main([*COMMAND, "--out", str(out)]) == 0
    return capsys.readouterr().err


def assert_whole(out, undisturbed):
    assert results(out) == undisturbed
    assert sorted(os.listdir(out)) == sorted(undisturbed)  # and no checkpoint, lock or half a file beside them


AT = """
replace, calls = os.replace, iter(range({}))  # three checkpoints and a result: 4 a cell
more_files = lambda b: not str(b).endswith((".npz", ".json")) or more(calls)  # kept machine code is renamed, too
"""
FAULTS = {  # what is done to the child; results that are safe by then; what the next says of the cell that was running
    "in the second epoch of the second cell": (
        "step, calls = Adam.step, iter(range(4 * 3 + 4 + 2)); Adam.step = lambda a: step(a) if more(calls) else die()",
        1,
        "continuing after epoch 1",
    ),
    "halfway through a checkpoint": (
        "savez, calls = np.savez, iter(range(3 + 2))\n"
        "half = lambda file: (file.write(b'PK half'), file.flush(), die())\n"
        "np.savez = lambda file, **arrays: savez(file, **arrays) if more(calls) else half(file)",
        1,
        "continuing after epoch 2",
    ),
    "halfway through a result": (
        "dumps, calls = store.json.dumps, iter(range(1))\n"
        "half = lambda file: (file.write(b'{\"format\": '), file.flush(), die())\n"
        "store.write, write = lambda path, r: write(path, r) if more(calls) else "
        "(part := files.replacing(path), half(part.__enter__())), store.write",
        1,
        "continuing after epoch 3",
    ),
    "before a result has its name": (
        AT.format(4 + 3) + "os.replace = lambda a, b: replace(a, b) if more_files(b) else die()",
        1,
        "continuing after epoch 3",
    ),
    "after a result has its name": (
        AT.format(4 + 3) + "os.replace = lambda a, b: replace(a, b) if more_files(b) else (replace(a, b), die())",
        2,
        "epoch 1/3",
    ),
    "before a lock is gone": (
        "unlink, calls = files.Path.unlink, iter(range(1))\n"
        "files.Path.unlink = lambda path, **options: "
        "die() if path.suffix == '.lock' and not more(calls) else unlink(path, **options)",
        2,
        "epoch 1/3",
    ),
}


@pytest.mark.parametrize(("fault", "safe", "says"), FAULTS.values(), ids=FAULTS.keys())
def test_kill_9_at_this_moment_loses_one_cell_at_most(tmp_path, undisturbed, capsys, monkeypatch, fault, safe, says):
    killed = child(tmp_path, fault)
    _, error = killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL, error
    there = results(tmp_path)
    assert len(there) == safe and there == {name: undisturbed[name] for name in there}
    said = finish(tmp_path, capsys, monkeypatch)
    assert f"3 cells of procedural data, {safe} of them in {tmp_path}\n{safe + 1}/3 {CELLS[safe]}, seed 0\n" in said
    assert says in said
    assert_whole(tmp_path, undisturbed)


def test_kill_9_at_random_moments_again_and_again(tmp_path, undisturbed, capsys, monkeypatch, request):
    moments, kills, wanted = random.Random(0), 0, request.config.getoption("--kills")
    while kills < wanted:
        out = tmp_path / str(kills)
        for _ in range(4):  # in one folder, then the rest is computed undisturbed
            running = child(out)
            for _ in range(moments.randrange(2, 6)):  # lines of progress
                running.stderr.readline()
            time.sleep(moments.random() * 0.05)
            running.kill()
            running.communicate(timeout=300)
            kills += running.returncode == -signal.SIGKILL
            there = results(out)
            assert there == {name: undisturbed[name] for name in there}
        finish(out, capsys, monkeypatch)
        assert_whole(out, undisturbed)


def test_ctrl_c_is_one_line_and_status_130(tmp_path, undisturbed, capsys, monkeypatch):
    interrupted = child(tmp_path, "step, calls = Adam.step, iter(range(17))\n"
        "Adam.step = lambda a: step(a) if more(calls) else os.kill(os.getpid(), signal.SIGINT)")  # fmt: skip
    _, error = interrupted.communicate(timeout=300)
    assert interrupted.returncode == 130 and "Traceback" not in error
    assert error.endswith("\nstn-ref experiment: interrupted; the same command continues from there\n")
    assert len(results(tmp_path)) == 1
    finish(tmp_path, capsys, monkeypatch)
    assert_whole(tmp_path, undisturbed)


@pytest.mark.parametrize(("room", "what"), [(300_000, "checkpoint"), (400, "result")])
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    tmp_path, undisturbed, capsys, monkeypatch, room, what
):  # no file may be larger than `room` once the first cell is done; a result has some 1,700 bytes
    limit = f"import resource; limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
    if what == "checkpoint":
        fault = limit + "write, store.write = store.write, lambda path, r: (write(path, r), limit())[0]"
    else:
        fault = limit + "calls, write = iter(range(1)), store.write\n" + (
            "store.write = lambda path, r: write(path, r) if more(calls) else (limit(), write(path, r))"
        )  # fmt: skip
    full = child(tmp_path, fault)
    _, error = full.communicate(timeout=300)
    assert full.returncode == 2
    name = f"table1-smoke-procedural-st-fcn-affine-R-seed0.{'checkpoint.npz' if what == 'checkpoint' else 'json'}"
    last = error.splitlines()[-1]
    assert last == f"stn-ref experiment: error: [Errno 27] cannot write: File too large: '{tmp_path / name}'"
    assert "Traceback" not in error and len(results(tmp_path)) == 1
    said = finish(tmp_path, capsys, monkeypatch)
    assert ("continuing after epoch 3" in said) == (what == "result")  # what was trained is not lost either
    assert_whole(tmp_path, undisturbed)


def test_two_processes_on_one_folder_compute_each_cell_once(tmp_path, undisturbed):
    both = [child(tmp_path) for _ in range(2)]
    said = [running.communicate(timeout=300)[1] for running in both]
    assert [running.returncode for running in both] == [0, 0], said
    began = [line for text in said for line in text.splitlines() if ", seed 0" in line]
    assert sorted(began) == [f"{k}/3 {cell}, seed 0" for k, cell in enumerate(CELLS, 1)]
    assert_whole(tmp_path, undisturbed)


def test_a_reader_who_has_gone_is_status_1_and_the_results_are_kept(tmp_path, undisturbed):
    read, write = os.pipe()
    os.close(read)
    running = child(tmp_path, stdout=write)
    os.close(write)
    _, error = running.communicate(timeout=300)
    assert running.returncode == 1 and "Traceback" not in error and "BrokenPipe" not in error
    assert_whole(tmp_path, undisturbed)
