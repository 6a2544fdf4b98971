"""The CUDA backends: what can be said without a GPU; the simulator; and, with `pytest -m gpu`, the GPU itself."""

import ctypes
import os
import subprocess
import sys

import cuda_runs
import numpy as np
import pytest

from stn_ref import checks, cli, kernels
from stn_ref.cli import commands
from stn_ref.kernel_sampler import KernelSampler
from stn_ref.lab import machine_report
from stn_ref.sampler import Sampler, sample, sample_backward


def test_nothing_imports_numba_cuda_until_a_cuda_backend_is_asked_for():
    script = (
        "import sys, numpy as np, stn_ref, stn_ref.cli; from stn_ref import kernels, sampler\n"
        "sampler.Sampler(backend='cuda')\n"
        "for b in kernels.BACKENDS:\n"
        "    V = sampler.sample(np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 2)), backend=b)\n"
        "    sampler.sample_backward(np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 2)), V, backend=b)\n"
        "assert not [name for name in sys.modules if name.startswith(('numba.cuda', 'numba_cuda', 'cuda'))]"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_cuda_backend_is_chosen_by_its_name_and_a_wrong_name_lists_it():
    with pytest.raises(ValueError, match="'vectorised', 'cuda', 'cuda_atomic'; got 'gpu'"):
        Sampler(backend="gpu")
    with pytest.raises(ValueError, match="backend must be one of 'cpu', 'literal', 'vectorised'; got 'cuda'"):
        KernelSampler((1.5, 1.5), backend="cuda")


# Errors: one line that says what to install or change.


def test_without_numba_cuda_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba_cuda", None)
    for name in [name for name in sys.modules if name.startswith("stn_ref.kernels.cuda")]:
        monkeypatch.delitem(sys.modules, name)
    kernels.get.cache_clear()
    U, points = np.ones((1, 1, 3, 3)), np.ones((1, 2, 2, 2))
    wanted = (
        r"^backend 'cuda' needs numba-cuda, which is not installed: pip install \"numba-cuda\[cu13\]\" \(driver 580 or "
        r"later\) or \"numba-cuda\[cu12\]\" \(driver 525 or later\), or use backend='cpu'$"
    )
    with pytest.raises(ImportError, match=wanted):
        sample(U, points, backend="cuda")


def test_an_array_of_a_gpu_is_sent_to_the_cuda_backend():
    class Tensor:
        __cuda_array_interface__ = None

    wanted = "^points must be a float32 or float64 NumPy array; got Tensor on a GPU, which backend='cuda' accepts$"
    with pytest.raises(TypeError, match=wanted):
        sample(np.ones((1, 1, 3, 3)), Tensor())


def raised_by(module: str, kind: str, message: str) -> Exception:
    """An error as CUDA's packages raise it."""
    return type(kind, (Exception,), {"__module__": module})(message)


PTX = 'needs pip install ".[ptx]"'
FAILURES = {
    "no driver": (
        raised_by("numba.cuda.cudadrv.error", "CudaSupportError", "Error at driver init: \n\nCUDA driver library..."),
        checks.DeviceError,
        "found no NVIDIA GPU that they can use: check whether nvidia-smi lists one, install NVIDIA's driver, or use",
    ),
    "no GPU": (
        raised_by("numba.cuda.cudadrv.error", "CudaSupportError", "cuInit results in CUDA_ERROR_NO_DEVICE"),
        checks.DeviceError,
        "found no NVIDIA GPU that they can use",
    ),
    "out of memory": (
        raised_by("numba.cuda.cudadrv.driver", "CudaAPIError", "cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY"),
        MemoryError,
        "the GPU has too little free memory for the 3 MiB that this call has requested: take fewer images at a time",
    ),
    "old driver": (
        raised_by("numba.cuda.cudadrv.driver", "LinkerError", "CUDA_ERROR_UNSUPPORTED_PTX_VERSION\n"),
        checks.DeviceError,
        "NVIDIA's driver is older than the installed CUDA toolkit: update it, or pip install",
    ),
    "no compiler": (
        raised_by("cuda.pathfinder._dynamic_libs.load_dl_common", "DynamicLibNotFoundError", 'finding "libnvrtc.so"'),
        checks.DeviceError,
        r"numba-cuda finds no compiler; install it: pip install \"numba-cuda\[cu13\]\"",
    ),
    "anything else": (
        raised_by("numba.cuda.cudadrv.driver", "CudaAPIError", "CUDA_ERROR_ILLEGAL_ADDRESS"),
        checks.DeviceError,
        r"CUDA failed; backend='cpu' computes the same \(CUDA says: CUDA_ERROR_ILLEGAL_ADDRESS\)",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("where", ("to_device", "device_array"))
def test_a_failure_of_cuda_is_one_line(monkeypatch, failure, where):
    pytest.importorskip("numba_cuda", reason=PTX)
    from numba import cuda

    error, kind, wanted = FAILURES[failure]

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(cuda, "to_device", lambda array: array)
    monkeypatch.setattr(cuda, where, fail)
    U, points = np.ones((1, 2, 256, 256)), np.ones((1, 256, 256, 2))
    if where == "to_device":
        wanted = wanted.replace("3 MiB", "1 MiB")
    with pytest.raises(kind, match=wanted) as caught:
        sample(U, points, backend="cuda")
    assert "\n" not in str(caught.value)


def test_what_is_no_failure_of_cuda_is_left_as_it_is(monkeypatch):
    pytest.importorskip("numba_cuda", reason=PTX)
    from numba import cuda

    def fail(array):
        raise KeyError("ours")

    monkeypatch.setattr(cuda, "to_device", fail)
    with pytest.raises(KeyError, match="ours"):
        sample(np.ones((1, 1, 3, 3)), np.ones((1, 2, 2, 2)), backend="cuda")


def test_the_command_line_says_it_in_one_line(monkeypatch, capsys):
    def fail(*args):
        raise checks.DeviceError("no GPU:\ninstall one")

    monkeypatch.setattr(commands, "info", fail)
    assert cli.main(["info"]) == 2
    assert capsys.readouterr().err == "stn-ref info: error: no GPU: install one\n"


@pytest.mark.parametrize(("version", "wanted"), [("0.30", "backend='cuda' samples there"), (None, "pip install")])
def test_info_names_the_gpu_and_how_to_use_it(monkeypatch, tmp_path, version, wanted):
    monkeypatch.setattr(machine_report.shutil, "which", lambda tool: sys.executable)
    listed = subprocess.CompletedProcess([], 0, stdout="GPU 0: Some GPU\n")
    monkeypatch.setattr(machine_report.subprocess, "run", lambda *args, **options: listed)
    monkeypatch.setattr(machine_report, "_version", lambda package: version or "not installed")
    told = machine_report.environment()
    assert told["gpu"].startswith("GPU 0: Some GPU (") and wanted in told["gpu"]
    assert told["numba-cuda"] == version or version is None


# The simulator: the maths of the kernels, each GPU thread a Python thread.

SIMULATED = cuda_runs.tests(*cuda_runs.CONTRACT, "kernels/gpu_arrays.py", simulated=True)
COLLECTION = cuda_runs.collection()


def test_simulated_kernels_keep_the_contract_of_every_backend():
    if not os.environ.get("STN_REF_REQUIRE_PTX"):  # where it is set, this may not be skipped
        pytest.importorskip("numba_cuda", reason=PTX)
    shown = SIMULATED.result()
    passed = int(shown.split(" passed")[0].split()[-1])
    assert passed > 150


test_simulated_kernels_keep_the_contract_of_every_backend.child = SIMULATED  # conftest.py starts it early


# A GPU: `python -m pytest -m gpu`.


def gpu() -> bool:
    """Return whether there is a driver that finds a GPU, without importing numba-cuda."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


on_a_gpu = pytest.mark.skipif(not gpu(), reason="no NVIDIA GPU")


@pytest.mark.skipif(bool(os.environ.get("NUMBA_ENABLE_CUDASIM")), reason="not here")
def test_the_whole_suite_is_collected_without_numba_cuda_and_pytorch():
    assert "error" not in COLLECTION.result().splitlines()[-1]


test_the_whole_suite_is_collected_without_numba_cuda_and_pytorch.child = COLLECTION


@pytest.mark.gpu
@on_a_gpu
def test_on_a_gpu_the_contract_of_every_backend_is_kept():
    cuda_runs.tests(*cuda_runs.CONTRACT, "test_parity.py", "kernels/gpu_arrays.py", simulated=False).result()


@pytest.mark.gpu
@on_a_gpu
@pytest.mark.parametrize("padding", kernels.PADDINGS)
@pytest.mark.parametrize("mode", ("bilinear", "nearest"))
def test_on_a_gpu_the_same_bits_come_out_every_time(mode, padding):
    rng = np.random.default_rng(0)
    U, gV = rng.standard_normal((4, 3, 200, 300), np.float32), rng.standard_normal((4, 3, 250, 350), np.float32)
    points = rng.uniform(-100, 400, (4, 250, 350, 2)).astype(np.float32)
    first = sample_backward(U, points, gV, mode=mode, padding=padding, backend="cuda")
    for _ in range(5):
        again = sample_backward(U, points, gV, mode=mode, padding=padding, backend="cuda")
        assert all(a.tobytes() == b.tobytes() for a, b in zip(first, again, strict=True))
    wanted = sample_backward(U, points, gV, mode=mode, padding=padding)
    for a, b in zip(first, wanted, strict=True):
        assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max()
    assert sample(U, points, mode=mode, padding=padding, backend="cuda").tobytes() == (
        sample(U, points, mode=mode, padding=padding).tobytes()
    )


@pytest.mark.gpu
@on_a_gpu
def test_on_a_gpu_a_batch_may_have_more_elements_than_32_bits_count():
    U = np.zeros((1, 1, 3, 4), np.float32)
    U[0, 0, 1, 2] = 7
    points = np.zeros((1, 32769, 32769, 2), np.float32)
    points[0, -1, -1] = 2, 1
    try:
        V = sample(U, points, backend="cuda")
    except MemoryError as error:
        pytest.skip(str(error))
    assert V[0, 0, -1, -1] == 7 and not V[0, 0, :-1].any()
