"""What any function of arrays owes its caller."""

from functools import partial

import numpy as np

from stn_ref.conformance.claim import Violated, claim, expect
from stn_ref.conformance.claims.points import BOTH, MODES, PADDINGS, at_pixels, image

SIZE = (4, 7)


def _arrays(dtype=np.float64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (U, grid, gV), N, C, Ho, Wo = 2, 3, 5, 6, partly outside."""
    rng = np.random.default_rng(4)
    arrays = rng.standard_normal((2, 3, *SIZE)), rng.uniform(-1.3, 1.3, (2, 5, 6, 2)), rng.standard_normal((2, 3, 5, 6))
    return tuple(array.astype(dtype) for array in arrays)


def _dtype(name: str, array: np.ndarray, dtype) -> None:
    if array.dtype != dtype:
        raise Violated(f"{name} of {np.dtype(dtype)} input must be {np.dtype(dtype)}; got {array.dtype}")


@claim("Memory and time double behind your back, or a gradient check in float64 is one in float32.")
def dtype_is_kept(subject):
    """float32 gives float32, float64 gives float64."""
    for options in subject.offered(mode=MODES, padding_mode=PADDINGS, align_corners=BOTH):
        for dtype in (np.float32, np.float64):
            U, grid, _ = _arrays(dtype)
            _dtype("V", subject.forward(U, grid, **options), dtype)


@claim("Memory and time double behind your back, or a gradient check in float64 is one in float32.", subject="backward")
def dtype_of_gradients_is_kept(subject):
    """The gradients of float32 arrays are float32, those of float64 arrays are float64."""
    for options in subject.offered("backward", mode=MODES, padding_mode=PADDINGS, align_corners=BOTH):
        for dtype in (np.float32, np.float64):
            for name, array in zip(("gU", "ggrid"), subject.backward(*_arrays(dtype), **options), strict=True):
                _dtype(name, array, dtype)


@claim(
    "A gradient check by differences drowns in rounding: work in float64 is done in float32 or in fixed point.",
    known="OpenCV's remap rounds positions to 1/32 pixel",
)
def float64_is_computed_in_float64(subject):
    """With float64 V is a straight line between two points of a row in a cell, to 1e-12."""
    for options in subject.offered(align_corners=BOTH):
        U = image((5, 9), seed=5)
        left = np.array([(3.1234567, 2), (4.0123456, 1), (5.3333333, 3)])
        right = left + (0.4567891, 0)
        at = partial(at_pixels, subject, U, **options)
        expect("V half way between two points", at((left + right) / 2), (at(left) + at(right)) / 2, tolerance=1e-12)


@claim("Training, which runs in float32, computes something else than what your checks in float64 have found right.")
def float32_agrees_with_float64(subject):
    """V of float32 arrays is that of the same numbers in float64, but for rounding."""
    for options in subject.offered(mode=MODES, padding_mode=PADDINGS, align_corners=BOTH):
        U, grid, _ = _arrays(np.float32)
        V = subject.forward(U.astype(np.float64), grid.astype(np.float64), **options)
        expect("V of float32 arrays", subject.forward(U, grid, **options), V)


@claim(
    "Training, which runs in float32, goes elsewhere than your gradient checks in float64 have promised.",
    subject="backward",
)
def float32_gradients_agree_with_float64(subject):
    """The gradients of float32 arrays are those of the same numbers in float64, but for rounding."""
    for options in subject.offered("backward", mode=MODES, padding_mode=PADDINGS, align_corners=BOTH):
        single = _arrays(np.float32)
        expected = subject.backward(*(array.astype(np.float64) for array in single), **options)
        for name, got, wanted in zip(("gU", "ggrid"), subject.backward(*single, **options), expected, strict=True):
            expect(f"{name} of float32 arrays", got, wanted)


def _unchanged(before: tuple, after: tuple, names: str) -> None:
    for name, old, new in zip(names.split(), before, after, strict=True):
        if not np.array_equal(old, new):
            raise Violated(f"{name} was changed by the call: by up to {np.abs(new - old).max():.6g}")


@claim("What is computed from the same arrays afterwards is wrong, and the fault looks like someone else's.")
def inputs_are_left_alone(subject):
    """The call does not write to U or to the grid."""
    for options in subject.offered(mode=MODES, padding_mode=PADDINGS, align_corners=BOTH):
        arrays = _arrays()[:2]
        subject.call("forward", *arrays, **options)
        _unchanged(_arrays()[:2], arrays, "U grid")


@claim(
    "What is computed from the same arrays afterwards is wrong, and the fault looks like someone else's.",
    subject="backward",
)
def backward_leaves_inputs_alone(subject):
    """The backward call does not write to U, the grid or gV."""
    for options in subject.offered("backward", mode=MODES, padding_mode=PADDINGS, align_corners=BOTH):
        arrays = _arrays()
        subject.call("backward", *arrays, **options)
        _unchanged(_arrays(), arrays, "U grid gV")


@claim("Results cannot be reproduced, or a first call leaves something behind for the second.")
def same_call_same_answer(subject):
    """A second call with the same arrays gives the same V, bit for bit."""
    for options in subject.offered(mode=MODES, padding_mode=PADDINGS, align_corners=BOTH):
        U, grid, _ = _arrays()
        first = subject.forward(U, grid, **options).copy()
        subject.forward(U[:, :, ::-1], -grid, **options)
        expect("the second V", subject.forward(U, grid, **options), first, tolerance=0)


@claim("One image of a batch shows up in another, or all are sampled with the first one's grid.")
def images_of_a_batch_are_independent(subject):
    """Each image of a batch is sampled with its own grid, as it would be alone."""
    for options in subject.offered(align_corners=BOTH):
        U, grid, _ = _arrays()
        alone = np.concatenate([subject.forward(U[b : b + 1], grid[b : b + 1], **options) for b in (0, 1)])
        expect("V", subject.forward(U, grid, **options), alone)


@claim("The channels of an image are moved against each other, or mixed.")
def channels_share_the_points(subject):
    """Each channel is sampled at the same points, as it would be alone."""
    for options in subject.offered(align_corners=BOTH):
        U, grid, _ = _arrays()
        alone = np.concatenate([subject.forward(U[:, c : c + 1], grid, **options) for c in range(3)], axis=1)
        expect("V", subject.forward(U, grid, **options), alone)


@claim("Slices and transposed pictures are read in the wrong order, and nothing says so.")
def memory_layout_does_not_matter(subject):
    """Arrays that are not contiguous in memory give the same V as contiguous ones."""
    for options in subject.offered(align_corners=BOTH):
        U, grid, _ = _arrays()
        V = subject.call("forward", np.asfortranarray(U), np.asfortranarray(grid), **options)
        expect("V of Fortran-ordered arrays", V, subject.forward(U, grid, **options))
        wide = np.repeat(U, 2, axis=-1)[..., ::2]
        expect("V of every second column", subject.call("forward", wide, grid, **options), V)


@claim("Code that crops, or filters a batch down to nothing, fails on the day that nothing is left.")
def empty_grid_gives_an_empty_output(subject):
    """A grid without points gives an empty V."""
    for options in subject.offered(align_corners=BOTH):
        U, grid, _ = _arrays()
        subject.forward(U, grid[:, :0], **options)
        subject.forward(U, grid[:, :, :0], **options)
