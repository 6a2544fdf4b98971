"""The sampler, as users call it and its kernel alone, compared with PyTorch and a copy of the bytes that must move.

Users call grid_sample and grid_sample_backward, with normalised points, as in PyTorch. The kernel alone is `sample` and
`sample_backward` on points that are already in pixels. PyTorch's backward is its kernel, called without autograd. The
grid of points is rotated slightly, and its corners are outside the image.

At least these bytes move: in forward U, the points and V once each; in backward U, the points, gV, gU and ggrid.
"""

import functools
import gc
import itertools
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np

from stn_ref import coordinates, sampler
from stn_ref.grid import affine_grid
from stn_ref.lab.bench import machine, timing

SHAPES = [  # N, C, H, W, Ho, Wo
    (256, 1, 28, 28, 28, 28),
    (64, 1, 60, 60, 28, 28),
    (64, 16, 32, 32, 32, 32),
    (16, 64, 64, 64, 64, 64),
    (4, 3, 512, 512, 512, 512),
    (128, 1, 42, 42, 21, 21),
    (8, 32, 96, 80, 48, 40),
]
PASSES = ("forward", "backward")
OF_MODES = SHAPES[1:3]  # the shapes for the comparison of modes
POWERS = range(8, 25, 2)  # powers of two: numbers of pixels in the part `growth`


def turned(N: int, dtype: str = "float32") -> np.ndarray:
    """Return theta (N, 2, 3): the same small rotation, zoom and shift for each image."""
    return np.tile(np.array([[0.9, 0.2, 0.05], [-0.2, 0.9, 0.02]], dtype), (N, 1, 1))


@functools.lru_cache(maxsize=1)  # forward and backward of one shape are measured one after the other
def problem(shape: tuple, dtype: str = "float32") -> tuple[np.ndarray, ...]:
    """Return U, the points normalised, the points in pixels, and gV, for a shape (N, C, H, W, Ho, Wo)."""
    N, C, H, W, Ho, Wo = shape
    rng = np.random.default_rng(0)
    U, gV = rng.standard_normal((N, C, H, W)).astype(dtype), rng.standard_normal((N, C, Ho, Wo)).astype(dtype)
    grid = affine_grid(turned(N, dtype), gV.shape)
    return U, grid, coordinates.to_pixels(grid, (H, W), False), gV


def calls(
    shape: tuple, mode: str = "bilinear", padding_mode: str = "zeros", dtype: str = "float32"
) -> dict[str, dict[str, Callable]]:
    """Return the calls "ours", "kernel" and "torch" of each pass."""
    U, grid, points, gV = problem(shape, dtype)
    options = {"mode": mode, "padding_mode": padding_mode}
    in_pixels = {"mode": mode, "padding": sampler.pixel_padding(padding_mode, False)}
    theirs = timing.in_pytorch("torch_sampler", U, grid, gV, **options) or dict.fromkeys(PASSES)
    ours = {
        "forward": lambda: sampler.grid_sample(U, grid, **options),
        "backward": lambda: sampler.grid_sample_backward(U, grid, gV, **options),
    }
    kernel = {
        "forward": lambda: sampler.sample(U, points, **in_pixels),
        "backward": lambda: sampler.sample_backward(U, points, gV, **in_pixels),
    }
    return {what: {"ours": ours[what], "kernel": kernel[what], "torch": theirs[what]} for what in PASSES}


def _measure(seconds: float, shape: tuple, what: str, kernel: bool = False, **options) -> dict:
    U, grid, _, gV = problem(shape, options.get("dtype", "float32"))
    timed = calls(shape, **options)[what]
    if not kernel:
        del timed["kernel"]
    moved = (1 if what == "forward" else 2) * (U.nbytes + grid.nbytes) + gV.nbytes
    row = timing.compare(timed, seconds, limit=machine.copy(moved))
    return row | {"shape": list(shape), "pass": what} | options


def cases(n_threads: list[int], quick: bool) -> Iterator[timing.Case]:
    """Yield the cases of bilinear sampling in float32 with zeros outside, and its kernel alone, for every shape."""
    for n, shape, what in itertools.product(n_threads, SHAPES[:1] if quick else SHAPES, PASSES):
        name = "grid_sample {:<8} {},{},{},{} -> {},{}".format(what, *shape)
        measure = functools.partial(_measure, shape=shape, what=what, kernel=True)
        yield timing.Case(name, n, measure, 2.5)


def mode_cases(n_threads: list[int], quick: bool) -> Iterator[timing.Case]:
    """Yield the cases of every other mode, padding and dtype, with one and many channels, on the most threads."""
    modes = itertools.product(sampler.MODES, sampler.PADDING_MODES, ("float32", "float64"))
    for mode, padding_mode, dtype in [("nearest", "border", "float32")] if quick else modes:
        if (mode, padding_mode, dtype) == ("bilinear", "zeros", "float32"):
            continue  # `cases` yields it
        for shape, what in itertools.product(OF_MODES, PASSES):
            name = f"{mode:<8} {padding_mode:<10} {dtype} C={shape[1]:<2} {what}"
            options = {"mode": mode, "padding_mode": padding_mode, "dtype": dtype}
            measure = functools.partial(_measure, shape=shape, what=what, **options)
            yield timing.Case(name, n_threads[-1], measure, 0.8)


def peak_bytes(call: Callable[[], object]) -> int:
    """Return the peak of the bytes that Python and NumPy allocate during a call, minus those before it."""
    gc.collect()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def growth(seconds: float, power: int, what: str) -> dict:
    """Return the time and memory, in all and for each pixel, of one pass over one channel of 2^power pixels.

    If the numbers for each pixel stay constant, the cost is linear. Memory is the peak that tracemalloc reports for a
    call, with the results: V takes 4 bytes a pixel, gU and ggrid take 12.
    """
    size = (2 ** (power // 2), 2 ** (power - power // 2))
    row = _measure(seconds, (1, 1, *size, *size), what)
    row |= {"pixels": 2**power, "nanoseconds_per_pixel": 1e6 * row["ours_ms"] / 2**power}
    if "torch_ms" in row:
        row["torch_nanoseconds_per_pixel"] = 1e6 * row["torch_ms"] / 2**power
    return row | {"peak_bytes_per_pixel": peak_bytes(calls((1, 1, *size, *size))[what]["ours"]) / 2**power}


def growth_cases(n_threads: list[int], quick: bool) -> Iterator[timing.Case]:
    """Yield the cases of both passes for every number of pixels."""
    for what, power in itertools.product(PASSES, POWERS[:3:2] if quick else POWERS):
        name = f"grid_sample {what:<8} 2^{power} pixels"
        yield timing.Case(name, n_threads[-1], functools.partial(growth, power=power, what=what), 1.0)
