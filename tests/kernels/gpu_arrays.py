"""The CUDA backends with arrays of a GPU; run by cuda_runs.py, with the simulator or on a GPU.

Simulated, the memory of the GPU is that of NumPy, and what a library of the GPU would show of it is shown by OnGPU.
"""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import kernels
from stn_ref.conformance import ours
from stn_ref.conformance.run import check
from stn_ref.conformance.subject import Subject
from stn_ref.kernels.cuda import arrays, lists, sampling
from stn_ref.kernels.cuda.device import SIMULATED, THREADS
from stn_ref.kernels.cuda.device import cuda as device
from stn_ref.sampler import Sampler, grid_sample, grid_sample_backward, sample, sample_backward

each_backend = pytest.mark.parametrize("backend", kernels.CUDA_BACKENDS)
each_dtype = pytest.mark.parametrize("dtype", (np.float32, np.float64))
OPTIONS = [{"mode": m, "padding": p} for m, p in itertools.product(("bilinear", "nearest"), kernels.PADDINGS)]
simulated = pytest.mark.skipif(not SIMULATED, reason="looks into simulated memory")


class OnGPU:
    """An array as CuPy or PyTorch shows it: the CUDA array interface, and no other way in."""

    def __init__(self, array, **more):
        self.memory = array if SIMULATED else device.to_device(array)
        shown = array.__array_interface__ if SIMULATED else self.memory.__cuda_array_interface__
        keys = ("shape", "typestr", "data", "strides")
        self.__cuda_array_interface__ = {key: shown[key] for key in keys} | {"version": 3} | more


def home(arrays):
    return [array.copy_to_host() for array in (arrays if isinstance(arrays, tuple) else (arrays,))]


@each_backend
@each_dtype
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_arrays_of_a_gpu_give_what_numpy_arrays_give(example, backend, dtype, options):
    arrays = example(dtype, reach=0.5)
    V = sample(*arrays[:2], backend=backend, **options)
    gradients = sample_backward(*arrays, backend=backend, **options)
    there = [OnGPU(array) for array in arrays]
    got = home(sample(*there[:2], backend=backend, **options))
    got += home(sample_backward(*there, backend=backend, **options))
    for array, expected in zip(got, (V, *gradients), strict=True):
        assert array.dtype == dtype and array.shape == expected.shape
        if backend == "cuda":
            assert_array_equal(array, expected)
        else:  # the order of its sums is not fixed
            assert np.abs(array - expected).max() <= 100 * np.finfo(dtype).eps * np.abs(expected).max()


@each_dtype
@pytest.mark.parametrize("align_corners", (False, True))
@pytest.mark.parametrize("shape", ((5, 7), (1, 4), (1, 1)), ids=str)
def test_normalised_points_become_pixels_as_on_the_cpu(rng, dtype, align_corners, shape):
    U, gV = rng.standard_normal((2, 1, *shape)).astype(dtype), rng.standard_normal((2, 1, 5, 8)).astype(dtype)
    grid = rng.uniform(-3, 3, (2, 5, 8, 2)).astype(dtype)
    grid[0, 0, :6, 0] = np.nan, np.inf, -np.inf, 3e38, -1e30, -1
    views = OnGPU(U), OnGPU(grid), OnGPU(gV)
    V = grid_sample(*views[:2], align_corners=align_corners, backend="cuda")
    got = home((V, *grid_sample_backward(*views, align_corners=align_corners, backend="cuda")))
    expected = grid_sample(U, grid, align_corners=align_corners, backend="literal")
    expected = expected, *grid_sample_backward(U, grid, gV, align_corners=align_corners, backend="literal")
    for there, here in zip(got, expected, strict=True):
        assert_allclose(there, here, atol=16 * np.finfo(dtype).eps * max(shape))


@each_backend
@pytest.mark.parametrize("align_corners", (False, True))
def test_normalised_points_and_their_gradients(example, backend, align_corners):
    U, _, gV = example()
    grid = np.random.default_rng(1).uniform(-1.3, 1.3, (2, 4, 6, 2))
    options = {"align_corners": align_corners, "padding_mode": "reflection"}
    there = [OnGPU(array) for array in (U, grid, gV)]
    got = home(grid_sample(*there[:2], backend=backend, **options))
    got += home(grid_sample_backward(*there, backend=backend, **options))
    expected = grid_sample(U, grid, **options), *grid_sample_backward(U, grid, gV, **options)
    for a, b in zip(got, expected, strict=True):
        assert np.abs(a - b).max() <= 1e-14 * np.abs(b).max()


@simulated
def test_arrays_of_a_gpu_are_read_where_they_are(example, monkeypatch):
    U, points, gV = example()
    seen = []
    launch = arrays.launch
    monkeypatch.setattr(arrays, "launch", lambda kernel, *rest: (seen.append(rest[3:]), launch(kernel, *rest)))
    monkeypatch.delattr(device, "to_device")
    V = sample(OnGPU(U), OnGPU(points), backend="cuda")
    gU, gpoints = sample_backward(OnGPU(U), OnGPU(points), OnGPU(gV), backend="cuda")
    memory = [[array._ary for array in args if hasattr(array, "_ary")] for args in seen]
    for array in (U, points, gV):
        assert any(np.shares_memory(array, other) for arrays in memory for other in arrays)
    assert V.shape == gV.shape and gU.shape == U.shape and gpoints.shape == points.shape


@simulated  # numba-cuda copies no such array to a GPU
@each_backend
def test_gaps_between_elements_are_copied_on_the_gpu(example, backend):
    U, points, gV = example()
    odd = np.zeros((2, 3, 5, 14))[..., ::2], np.asfortranarray(points), np.zeros((2, 6, 4, 6))[:, ::2]
    for array, values in zip(odd, (U, points, gV), strict=True):
        array[...] = values
    expected = sample(U, points, backend=backend), *sample_backward(U, points, gV, backend=backend)
    there = [OnGPU(array) for array in odd]
    got = home(sample(*there[:2], backend=backend)) + home(sample_backward(*there, backend=backend))
    for a, b in zip(got, expected, strict=True):
        assert np.abs(a - b).max() <= 1e-14 * np.abs(b).max()


@each_backend
@pytest.mark.parametrize("empty", ("N", "C", "Ho", "Wo"))
def test_empty_axes(example, backend, empty):
    U, points, gV = example(**{empty: 0})
    there = [OnGPU(array, strides=None) for array in (U, points, gV)]
    (V,) = home(sample(*there[:2], backend=backend))
    gU, gpoints = home(sample_backward(*there, backend=backend))
    assert (V.shape, gU.shape, gpoints.shape) == (gV.shape, U.shape, points.shape) and not gU.any()


# Streams.


@simulated
def test_the_work_is_queued_on_the_stream_of_the_arrays(example, monkeypatch):
    U, points, gV = example()
    used = []
    launch = arrays.launch
    monkeypatch.setattr(arrays, "launch", lambda *args: (used.append(args[3]), launch(*args)))
    waits = []

    class Event:
        def record(self, stream):
            self.of = stream

        def wait(self, stream):
            waits.append((stream, self.of))

    monkeypatch.setattr(device, "event", Event)
    V = sample(OnGPU(U, stream=7), OnGPU(points), backend="cuda")  # PyTorch names none
    assert set(used) == {7} and V.stream == 7 and not waits
    used.clear()
    sample_backward(OnGPU(U), OnGPU(points, stream=8), OnGPU(gV, stream=9), backend="cuda")
    assert set(used) == {8} and waits == [(8, 9)]  # one stream; what comes from another is waited for
    used.clear(), waits.clear()
    with kernels.get("cuda").stream(5):
        V = grid_sample(OnGPU(U, stream=7), OnGPU(points), backend="cuda")
    assert set(used) == {5} and (5, 7) in waits and V.stream == 5
    used.clear()
    sample(OnGPU(U), OnGPU(points), backend="cuda")
    assert set(used) == {0}  # the name has ended with its block


def test_a_stream_is_known_by_any_of_its_names():
    class Torch:
        cuda_stream = 11

    class Cupy:
        ptr = 12

    class Protocol:
        def __cuda_stream__(self):
            return 0, 13

    assert [arrays._address(handle) for handle in (Torch(), Cupy(), Protocol(), 14)] == [11, 12, 13, 14]
    with (
        pytest.raises(TypeError, match="stream must be a CUDA stream, or its address as an integer; got str"),
        sampling.stream("main"),
    ):
        pass


# The order of sums.


@each_dtype
@pytest.mark.parametrize("padding", kernels.PADDINGS)
@pytest.mark.parametrize("mode", ("bilinear", "nearest"))
def test_the_gradient_of_the_pixels_has_the_same_bits_whatever_order_points_arrive_in(
    example, monkeypatch, mode, padding, dtype
):
    U, points, gV = example(dtype, N=2, C=2, H=3, W=4, Ho=9, Wo=11, reach=0.3)
    first, _ = sample_backward(U, points, gV, mode=mode, padding=padding, backend="cuda")
    run = arrays.Call.run

    def shuffled(call, kernel, across, down, *args):
        run(call, kernel, across, down, *args)
        if kernel is not lists.push or not SIMULATED:
            return
        heads, following = (array._ary for array in args[1:3])
        rng = np.random.default_rng(3)
        for b, i in np.ndindex(heads.shape):  # as if the points had been hung into the lists in another order
            members = []
            while heads[b, i] >= 0:
                members.append(heads[b, i])
                heads[b, i] = following[b, heads[b, i]]
            for p in rng.permutation(members).astype(int):
                following[b, p], heads[b, i] = heads[b, i], p

    monkeypatch.setattr(arrays.Call, "run", shuffled)
    again, _ = sample_backward(U, points, gV, mode=mode, padding=padding, backend="cuda")
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("count", (0, 1, 2, 3, 7, 8, 9, 100))
@simulated
def test_a_list_is_sorted_in_place(count):
    members = np.random.default_rng(count).permutation(2 * count)[:count]
    following = np.full((2, 2 * count + 1), -5)
    head = -1
    for p in members:
        following[1, p], head = head, p
    head = lists.sorted_list(head, following, 1)
    got = []
    while head >= 0:
        got.append(head)
        head = following[1, head]
    assert got == sorted(members) and (following[0] == -5).all()


@each_backend
@pytest.mark.parametrize("mode", ("bilinear", "nearest"))
def test_all_points_may_meet_in_one_pixel(backend, mode):
    P = 40 * THREADS + 1 if SIMULATED else 3 * 10**5
    U, gV = np.ones((1, 2, 3, 4), np.float32), np.ones((1, 2, 1, P), np.float32)
    points = np.broadcast_to(np.array([2, 1], np.float32), (1, 1, P, 2))
    gU, _ = sample_backward(U, points, gV, mode=mode, backend=backend)
    assert (gU[0, :, 1, 2] == P).all() and gU.sum() == 2 * P


# Errors.


@each_backend
def test_arrays_here_and_there_do_not_mix(example, backend):
    U, points, gV = example()
    with pytest.raises(TypeError, match="points must be an array of the GPU, like U; got ndarray: give all of them as"):
        sample(OnGPU(U), points, backend=backend)
    with pytest.raises(TypeError, match="U must be an array of the GPU, like gV; got ndarray"):
        sample_backward(U, points, OnGPU(gV), backend=backend)


@each_backend
def test_the_same_checks_as_of_numpy_arrays(example, backend):
    U, points, gV = example()
    with pytest.raises(TypeError, match="U must be a float32 or float64 array; got an array of int32 on a GPU"):
        sample(OnGPU(U.astype(np.int32)), OnGPU(points), backend=backend)
    with pytest.raises(TypeError, match="gV must have the dtype of U, float64; got float32"):
        sample_backward(OnGPU(U), OnGPU(points), OnGPU(gV.astype(np.float32)), backend=backend)
    with pytest.raises(ValueError, match=r"points must be \(N, Ho, Wo, 2\): axis 0 is 1, expected N=2 from U"):
        sample(OnGPU(U), OnGPU(points[:1]), backend=backend)
    with pytest.raises(TypeError, match="U must be an array without a mask"):
        sample(OnGPU(U, mask=OnGPU(U)), OnGPU(points), backend=backend)


@each_backend
def test_what_there_is_no_kernel_for_names_the_cpu(example, backend):
    U, points, gV = example()
    wanted = r"sample with mode 'bilinear' or 'nearest'; got 'bicubic': use backend='cpu'"
    with pytest.raises(ValueError, match=wanted):
        sample(U, points, mode="bicubic", backend=backend)
    with pytest.raises(ValueError, match=wanted):
        sample_backward(U, points, gV, mode="bicubic", backend=backend)


# The whole.


@each_backend
def test_every_claim_of_the_conformance_suite_holds(backend):
    backward = ours.cuda_backward if backend == "cuda" else ours.cuda_atomic_backward
    verdicts = check(Subject(ours.cuda, backward))
    offered = [v for v in verdicts if v.outcome != "not offered" and "no tps was given" not in v.detail]
    assert len(offered) >= 55
    assert not [v for v in offered if v.outcome != "satisfied"]


@each_backend
def test_as_a_layer(example, backend):
    U, points, gV = example()
    layer = Sampler(backend=backend, padding="border")
    V = layer.forward(U, points)
    assert np.abs(V - sample(U, points, padding="border")).max() <= 1e-14 * np.abs(V).max()
    for got, expected in zip(layer.backward(gV), sample_backward(U, points, gV, padding="border"), strict=True):
        assert np.abs(got - expected).max() <= 1e-14 * np.abs(expected).max()


@pytest.mark.skipif(SIMULATED, reason="needs a GPU")
def test_tensors_of_pytorch_go_in_and_come_out_without_a_copy(example):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    U, points, gV = (torch.as_tensor(array, device="cuda") for array in example(np.float32, reach=0.3))
    grid = points / 10
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side), sampling.stream(side):
        V = torch.as_tensor(grid_sample(U, grid, backend="cuda"), device="cuda")
    torch.cuda.current_stream().wait_stream(side)
    expected = torch.nn.functional.grid_sample(U, grid, align_corners=False)
    assert torch.allclose(V, expected, atol=1e-5)
    results = grid_sample_backward(U, grid, gV, backend="cuda")
    gU, ggrid = (torch.as_tensor(result, device="cuda") for result in results)
    U.requires_grad_(), grid.requires_grad_()
    torch.nn.functional.grid_sample(U, grid, align_corners=False).backward(gV)
    assert torch.allclose(gU, U.grad, atol=1e-5) and torch.allclose(ggrid, grid.grad, atol=1e-4)
