"""Whatever the command line, the environment and the streams are: a clear line and a status, never a traceback."""

import os
import signal
import subprocess
import sys

import pytest

from stn_ref.cli import demo, main

posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
COMMAND = f"{sys.executable} -m stn_ref"


def in_shell(*lines, **environment):
    """Run shell lines at the same time; return (status, standard output, standard error) of each."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": os.environ | environment, "text": True}
    children = [subprocess.Popen(["bash", "-c", line], errors="replace", **options) for line in lines]
    found = [(child.communicate(timeout=120), child.returncode) for child in children]
    return [(status, *texts) for texts, status in found]


def status_of(argv):
    """The status of a command, also if argparse ends it."""
    try:
        return main(argv)
    except SystemExit as end:
        return end.code


def test_an_empty_name_or_path_is_refused_before_anything_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for argv, argument in (
        (["figures", "--image", ""], "--image"),
        (["explore", "--image", ""], "--image"),
        (["explore", "--transform", ""], "--transform"),
        (["figures", "--image", "x.png", "--transform", ""], "--transform"),
        (["figures", "kinks", "--out", ""], "--out"),
        (["figures", ""], "NAME"),
        (["demo", "--out="], "--out"),
        (["train", "--out", ""], "--out"),
        (["train", "--data", ""], "--data"),
        (["experiment", "table1", "--out", ""], "--out"),
        (["experiment", "table1", "--data", ""], "--data"),
        (["experiment", "--results", "--out", ""], "--out"),
        (["experiment", "--results", "--markdown", ""], "--markdown"),
        (["experiment", ""], "NAME"),
        (["check", "--peers", "--markdown", ""], "--markdown"),
        (["check", ""], "MODULE:FUNCTION"),
        (["data", "verify", "--dir", ""], "--dir"),
        (["data", "verify", ""], "name"),
        (["tutorials", "copy", ""], "NAME"),
        (["bench", "--only", ""], "--only"),
        (["info", "--json", ""], "--json"),
    ):
        assert status_of(argv) == 2
        error = capsys.readouterr().err
        assert f"argument {argument}: expected a name or a path, got an empty text" in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_name_may_follow_an_option(capsys, tmp_path):
    for argv, wanted in (
        (["figures", "--list", "kinks"], "kinks "),
        (["figures", "--list", "--threads", "1", "hat_kernel", "kinks"], "hat_kernel "),
        (["tutorials", "list", "--json", str(tmp_path / "j"), "06"], "06_kinks "),
        (["tutorials", "--threads", "1", "list", "06"], "06_kinks "),
        (["tutorials", "export", "--check", "06"], ""),
        (["experiment", "--list", "table1", "--only", "cnn/R"], "cnn/R  seed 0"),
        (["experiment", "--list", "--seeds", "2", "table1", "--only", "cnn/R"], "cnn/R  seed 0"),
    ):
        assert main(argv) == 0
        assert capsys.readouterr().out.startswith(wanted)
    for argv, error in (
        (["figures", "--check", "nonsense"], "figure must be one of 'pooling_shifts'"),
        (["data", "verify", "--dir", str(tmp_path), "nonsense"], "name must be one of 'mnist'"),
        (["data", "verify", "mnist", "--dir", str(tmp_path), "mnist"], "unrecognized arguments: mnist"),
        (["figures", "--nonsense", "kinks"], "unrecognized arguments: --nonsense"),
    ):
        assert status_of(argv) == 2
        assert error in capsys.readouterr().err


@posix
def test_closed_and_full_streams_change_the_status_at_most():
    outputs = (
        ("data list 2>&-", 0, "procedural "),
        ("data list <&- 2>&- >&-", 0, ""),
        ("data list --json - 2>&-", 0, "{"),
        ("data x 2>&-", 2, ""),
        ("data list 2>&1 >&- | cat; exit ${PIPESTATUS[0]}", 0, ""),
        ("data list | true; exit ${PIPESTATUS[0]}", 1, ""),
    )
    if os.path.exists("/dev/full"):
        outputs += (("data list >/dev/full", 2, ""), ("data verify x 2>/dev/full", 2, ""), ("x 2>/dev/full", 2, ""))
    shown = in_shell(*(f"{COMMAND} {line}" for line, *_ in outputs))
    for (line, wanted, start), (status, out, err) in zip(outputs, shown, strict=True):
        assert (status, out[: len(start)]) == (wanted, start), line
        assert "Traceback" not in out + err and "Exception ignored" not in err, line


@posix
def test_what_the_output_cannot_show_is_replaced_and_the_page_is_written(tmp_path):
    page, missing = tmp_path / "page.md", f"$'{tmp_path}/\\xff'"
    table, written, unread = in_shell(
        f"{COMMAND} experiment --results",
        f"{COMMAND} experiment --results --markdown {page}",
        f"{COMMAND} experiment --results --out {missing}",
        PYTHONIOENCODING="ascii",
    )
    assert "0.99 ? 0.01" in table[1]
    assert written[0] == 0 and "0.99 ± 0.01" in page.read_text(encoding="utf-8")
    assert unread[0] == 2 and "\\udcff is not a directory; it is where" in unread[2] and unread[2].count("\n") == 1


@posix
def test_what_is_shown_of_docstrings_is_a_name_without_them():
    script = "from stn_ref.conformance.museum import EXHIBITS; print(*(e.wrong.__doc__ for e in EXHIBITS.values()))"
    bare = f"{sys.executable} -OO"
    shown = in_shell(f"{bare} -m stn_ref check --list", f"{bare} -m stn_ref train --help", f'{bare} -c "{script}"')
    assert [(status, err) for status, _, err in shown] == [(0, "")] * 3
    assert "identity" in shown[0][1] and "--resume" in shown[1][1] and set(shown[2][1].split()) == {"None"}


@posix
def test_environment_variables_that_make_no_sense_change_nothing():
    plain, *others = in_shell(
        *(
            f"{variables} {COMMAND} info"
            for variables in (
                "OMP_NUM_THREADS= NUMBA_NUM_THREADS=",
                "OMP_NUM_THREADS=² NUMBA_NUM_THREADS=²",
                "OMP_NUM_THREADS=-1 NUMBA_NUM_THREADS=0",
                "OMP_NUM_THREADS=many MPLBACKEND=nonsense",
            )
        )
    )
    assert plain[0] == 0 and others == [plain] * 3


INTERRUPTED = """
import runpy, sys
class Interrupt:
    def find_spec(self, name, *more):
        if name == sys.argv[-1]:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
sys.argv = ["stn-ref", "train", "--epochs", "1", sys.argv[-1]][:-1] + sys.argv[-1:]
runpy.run_module("stn_ref", run_name="__main__")
"""


def test_ctrl_c_during_an_import_is_one_line_and_status_130():
    for module in ("stn_ref.cli", "argparse", "stn_ref.cli.options", "numpy", "stn_ref.models"):
        done = subprocess.run([sys.executable, "-c", INTERRUPTED, module], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (130, "\nstn-ref: interrupted\n"), module


ENDED = """
import os, signal, sys
from stn_ref import files
from stn_ref.cli import commands
from stn_ref.__main__ import main
def info(args, note, say):
    with files.claimed(files.Path("r")), files.replacing("r") as file:
        file.write(b"half")
        os.kill(os.getpid(), signal.SIGTERM)
commands.info = info
sys.argv = ["stn-ref", "info"]
sys.exit(main())
"""


@posix
def test_sigterm_removes_locks_and_part_files(tmp_path):
    for ignored, status, left in ((False, 128 + signal.SIGTERM, []), (True, 2, ["r"])):  # info returns nothing then
        script = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{ENDED}" if ignored else ENDED
        done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, os.listdir(tmp_path)) == (status, left), done.stderr


def test_the_demo_finds_out_before_the_training_that_it_cannot_draw_or_write(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo.gradients, "check_all", lambda seed: pytest.fail("the work has begun"))
    for name in demo.FILES:
        out = tmp_path / name
        (out / name).mkdir(parents=True)
        assert main(["demo", "--out", str(out)]) == 2
        assert capsys.readouterr().err == f"stn-ref demo: error: [Errno 21] Is a directory: '{out / name}'\n"


def test_the_command_chooses_its_own_canvas(tmp_path):
    command = [sys.executable, "-m", "stn_ref", "figures", "align_corners", "--out", str(tmp_path)]
    done = subprocess.run(command, env=os.environ | {"MPLBACKEND": "nonsense"}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "drawing align_corners\n")
