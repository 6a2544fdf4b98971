"""`stn-ref bench` reports all it measures, and loses no row to a failure, an interrupt or a missing package."""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from stn_ref.cli import main
from stn_ref.lab import machine_report
from stn_ref.lab.bench import memory, parts, report, startup, steps, timing
from stn_ref.lab.turns import LEAST_ROUNDS

PARTS = tuple(part for part in parts.PARTS if part not in ("cuda", "memory"))  # those of a quick run


def test_the_part_of_the_gpu_runs_with_the_simulator(tmp_path):
    pytest.importorskip("numba_cuda", reason='needs pip install ".[ptx]"')
    script = (
        "import sys; from stn_ref.lab.bench import cuda; from stn_ref.cli import main; cuda.LARGE = []\n"
        "cuda.SHAPES = [(2, 3, 4, 5, 3, 2)]; sys.exit(main(['bench', '--only', 'cuda', '--json', '-']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["parts"]["cuda"]
    assert [row["backend"] for row in rows] == ["cuda", "cuda", "cuda_atomic"]
    assert all(row["simulated"] and "ours_ms" not in row for row in rows) and "measures no time" in done.stderr


def test_the_part_of_the_gpu_without_one_is_one_clear_line(capsys, monkeypatch):
    from stn_ref.lab.bench import cuda

    monkeypatch.setitem(sys.modules, "numba_cuda", None)
    monkeypatch.delitem(sys.modules, "stn_ref.kernels.cuda.device", raising=False)
    assert main(["bench", "--only", "machine", "cuda"]) == 2
    shown = capsys.readouterr()
    assert "the benchmark of the GPU needs numba-cuda, which is not installed: pip install" in shown.err
    assert shown.err.count("\n") == 1 and not shown.out
    monkeypatch.setattr(cuda, "_device", lambda: SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False)))
    assert main(["bench", "--only", "cuda"]) == 2
    assert "numba-cuda finds no NVIDIA GPU that it can use" in capsys.readouterr().err


def test_a_report_does_not_say_which_gpu_of_all_it_was(monkeypatch):
    listed = SimpleNamespace(stdout="GPU 0: NVIDIA H200 (UUID: GPU-1-2-3)\nGPU 1: NVIDIA T4 (UUID: GPU-4)\n")
    monkeypatch.setattr(machine_report.shutil, "which", lambda tool: tool)
    monkeypatch.setattr(machine_report.subprocess, "run", lambda *args, **options: listed)
    assert machine_report.environment()["gpu"].startswith("GPU 0: NVIDIA H200; GPU 1: NVIDIA T4 (")


@pytest.fixture(scope="module")
def quick():
    """A quick run of everything, as a reader starts it: (status, JSON, standard error)."""
    import contextlib
    import io

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["bench", "--quick", "--json", "-"])
    return status, json.loads(out.getvalue()), err.getvalue()


def test_a_quick_run_reports_every_part_and_only_json_on_standard_output(quick):
    status, found, shown = quick
    assert status == 0, shown
    assert found["command"] == "stn-ref bench --quick" and not found["interrupted"] and found["failed"] == 0
    assert tuple(found["parts"]) == PARTS and all(found["parts"].values())
    time.strptime(found["date"], "%Y-%m-%d")
    for part, rows in found["parts"].items():
        for row in rows:
            assert row["name"] in shown and row["threads"] in found["threads"] and "error" not in row, part


def test_rows_of_the_report_have_times_ratios_and_limits(quick):
    _, found, _ = quick
    for part in ("sampler", "grid", "modes", "layers", "steps", "growth"):
        for row in found["parts"][part]:
            assert row["ours_ms"] > 0 and row["rounds"] >= LEAST_ROUNDS
            assert ("kernel_ms" in row) == (part == "sampler") and ("layers_ms" in row) == ("grid + s" in row["name"])
            names = ["of_limit", *(["ratio"] if timing.has_torch() else [])]
            for name in names:
                low, high = row[f"{name}_10_90"]
                assert 0 < low <= row[name] <= high


def test_grid_and_sampler_are_measured_on_one_thread_and_on_all(quick):
    _, found, _ = quick
    for part, names in (("sampler", ["grid_sample"]), ("grid", ["affine_grid", "grid + sampler"])):
        for name in names:
            rows = [row for row in found["parts"][part] if row["name"].startswith(name)]
            assert sorted({row["threads"] for row in rows}) == found["threads"]


def test_start_up_is_measured_with_and_without_kept_code(quick):
    rows = quick[1]["parts"]["startup"]
    assert [row["name"] for row in rows] == list(startup.QUICK)
    assert all(0 < seconds < 60 for row in rows for seconds in (row["ours_ms"] / 1e3, row["kept_seconds"]))


def test_the_report_names_the_machine_but_not_whose_it_is(quick):
    _, found, _ = quick
    text = json.dumps(found["environment"])
    assert found["environment"]["python"] == platform.python_version() and found["environment"]["processor"]
    assert platform.node() not in text and "/" not in text.replace("n/a", "")


def test_memory_is_that_of_the_same_step_ours_and_pytorchs(monkeypatch):
    asked = []

    def step_memory(*step):
        asked.append(step)
        return 2**20 * (10 if "ours" in step else 15)

    monkeypatch.setattr(memory, "step_memory", step_memory)
    monkeypatch.setattr(timing, "has_torch", lambda: True)
    rows = [case.measure(0.0) for case in memory.cases([1], quick=False)]
    assert [step for step in asked if step[3] == "ours"] == [(*step, "ours", 1) for step in memory.STEPS]
    assert [step[:3] for step in asked if step[3] == "torch"] == memory.STEPS
    assert rows == [{"mebibytes": 10.0, "torch_mebibytes": 15.0, "memory_ratio": 1.5}] * len(memory.STEPS)
    row = rows[0] | {"name": "x", "threads": 1, "others_cores": 1.0}
    assert report.line(row).split() == ["x", "1", "10.0", "MiB", "15.0", "MiB", "1.50"]  # nobody disturbs memory
    assert report.total("memory", [row]).startswith("memory: 1 of 1 ratios at least 1, geometric mean 1.50; the ")


def test_a_start_is_measured_in_a_folder_of_its_own_first_empty_then_filled(monkeypatch, tmp_path):
    seen = []

    def run(command, env, **options):
        place = Path(env["STN_REF_CACHE"])
        seen.append((place, env["NUMBA_NUM_THREADS"], env["OMP_NUM_THREADS"]))
        kept = any(place.iterdir())
        (place / "code").touch()
        return SimpleNamespace(stdout="0.5\n" if kept else "2.0\n")

    monkeypatch.setattr(startup.subprocess, "run", run)
    monkeypatch.setenv("STN_REF_CACHE", str(tmp_path))  # the caller's own folder is left alone
    before = dict(os.environ)
    rows = [case.measure(0.0) for case in startup.cases([1, 3], quick=False)]
    assert rows == [{"rounds": startup.ROUNDS, "ours_ms": 2000.0, "kept_seconds": 0.5}] * len(startup.STARTS)
    folders = [place for place, *_ in seen]
    assert len(seen) == 2 * len(set(folders)) and not any(place.exists() for place in folders)
    assert {tuple(numbers) for _, *numbers in seen} == {("3", "3")}
    assert not any(tmp_path.iterdir()) and dict(os.environ) == before


@pytest.fixture
def two_rows(monkeypatch):
    """Makes the part `steps` two cases: the first does `what`, the second measures 1 ms."""

    def put(what):
        def cases(n_threads, quick):
            yield timing.Case("first", 1, what)
            yield timing.Case("second", 1, lambda seconds: {"ours_ms": 1.0})

        monkeypatch.setattr(steps, "cases", cases)

    return put


def test_a_row_that_fails_says_why_and_keeps_the_others(two_rows, tmp_path, capsys):
    def fails(seconds):
        raise MemoryError("no room\nfor this")

    two_rows(fails)
    assert main(["bench", "--only", "steps", "--json", str(tmp_path / "r.json")]) == 1
    first, second = json.loads((tmp_path / "r.json").read_text())["parts"]["steps"]
    assert first["error"] == "MemoryError: no room for this" and second["ours_ms"] == 1.0
    assert "FAILED MemoryError: no room for this" in capsys.readouterr().out


def test_an_interrupted_run_keeps_the_rows_that_it_has(two_rows, monkeypatch, capsys):
    def stop(n_threads, quick):
        yield timing.Case("first", 1, lambda seconds: {"ours_ms": 1.0})
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "cases", stop)
    assert main(["bench", "--only", "steps", "--json", "-"]) == 130
    found = json.loads(capsys.readouterr().out)
    assert found["interrupted"] and [row["name"] for row in found["parts"]["steps"]] == ["first"]


def test_without_pytorch_there_are_times_and_no_ratios(monkeypatch, capsys):
    monkeypatch.setattr(timing, "has_torch", lambda: False)
    assert main(["bench", "--quick", "--threads", "1", "--only", "layers", "--json", "-"]) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    rows = [row for part in found["parts"].values() for row in part]
    assert found["command"] == "stn-ref bench --quick --only layers --threads 1"
    assert len(rows) >= 4 and all(row["ours_ms"] > 0 and row["of_limit"] > 0 and "ratio" not in row for row in rows)
    assert "PyTorch is not installed" in shown.err and {row["threads"] for row in rows} == {1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "speed"], "part must be one of 'machine', 'sampler'"),
        (["--only", "steps", "speed"], "got 'speed'"),
        (["--threads", "0"], "the number of threads must be at least 1; got 0"),
    ],
)
def test_bad_arguments_are_one_clear_line(arguments, message, capsys):
    assert main(["bench", *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err and shown.err.count("\n") == 1 and not shown.out


def test_a_slip_in_an_option_points_to_the_help_of_its_command(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "--quik"])
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and error.count("\n") == 1
    assert error.startswith("stn-ref bench: error: unrecognized arguments: --quik; see stn-ref bench --help")


def test_help_says_how_long_and_names_every_part(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "minutes" in shown and all(part in shown for part in parts.PARTS)


def test_times_read_in_the_unit_that_suits_them():
    row = {"name": "x", "threads": 1, "ours_ms": 0.5, "torch_ms": 1500.0, "ratio": 3000.0, "ratio_10_90": [2.0, 4.0]}
    assert report.line(row).split()[2:6] == ["500.0", "us", "1.50", "s"]
