"""What a new process costs."""

import subprocess
import sys

from stn_ref.lab.bench import startup


def test_importing_compiles_nothing_and_costs_little():
    assert startup.seconds("import stn_ref", "0") < 3  # 0.1 to 0.3 on a machine with nothing else to do
    script = (
        "import sys, stn_ref; [getattr(stn_ref, name) for name in stn_ref.__all__ if name != 'plotting'];"
        "print([name for name in ('numba', 'llvmlite', 'matplotlib', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
