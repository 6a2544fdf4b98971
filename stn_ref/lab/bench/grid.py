"""The grid, and grid + sampler forward and backward, as users call them, compared with PyTorch.

affine_grid and affine_grid_backward: PyTorch's backward is its kernel, called without autograd.

grid + sampler: theta and U to V, then gV to gU and gtheta. Our calls are the four functions affine_grid, grid_sample
and their backwards, and beside them the layers GridGenerator and Sampler. PyTorch's calls are affine_grid, grid_sample
and autograd.

The limit is a copy of the bytes that must move. For the grid these are theta and the grid, once each. For grid +
sampler these are U twice, and V, gV and gU once each; points do not count, because they need not be stored.
"""

import functools
from collections.abc import Callable, Iterator

import numpy as np

from stn_ref import transforms
from stn_ref.grid import GridGenerator, affine_grid, affine_grid_backward
from stn_ref.lab.bench import machine, sampler, timing
from stn_ref.sampler import Sampler, grid_sample, grid_sample_backward

SHAPES = [(256, 28, 28), (64, 28, 28), (64, 32, 32), (8, 256, 256), (1, 1024, 1024)]  # N, Ho, Wo


def calls(shape: tuple, what: str, dtype: str = "float32") -> dict[str, Callable]:
    """Return the calls "ours" and "torch" of affine_grid ("forward") or its backward, for a shape (N, Ho, Wo)."""
    theta, size = sampler.turned(shape[0], dtype), (shape[0], 1, *shape[1:])
    ggrid = np.random.default_rng(0).standard_normal((*shape, 2)).astype(dtype)
    ours = {"forward": lambda: affine_grid(theta, size), "backward": lambda: affine_grid_backward(ggrid, size)}
    theirs = timing.in_pytorch("torch_grid", theta, ggrid, size)
    return {"ours": ours[what], "torch": theirs and theirs[what]}


def together(shape: tuple, dtype: str = "float32") -> dict[str, Callable]:
    """Return the calls "ours", "layers" and "torch" for a shape (N, C, H, W, Ho, Wo); each returns V, gU, gtheta."""
    U, _, _, gV = sampler.problem(shape, dtype)
    theta = sampler.turned(len(U), dtype)
    generator, sampling = GridGenerator(transforms.get("affine"), gV.shape[2:]), Sampler()

    def functions():
        grid = affine_grid(theta, gV.shape)
        V = grid_sample(U, grid)
        gU, ggrid = grid_sample_backward(U, grid, gV)
        return V, gU, affine_grid_backward(ggrid, gV.shape)

    def layers():
        V = sampling.forward(U, generator.forward(theta.reshape(-1, 6), U.shape[2:]))
        gU, gpoints = sampling.backward(gV)
        return V, gU, generator.backward(gpoints).reshape(theta.shape)

    return {"ours": functions, "layers": layers, "torch": timing.in_pytorch("torch_grid_sampler", theta, U, gV)}


def _measure(seconds: float, shape: tuple, what: str) -> dict:
    if what == "both":
        (U, _, _, gV), timed = sampler.problem(shape), together(shape)
        moved = 3 * U.nbytes + 2 * gV.nbytes
    else:
        timed, moved = calls(shape, what), 4 * (6 * shape[0] + 2 * int(np.prod(shape)))
    return timing.compare(timed, seconds, limit=machine.copy(moved)) | {"shape": list(shape), "pass": what}


def cases(n_threads: list[int], quick: bool) -> Iterator[timing.Case]:
    """Yield the cases of affine_grid and its backward, then of grid + sampler, for every shape."""
    rows = [("affine_grid {:<8} {} x {},{}", SHAPES, what) for what in sampler.PASSES]
    rows += [("grid + sampler {1},{2},{3},{4} -> {5},{6}", sampler.SHAPES, "both")]
    for n in n_threads:
        for name, shapes, what in rows:
            for shape in shapes[:1] if quick else shapes:
                measure = functools.partial(_measure, shape=shape, what=what)
                yield timing.Case(name.format(what, *shape), n, measure, 2.0)
