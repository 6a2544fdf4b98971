"""What the caller of any function of arrays may expect: dtypes kept, inputs unchanged, results reproducible."""

from functools import partial

import numpy as np

from stn_ref.conformance.claim import Violated, claim, expect, gradient_claim
from stn_ref.conformance.claims.points import EVERY, at_pixels, image

SIZE = (4, 7)


def _arrays(dtype=np.float64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (U, grid, gV) with N, C, Ho, Wo = 2, 3, 5, 6; some points lie outside."""
    rng = np.random.default_rng(4)
    arrays = rng.standard_normal((2, 3, *SIZE)), rng.uniform(-1.3, 1.3, (2, 5, 6, 2)), rng.standard_normal((2, 3, 5, 6))
    return tuple(array.astype(dtype) for array in arrays)


def _dtype(name: str, array: np.ndarray, dtype) -> None:
    if array.dtype != dtype:
        raise Violated(f"{name} of {np.dtype(dtype)} input must be {np.dtype(dtype)}; got {array.dtype}")


@claim("Memory and time double unnoticed, or a gradient check in float64 in fact runs in float32.", **EVERY)
def dtype_is_kept(subject, options):
    """float32 gives float32, float64 gives float64."""
    for dtype in (np.float32, np.float64):
        U, grid, _ = _arrays(dtype)
        _dtype("V", subject.forward(U, grid, **options), dtype)


@gradient_claim("Memory and time double unnoticed, or a gradient check in float64 in fact runs in float32.", **EVERY)
def dtype_of_gradients_is_kept(subject, options):
    """The gradients of float32 arrays are float32, and those of float64 arrays are float64."""
    for dtype in (np.float32, np.float64):
        for name, array in zip(("gU", "ggrid"), subject.backward(*_arrays(dtype), **options), strict=True):
            _dtype(name, array, dtype)


@claim(
    "Rounding hides the differences in a gradient check: float64 arrays are processed in float32 or fixed point.",
    known="OpenCV's remap rounds positions to 1/32 pixel",
)
def float64_is_computed_in_float64(subject, options):
    """In float64, V is linear between two points of a row in a cell, up to 1e-12."""
    U = image((5, 9), seed=5)
    left = np.array([(3.1234567, 2), (4.0123456, 1), (5.3333333, 3)])
    right = left + (0.4567891, 0)
    at = partial(at_pixels, subject, U, **options)
    expect("V half way between two points", at((left + right) / 2), (at(left) + at(right)) / 2, tolerance=1e-12)


@claim("Training in float32 computes something else than what your checks in float64 have verified.", **EVERY)
def float32_agrees_with_float64(subject, options):
    """V of float32 arrays equals V of the same numbers in float64, up to rounding."""
    U, grid, _ = _arrays(np.float32)
    V = subject.forward(U.astype(np.float64), grid.astype(np.float64), **options)
    expect("V of float32 arrays", subject.forward(U, grid, **options), V)


@gradient_claim(
    "Training in float32 follows other gradients than those that your checks in float64 have verified.", **EVERY
)
def float32_gradients_agree_with_float64(subject, options):
    """The gradients of float32 arrays equal those of the same numbers in float64, up to rounding."""
    single = _arrays(np.float32)
    expected = subject.backward(*(array.astype(np.float64) for array in single), **options)
    for name, got, wanted in zip(("gU", "ggrid"), subject.backward(*single, **options), expected, strict=True):
        expect(f"{name} of float32 arrays", got, wanted)


def _unchanged(before: tuple, after: tuple, names: str) -> None:
    for name, old, new in zip(names.split(), before, after, strict=True):
        if not np.array_equal(old, new):
            raise Violated(f"{name} was changed by the call: by up to {np.abs(new - old).max():.6g}")


@claim("Later results from the same arrays are wrong, and the fault seems to be in other code.", **EVERY)
def inputs_are_left_alone(subject, options):
    """The call does not write to U or to the grid."""
    arrays = _arrays()[:2]
    subject.call("forward", *arrays, **options)
    _unchanged(_arrays()[:2], arrays, "U grid")


@gradient_claim("Later results from the same arrays are wrong, and the fault seems to be in other code.", **EVERY)
def backward_leaves_inputs_alone(subject, options):
    """The backward call does not write to U, the grid or gV."""
    arrays = _arrays()
    subject.call("backward", *arrays, **options)
    _unchanged(_arrays(), arrays, "U grid gV")


@claim("Results cannot be reproduced, or one call influences the next.", **EVERY)
def same_call_same_answer(subject, options):
    """A second call with the same arrays gives the same V, bit for bit."""
    U, grid, _ = _arrays()
    first = subject.forward(U, grid, **options).copy()
    subject.forward(U[:, :, ::-1], -grid, **options)
    expect("the second V", subject.forward(U, grid, **options), first, tolerance=0)


@claim("One image of a batch appears in another, or all images are sampled with the grid of the first.")
def images_of_a_batch_are_independent(subject, options):
    """Each image of a batch is sampled with its own grid, as it would be alone."""
    U, grid, _ = _arrays()
    alone = np.concatenate([subject.forward(U[b : b + 1], grid[b : b + 1], **options) for b in (0, 1)])
    expect("V", subject.forward(U, grid, **options), alone)


@claim("The channels of an image are shifted relative to each other, or mixed.")
def channels_share_the_points(subject, options):
    """Each channel is sampled at the same points, as it would be alone."""
    U, grid, _ = _arrays()
    alone = np.concatenate([subject.forward(U[:, c : c + 1], grid, **options) for c in range(3)], axis=1)
    expect("V", subject.forward(U, grid, **options), alone)


@claim("Slices and transposed pictures are read in the wrong order, without an error.")
def memory_layout_does_not_matter(subject, options):
    """Arrays that are not contiguous in memory give the same V as contiguous ones."""
    U, grid, _ = _arrays()
    V = subject.call("forward", np.asfortranarray(U), np.asfortranarray(grid), **options)
    expect("V of Fortran-ordered arrays", V, subject.forward(U, grid, **options))
    wide = np.repeat(U, 2, axis=-1)[..., ::2]
    expect("V of every second column", subject.call("forward", wide, grid, **options), V)


@claim("Code that crops images or filters a batch fails when nothing is left.")
def empty_grid_gives_an_empty_output(subject, options):
    """A grid without points gives an empty V."""
    U, grid, _ = _arrays()
    subject.forward(U, grid[:, :0], **options)
    subject.forward(U, grid[:, :, :0], **options)
