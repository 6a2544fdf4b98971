"""tests/gpu.sh, without a GPU: what it says then, and in which order it runs its parts, with commands that stand in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "gpu.sh"
pytestmark = pytest.mark.skipif(not (shutil.which("bash") and shutil.which("timeout")), reason="needs bash and timeout")


def run(**env):
    return subprocess.run(["bash", str(SCRIPT)], env=os.environ | env, capture_output=True, text=True, timeout=120)


def test_without_a_gpu_it_is_one_line_and_status_2():
    done = run(PYTHON=sys.executable, CUDA_VISIBLE_DEVICES="-1")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("tests/gpu.sh: ") and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize(("broken", "status"), [("", 0), ("-m pytest", 1), ("racecheck", 1), ("bench", 1)])
def test_all_parts_run_in_less_than_8_minutes_even_if_one_fails(tmp_path, broken, status):
    stand_in = f'#!/bin/sh\necho "$(basename "$0") $*" >> {tmp_path}/calls\n'
    stand_in += f'case "$*" in *"{broken or "none"}"*) exit 3;; esac\n'
    for name in ("python", "compute-sanitizer"):
        (tmp_path / name).write_text(stand_in)
        (tmp_path / name).chmod(0o755)
    done = run(PYTHON=str(tmp_path / "python"), PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == status, done.stderr
    assert (tmp_path / "calls").read_text().splitlines() == [
        "python -",
        "python -m pytest -q -m gpu -p no:cacheprovider",
        *(
            f"compute-sanitizer --tool {tool} --error-exitcode 1 {tmp_path}/python tests/kernels/gpu_small.py"
            for tool in ("memcheck", "racecheck")
        ),
        "python -m stn_ref bench --only cuda --json figures/bench/cuda.json",
    ]
    limits = [int(line.split()[-2]) for line in done.stdout.splitlines() if line.endswith(" s") and "at most" in line]
    assert len(limits) == 4 and sum(limits) + 4 * 5 < 8 * 60
    assert done.stdout.count("FAILED with status 3") == status


def test_the_small_case_passes_in_the_simulator():
    pytest.importorskip("numba_cuda", reason='needs pip install ".[ptx]"')
    code = "import gpu_small; print(gpu_small.compare(gpu_small.DTYPES[:1], ['bilinear'], ['zeros']))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],  # simulated, an infinite pixel times 0 warns
        env=os.environ
        | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": f"{SCRIPT.parent / 'kernels'}:{SCRIPT.parent.parent}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout == "6\n", done.stderr
