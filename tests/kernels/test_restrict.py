"""The promises of kernels/cpu/restrict.py: what they buy, and that the kernels keep them."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from stn_ref.kernels.cpu import bilinear, cubic, nearest, restrict, sampling


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="interpreted")
@pytest.mark.skipif(not restrict.FAST_GATHERS, reason="the processor has no cheap gathers")
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_the_gathers_of_the_sampler_are_vectorised(dtype, rng):
    U, points = rng.random((2, 3, 5, 7)).astype(dtype), rng.uniform(0, 4, (2, 6, 8, 2)).astype(dtype)
    for mode in ("bilinear", "nearest", "bicubic"):
        sampling.sample_backward(U, points, sampling.sample_forward(U, points, mode), mode)
    gathers = bilinear.gather, bilinear.add_slopes, nearest.gather, cubic.gather, cubic.add_slopes
    for kernel in gathers:
        for signature in kernel.signatures:
            assert "masked.gather" in kernel.inspect_llvm(signature), signature


PARTS = """
import itertools

import numpy as np
from stn_ref.kernels.cpu import restrict, threads

parts = {}  # part -> the arrays that own its memory


def watched(part, access):
    def watch(array, *rest):
        owner = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        parts.setdefault(part, {})[id(owner)] = owner
        return access(array, *rest)
    return watch


load, store = restrict.load, restrict.store
restrict.load, restrict.store = watched("input", load), watched("output", store)
restrict.load_pair = watched("input", restrict.load_pair)
restrict.load_scratch, restrict.store_scratch = watched("scratch", load), watched("scratch", store)
from stn_ref.kernels.cpu import convolution, pooling, sampling

rng = np.random.default_rng(0)
threads._threads = 1
U, points, gV = rng.random((2, 2, 5, 4)), rng.uniform(-1, 5, (2, 3, 6, 2)), rng.random((2, 2, 3, 6))
x, W, b, gy = rng.random((2, 2, 7, 6)), rng.random((3, 2, 3, 2)), rng.random(3), rng.random((2, 3, 4, 4))
gy_same = rng.random((2, 3, 7, 7))
calls = {
    "convolve": lambda: convolution.convolve(x, W, b, (2, 2), (1, 1)),
    "convolve_backward": lambda: convolution.convolve_backward(x, W, gy, (2, 2), (1, 1)),
    "convolve_backward, stride 1": lambda: convolution.convolve_backward(x, W, gy_same, (1, 1), (1, 1)),
}
for options in itertools.product(("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflect")):
    calls["forward", options] = lambda options=options: sampling.sample_forward(U, points, *options)
    calls["backward", options] = lambda options=options: sampling.sample_backward(U, points, gV, *options)
for stride in ((2, 3), (1, 1)):  # windows apart, and overlapping
    options = (2, 3), stride
    calls["max_pool", stride] = lambda options=options: pooling.max_pool(x, *options)
    calls["mean_pool", stride] = lambda options=options: pooling.mean_pool(x, *options)
    y, which = pooling.max_pool(x, *options)
    back = which, y, x.shape, *options
    calls["max_pool_backward", stride] = lambda back=back: pooling.max_pool_backward(*back)
    calls["mean_pool_backward", stride] = lambda back=back: pooling.mean_pool_backward(*back[1:])
for name, call in calls.items():
    parts.clear()
    call()
    assert parts["input"], name
    owners = [key for arrays in parts.values() for key in arrays]
    assert len(owners) == len(set(owners)), f"{name}: an array plays two parts"
"""


def test_each_array_of_a_kernel_plays_one_part():
    subprocess.run([sys.executable, "-c", PARTS], env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, check=True)
