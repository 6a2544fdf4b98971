"""The sampler alone, forward and backward, against PyTorch's and against a copy of the bytes that have to move.

Points are turned a little and leave the image at its corners. Ours takes them in pixels, as SpatialTransformer hands
them to it; PyTorch's takes them normalised, two multiply-adds a point more. The rows "grid_sample" compare the function
of that name, which takes normalised points, too.

At least these bytes move: forward U, the points and V once each; backward U, the points, gV, gU and gpoints.
"""

import functools
from collections.abc import Iterator

import numpy as np

from stn_ref import coordinates
from stn_ref.grid import affine_grid
from stn_ref.lab.bench import machine, timing
from stn_ref.sampler import (
    MODES,
    PADDING_MODES,
    grid_sample,
    grid_sample_backward,
    pixel_padding,
    sample,
    sample_backward,
)

SHAPES = [  # N, C, H, W, Ho, Wo
    (256, 1, 28, 28, 28, 28),
    (64, 1, 60, 60, 28, 28),
    (64, 16, 32, 32, 32, 32),
    (16, 64, 64, 64, 64, 64),
    (4, 3, 512, 512, 512, 512),
]
PASSES = ("forward", "backward")
OF_MODES = [(64, 1, 60, 60, 28, 28), (64, 16, 32, 32, 32, 32)]  # the shapes on which modes are compared


@functools.lru_cache(maxsize=1)  # forward and backward of one shape follow each other
def problem(shape: tuple, dtype: str = "float32") -> tuple[np.ndarray, ...]:
    """Return U, the points normalised and in pixels, and gV, of N, C, H, W, Ho, Wo."""
    N, C, H, W, Ho, Wo = shape
    rng = np.random.default_rng(0)
    U, gV = rng.standard_normal((N, C, H, W)).astype(dtype), rng.standard_normal((N, C, Ho, Wo)).astype(dtype)
    theta = np.tile(np.array([[0.9, 0.2, 0.05], [-0.2, 0.9, 0.02]], dtype), (N, 1, 1))
    grid = affine_grid(theta, gV.shape)
    return U, grid, coordinates.to_pixels(grid, (H, W), False), gV


def _measure(
    seconds: float, shape: tuple, what: str, mode="bilinear", padding="zeros", dtype="float32", normalised=False
) -> dict:
    U, grid, points, gV = problem(shape, dtype)
    if normalised:
        options = {"mode": mode, "padding_mode": padding}
        calls = {
            "forward": lambda: grid_sample(U, grid, **options),
            "backward": lambda: grid_sample_backward(U, grid, gV, **options),
        }
    else:
        options = {"mode": mode, "padding": pixel_padding(padding, False)}
        calls = {
            "forward": lambda: sample(U, points, **options),
            "backward": lambda: sample_backward(U, points, gV, **options),
        }
    moved = U.nbytes + grid.nbytes + gV.nbytes
    if what == "backward":
        moved += U.nbytes + grid.nbytes
    torch_calls = {}
    if timing.has_torch():
        from stn_ref.lab.bench.pytorch import torch_sampler

        torch_calls = torch_sampler(U, grid, gV, mode, padding)
    row = timing.compare(calls[what], torch_calls.get(what), seconds, limit=machine.copy(moved))
    return row | {"shape": list(shape), "mode": mode, "padding": padding, "dtype": dtype, "pass": what}


def _case(n: int, name: str, seconds: float, **options) -> timing.Case:
    return timing.Case(name, n, functools.partial(_measure, **options), seconds)


def cases(n_threads: list[int], quick: bool) -> Iterator[timing.Case]:
    """Yield bilinear sampling of float32 with zeros outside, of every shape."""
    for n in n_threads:
        for shape in SHAPES[:1] if quick else SHAPES:
            for what in PASSES:
                name = "{:<8} {},{},{},{} -> {},{}".format(what, *shape)
                yield _case(n, name, 2.5, shape=shape, what=what)
    for what in () if quick else PASSES:
        name = "grid_sample {:<8} {},{},{},{} -> {},{}".format(what, *SHAPES[2])
        yield _case(n_threads[-1], name, 2.5, shape=SHAPES[2], what=what, normalised=True)


def mode_cases(n_threads: list[int], quick: bool) -> Iterator[timing.Case]:
    """Yield every mode with every padding and dtype, with one channel and with many, on the most threads."""
    combinations = (
        (mode, padding, dtype, shape)
        for mode in MODES
        for padding in PADDING_MODES
        for dtype in ("float32", "float64")
        for shape in OF_MODES
    )
    if quick:
        combinations = [("nearest", "border", "float32", OF_MODES[0])]
    for mode, padding, dtype, shape in combinations:
        for what in PASSES[: 1 if quick else 2]:
            name = f"{mode:<8} {padding:<10} {dtype} C={shape[1]:<2} {what}"
            options = {"shape": shape, "what": what, "mode": mode, "padding": padding, "dtype": dtype}
            yield _case(n_threads[-1], name, 0.8, **options)
