#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in one go and in less than 8 minutes: the tests, a check of memory accesses and of
# races on a small case, and the benchmark, which writes figures/bench/cuda.json.
#
#     .venv/bin/pip install -e ".[test,cuda13]"    (cuda12 for a driver older than 580)
#     tests/gpu.sh                                 PYTHON=... selects another Python than .venv/bin/python
#
# A part that fails or runs out of time does not stop the others. Exit status: 0: all parts passed; 1: a part failed;
# 2: there is no GPU, or numba-cuda is not installed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-.venv/bin/python}
PATH=$PATH:/usr/local/cuda/bin # where the toolkit puts compute-sanitizer
failed=0

part() { # NAME SECONDS COMMAND...
    local name=$1 seconds=$2 began=$SECONDS status=0
    shift 2
    echo "== $name: at most $seconds s"
    timeout --kill-after=5 "$seconds" "$@" || status=$?
    [ "$status" -eq 0 ] || failed=1
    case $status in
    0) echo "== $name: passed in $((SECONDS - began)) s" ;;
    124 | 137) echo "== $name: FAILED, not finished after $seconds s" ;;
    *) echo "== $name: FAILED with status $status after $((SECONDS - began)) s" ;;
    esac
}

"$python" - <<'REQUIRE' || exit 2
import sys

from stn_ref import checks
from stn_ref.lab.bench import cuda

try:
    cuda.require()
except (ImportError, checks.DeviceError) as error:
    sys.exit(f"tests/gpu.sh: {error}")
REQUIRE

part "tests" 230 "$python" -m pytest -q -m gpu -p no:cacheprovider
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
        part "$tool" 60 compute-sanitizer --tool "$tool" --error-exitcode 1 "$python" tests/kernels/gpu_small.py
    done
else
    echo "== memcheck, racecheck: skipped, compute-sanitizer is not installed (it comes with the CUDA toolkit)"
fi
part "benchmark" 90 "$python" -m stn_ref bench --only cuda --json figures/bench/cuda.json
exit "$failed"
