"""Every CUDA kernel compiles for two generations of GPUs, from the very arguments that the backends launch it with.

Compiling to PTX, the GPU's assembly language, needs no GPU and no driver, only numba-cuda and NVIDIA's compiler.
"""

import functools
import os
import re

import numpy as np
import pytest

if not os.environ.get("STN_REF_REQUIRE_PTX"):  # where it is set, none of this may be skipped
    pytest.importorskip("numba_cuda", reason='needs pip install ".[ptx]"')

import numba
from numba import cuda as compiler

from stn_ref.kernels.cuda import arrays, atomic, kernels, lists, sampling

DTYPES = (np.float32, np.float64)


def compiles() -> bool:
    try:
        compiler.compile_ptx(lambda array: None, (numba.float32[::1],), cc=(8, 0))
    except Exception as error:
        if os.environ.get("STN_REF_REQUIRE_PTX") or "not" not in str(error):
            raise
        return False
    return True


pytestmark = pytest.mark.skipif(not compiles(), reason="numba-cuda is here, NVIDIA's compiler is not")


class Elsewhere(np.ndarray):
    """A NumPy array in place of one on a GPU."""

    stream = 0

    def copy_to_host(self):
        return np.asarray(self)

    def bind(self, stream):
        return self


@pytest.fixture(scope="module", params=DTYPES, ids=lambda dtype: dtype.__name__)
def launched(request):
    """Name -> (kernel, types of its arguments), of everything that the backends launch for one dtype."""
    seen = {}

    def launch(kernel, across, down, stream, *args):
        types = tuple(numba.typeof(np.asarray(a) if isinstance(a, np.ndarray) else a) for a in args)
        seen.setdefault(kernel.py_func.__name__, (kernel, set()))[1].add(types)

    def away(array):
        return array.view(Elsewhere)

    U, points = np.zeros((2, 3, 5, 7), request.param), np.zeros((2, 4, 6, 2), request.param)
    gV = np.zeros((2, 3, 4, 6), request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "to_device", away)
        patch.setattr(compiler, "device_array", lambda shape, dtype, stream: away(np.zeros(shape, dtype)))
        patch.setattr(arrays, "launch", launch)
        for backend in (sampling, atomic):
            for mode in ("bilinear", "nearest"):
                backend.sample_forward(U, points, mode)
                backend.sample_backward(U, points, gV, mode)
        with_gaps = away(np.zeros((2, 3, 5, 14), request.param))[..., ::2]
        sampling.sample_forward(with_gaps, away(points))
    return request.param, seen


@functools.cache
def ptx(kernel, types, generation) -> str:
    return compiler.compile_ptx(kernel.py_func, types, cc=generation)[0]


def test_every_kernel_is_launched_by_some_call(launched):
    _, seen = launched
    names = {
        name
        for module in (kernels, lists)
        for name, value in vars(module).items()
        if hasattr(value, "py_func")
        and value.py_func.__module__ == module.__name__
        and not value.targetoptions["device"]
    }
    assert len(names) >= 8 and set(seen) == names


@pytest.mark.parametrize("generation", ((8, 0), (9, 0)), ids=("sm_80", "sm_90"))
def test_every_kernel_compiles_to_what_it_should(launched, generation):
    dtype, seen = launched
    if (dtype, generation) == (np.float64, (9, 0)):
        pytest.skip("to save time: both dtypes are compiled for sm_80, and float32 for sm_90")
    for name, (kernel, signatures) in seen.items():
        for types in signatures:
            code = ptx(kernel, types, generation)
            assert f".target sm_{generation[0]}{generation[1]}" in code, name
            atomics = set(re.findall(r"\b(?:atom|red)\.[\w.]*?(add|exch)\.(\w+)", code))
            bits = np.dtype(dtype).itemsize * 8
            assert atomics == {"scatter": {("add", f"f{bits}")}, "push": {("exch", "b32")}}.get(name, set()), name
            if dtype == np.float32:
                assert ".f64" not in code, name  # many times slower, and a sign of a number that is not float32
            assert "__local_depot" not in code, name  # no array that would live in slow memory
            for register in re.findall(r"mov\.u32\s+(%r\d+), %ctaid", code):  # a place in the grid has 64 bits
                assert re.search(rf"mul\.wide\.[su]32\s+%rd\d+, [^;]*{register}\b", code), name


def test_products_are_rounded_before_they_are_added(launched):
    """No fused operation beside those of CUDA's own fmod: as many as in `push`, which folds both coordinates, too."""
    _, seen = launched

    def fused(name):
        kernel, signatures = seen[name]
        code = ptx(kernel, next(iter(signatures)), (8, 0))
        return len(re.findall(r"\bfma\.|\bmul\.f(?:32|64)|\bmad\.f", code)), len(re.findall(r"\bmul\.rn\.", code))

    in_fmod, coordinates = fused("push")
    assert coordinates == 2  # x and y, taken to pixels
    for name in ("forward", "scatter", "slopes", "gather"):
        others, rounded = fused(name)
        assert others == in_fmod and rounded > 2, name


def test_the_remainder_is_exact_and_not_a_quotient(launched):
    dtype, seen = launched
    kernel, signatures = seen["push"]
    code = ptx(kernel, next(iter(signatures)), (8, 0))
    if dtype == np.float64:
        assert "div.rn.f64" not in code  # x - y * trunc(x / y), what % compiles to, would divide


def test_an_operation_that_turns_float32_into_float64_would_be_seen(launched):
    dtype, _ = launched
    if dtype == np.float32:

        @compiler.jit
        def careless(array):
            array[0] = array[0] * 0.1

        assert ".f64" in ptx(careless, (numba.float32[::1],), (8, 0))
