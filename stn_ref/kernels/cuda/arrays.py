"""The arrays that the CUDA backends accept, and the stream that their work is queued on.

NumPy arrays are copied to the GPU, and the results are copied back. GPU arrays of any library with the CUDA array
interface are read without a copy (one with gaps between its elements is first copied on the GPU). The results are then
arrays of numba-cuda; `torch.as_tensor(V, device="cuda")` and `cupy.asarray(V)` take them without a copy. Arrays must be
on the current device of numba-cuda (numba.cuda.select_device).

Work on GPU arrays is queued, and the call does not wait for it. The stream is the one that `stream` names; else the one
that an array names in its interface, as CuPy's arrays do; else the default stream, which is also PyTorch's default. If
arrays name several streams, the chosen stream waits for the others. Results name their stream. JAX names no stream and
works on its own: wait for its arrays first (block_until_ready), and keep them until the result is complete.

Source: numba.readthedocs.io, CUDA Array Interface, versions 2 and 3. Read next: sampling.py.
"""

import contextlib
from contextvars import ContextVar
from types import SimpleNamespace

import numpy as np

from stn_ref.kernels.cuda import kernels
from stn_ref.kernels.cuda.device import SIMULATED, cuda, launch, one_line_errors

_named = ContextVar("stream", default=None)


@contextlib.contextmanager
def stream(handle):
    """Queue the work on GPU arrays on a stream, inside the `with`.

    Args:
        handle: a stream of PyTorch, CuPy, numba-cuda or cuda.core, for example torch.cuda.current_stream(); or its
            address as an integer.

    Raises:
        TypeError: handle is not a stream.
    """
    token = _named.set(_address(handle))
    try:
        yield
    finally:
        _named.reset(token)


def _address(handle) -> int:
    """Return the address of a stream, 0 for the default one."""
    if isinstance(handle, int) and not isinstance(handle, bool):
        return handle
    if hasattr(handle, "__cuda_stream__"):  # the common protocol: (version, address)
        protocol = handle.__cuda_stream__
        return int((protocol() if callable(protocol) else protocol)[1])
    for name in ("cuda_stream", "ptr"):  # older PyTorch and CuPy
        if hasattr(handle, name):
            return int(getattr(handle, name))
    raise TypeError(f"stream must be a CUDA stream, or its address as an integer; got {type(handle).__name__}")


def _stream(address: int):
    """Return numba-cuda's object for the stream at this address; on the simulator the address itself."""
    return address if SIMULATED or address == 0 else cuda.external_stream(address)


def on_gpu(array) -> bool:
    """Return whether the array is an array of numba-cuda, as `take` returns them."""
    return hasattr(array, "copy_to_host")


def take(**arrays) -> tuple:
    """Return GPU arrays as arrays of numba-cuda that share their memory, and NumPy arrays as they are.

    A GPU array is any object with `__cuda_array_interface__`, for example of CuPy, JAX or PyTorch.

    Raises:
        TypeError: some arrays are on a GPU and others are not, or an array has a mask.
    """
    at_home = [name for name, array in arrays.items() if not hasattr(array, "__cuda_array_interface__")]
    if len(at_home) == len(arrays):
        return tuple(arrays.values())
    if at_home:
        other = next(name for name in arrays if name not in at_home)
        raise TypeError(
            f"{at_home[0]} must be an array of the GPU, like {other}; got {type(arrays[at_home[0]]).__name__}: "
            "give all of them as arrays of the GPU, or all as NumPy arrays"
        )
    with one_line_errors(lambda: 0):
        return tuple(_view(name, array) for name, array in arrays.items())


def _view(name: str, array):
    """Return an array of numba-cuda that shares the memory of `array` and keeps it alive."""
    interface = dict(array.__cuda_array_interface__)
    if interface.get("mask") is not None:
        raise TypeError(f"{name} must be an array without a mask")
    shape, strides = tuple(interface["shape"]), interface.get("strides")
    dtype = np.dtype(interface["typestr"])
    if strides is not None and _in_one_piece(shape, strides, dtype.itemsize):
        interface["strides"] = None
    address = interface.pop("stream", None) or 0
    if SIMULATED:
        return _simulated_view(interface, array, address)
    return cuda.from_cuda_array_interface(interface, owner=array, sync=False).bind(_stream(address))


def _simulated_view(interface: dict, owner, address: int):
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    memory = np.asarray(SimpleNamespace(__array_interface__=interface | {"version": 3}, owner=owner))
    return FakeCUDAArray(memory, stream=address)


def _in_one_piece(shape: tuple, strides: tuple, size: int) -> bool:
    """Return whether the elements are contiguous in reading order; strides of axes with one element are ignored."""
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        if length > 1 and stride != size:
            return 0 in shape
        size *= length
    return True


class Call:
    """One call of a backend: `with Call(U, points) as call`. Inside, a CUDA error becomes a message of one line.

    Attributes:
        arrays: the arguments on the GPU, each contiguous.
        stream: the stream that the kernels are queued on.
    """

    def __init__(self, *arrays):
        self._given = arrays
        self._home = not on_gpu(arrays[0])
        self._bytes = 0
        self._errors = one_line_errors(lambda: self._bytes)

    def __enter__(self):
        self._errors.__enter__()
        try:
            self.stream = 0 if self._home else self._choose_stream()
            self.arrays = [self._home_array(a) if self._home else self._whole(a) for a in self._given]
        except Exception as error:
            self._errors.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, *error):
        return self._errors.__exit__(*error)

    def _choose_stream(self):
        """Return the stream of this call. It waits for the streams of the arguments."""
        theirs = [array.stream for array in self._given if array.stream]
        named = _named.get()
        mine = theirs[0] if theirs and named is None else _stream(named or 0)
        for other in theirs:
            if int(other) != int(mine):
                event = cuda.event(timing=False) if not SIMULATED else cuda.event()
                event.record(other)
                event.wait(mine)
        return mine

    def _home_array(self, array: np.ndarray):
        """Return a copy of a NumPy array on the GPU."""
        self._bytes += array.nbytes
        return cuda.to_device(np.ascontiguousarray(array))

    def _whole(self, array):
        """Return the array itself, or a copy on the GPU if there are gaps between its elements."""
        if array.size == 0 or _in_one_piece(array.shape, array.strides, array.dtype.itemsize):
            return array
        whole = self.empty(array.shape, array.dtype)
        A, B, C, D = array.shape
        self.run(kernels.copy, C * D, A * B, array, whole)
        return whole

    def empty(self, shape: tuple, dtype):
        """Return an array on the GPU with uninitialised elements."""
        shape = tuple(int(length) for length in shape)
        self._bytes += int(np.prod(shape)) * np.dtype(dtype).itemsize
        return cuda.device_array(shape, np.dtype(dtype), stream=self.stream)

    def filled(self, shape: tuple, dtype, value):
        """Return an array on the GPU with every element set to `value`."""
        array = self.empty(shape, dtype)
        rows = array.reshape(shape[0], int(np.prod(shape[1:])))
        self.run(kernels.fill, rows.shape[1], rows.shape[0], rows, np.dtype(dtype).type(value))
        return array

    def run(self, kernel, across: int, down: int, *args) -> None:
        """Queue a kernel, see device.launch."""
        launch(kernel, across, down, self.stream, *args)

    def result(self, array):
        """Return a result: as a NumPy array if the arguments were NumPy arrays, else as the array on the GPU."""
        if self._home:
            return array.copy_to_host()
        return array.bind(self.stream)
