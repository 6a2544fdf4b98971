"""NaN, infinite and huge coordinates: a diverging network produces them, and they must not crash the program."""

import numpy as np

from stn_ref.conformance.claim import Violated, claim, expect, gradient_claim
from stn_ref.conformance.claims.points import EVERY, EXACT, MODES, PADDINGS, image, normalised

HUGE = (1e5, 3e9, 1e20, 1e300)


def _with(bad: float, options: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (U (1, 2, H, W), good grid (1, 3, 4, 2), the grid with two bad points, mask (3, 4) of these points)."""
    size = EXACT[options["align_corners"]]
    U = np.stack([image(size, 1), image(size, 2)])[None]
    points = np.random.default_rng(3).uniform(0.1, np.array(size[::-1]) - 1.1, (1, 3, 4, 2))
    good = normalised(points, size, options["align_corners"])
    grid = good.copy()
    grid[0, 1, 2, 0], grid[0, 2, 0, 1] = bad, bad  # one bad x, one bad y
    where = np.zeros((3, 4), bool)
    where[1, 2] = where[2, 0] = True
    return U, good, grid, where


def _told(name: str, bad: float) -> str:
    return f"{name} with a coordinate {bad:g}"


@claim(
    "One bad coordinate crashes the program or spoils the whole batch.",
    known="segfaults: pytorch#24823, #51911, PR 35506",
    **EVERY,
)
def nan_coordinate_stays_local(subject, options):
    """A NaN coordinate raises no exception and changes no other sample."""
    U, good, grid, where = _with(np.nan, options)
    V, expected = subject.forward(U, grid, **options), subject.forward(U, good, **options)
    expect(_told("another sample", np.nan), V[..., ~where], expected[..., ~where])


@claim(
    "A diverged network seems to work: its NaN appears as an ordinary pixel.",
    known="PyTorch gives a pixel with border and reflection, 0 with nearest and zeros, and NaN otherwise",
    **EVERY,
)
def nan_coordinate_gives_nan(subject, options):
    """The sample at a NaN coordinate is NaN, in all channels."""
    U, _, grid, where = _with(np.nan, options)
    expect(_told("V", np.nan), subject.forward(U, grid, **options)[..., where], np.nan)


@claim(
    "A transform that zooms out too far reads memory outside the image, or wraps around to the opposite side.",
    known="pytorch#42616, #19826; SciPy 1.17 'nearest' and OpenCV 5.0 give the wrong edge at 1e20",
    **EVERY,
)
def huge_coordinate_is_outside(subject, options):
    """A huge coordinate is outside: V is 0 with zeros, the edge on that side with border, a pixel with reflection."""
    for bad in HUGE:
        _judge_outside(subject, bad, options)


@claim(
    "A division by 0 in a transform crashes the program or appears as an ordinary picture.",
    known="PyTorch gives NaN with bilinear and zeros, and with bicubic; the homogeneous divide: kornia#367",
    **EVERY,
)
def infinite_coordinate_is_outside(subject, options):
    """A coordinate of +-infinity is outside, like a huge one."""
    _judge_outside(subject, np.inf, options)


def _judge_outside(subject, bad: float, options: dict) -> None:
    H, W = EXACT[options["align_corners"]]
    U = 1000 + np.arange(W) + 100.0 * np.arange(H)[:, None]  # far from 0: only padding with zeros may give 0
    points = [(bad, 0), (-bad, 0), (0, bad), (0, -bad)]  # the good coordinate becomes exactly the middle
    middle = normalised([((W - 1) // 2, (H - 1) // 2)], (H, W), options["align_corners"])[0]
    grid = np.array([(x or middle[0], y or middle[1]) for x, y in points])[None, None]
    V = subject.forward(U[None, None], grid, **options)[0, 0, 0]
    n, m = (H - 1) // 2, (W - 1) // 2
    if options["padding_mode"] == "zeros":
        expect(_told("V", bad), V, 0.0)
    elif options["padding_mode"] == "border":
        expect(_told("V right, left, below, above", bad), V, [U[n, -1], U[n, 0], U[-1, m], U[0, m]])
    elif not ((V >= U.min() - 100) & (V <= U.max() + 100)).all():  # bicubic overshoots by less
        raise Violated(f"{_told('V', bad)}: expected values of the image, got {V.tolist()}")


@claim(
    "One NaN pixel spoils the whole picture.",
    known="0 * NaN is NaN: a sum over all pixels spreads it everywhere",
    **EVERY,
)
def nan_pixel_stays_local(subject, options):
    """A NaN pixel changes only the samples within one pixel of it (bicubic: two)."""
    size = EXACT[options["align_corners"]]
    U = image(size)
    points = np.array([(3.25, 2.25), (6.5, 0.5), (2.5, 2.75), (5.5, 1.25)])  # two pixels and more from (0, 0)
    grid = normalised(points, size, options["align_corners"])[None, None]
    expected = subject.forward(U[None, None], grid, **options)
    U[0, 0] = np.nan
    expect("V far from the NaN pixel", subject.forward(U[None, None], grid, **options), expected)


def _judge_spared(subject, options: dict) -> None:
    U, good, grid, where = _with(np.nan, options)
    gV = np.random.default_rng(8).standard_normal((1, 2, 3, 4))
    gU, ggrid = subject.backward(U, grid, gV, **options)
    expected_gU, expected = subject.backward(U, good, np.where(where, 0, gV), **options)
    expect(_told("gU", np.nan), gU, expected_gU)
    expect(_told("ggrid of another sample", np.nan), ggrid[:, ~where], expected[:, ~where])


@gradient_claim(
    "A diverging transform crashes the program in the backward pass, or spoils the gradients of earlier layers.",
    known="segfaults: pytorch#24823, #51911",
    mode=MODES,
)
def nan_coordinate_spares_the_image_gradient(subject, options):
    """With zeros a NaN coordinate adds nothing to dL/dU, and does not change dL/dgrid of the other samples."""
    _judge_spared(subject, options)


@gradient_claim(
    "A diverging transform crashes the program in the backward pass, or spoils the gradients of earlier layers.",
    known="PyTorch's backward on the CPU still ends with a segfault: pytorch#24823, #51911",
    mode=MODES,
    padding_mode=PADDINGS[1:],
)
def nan_coordinate_spares_the_padded_gradient(subject, options):
    """With border or reflection a NaN coordinate adds nothing to dL/dU and does not change other samples' gradients."""
    _judge_spared(subject, options)


@gradient_claim("A transform that has left the image gets large gradients that mean nothing.", **EVERY)
def huge_coordinate_has_no_gradient(subject, options):
    """With zeros and border the gradient along a huge coordinate is 0; with every padding all gradients are finite."""
    for bad in HUGE:
        U, _, grid, _ = _with(bad, options)
        gV = np.random.default_rng(8).standard_normal((1, 2, 3, 4))
        gU, ggrid = subject.backward(U, grid, gV, **options)
        if not (np.isfinite(gU).all() and np.isfinite(ggrid).all()):
            raise Violated(f"{_told('a gradient', bad)} is not finite")
        if options["padding_mode"] != "reflection":
            along = [ggrid[0, 1, 2, 0], ggrid[0, 2, 0, 1]]
            expect(_told("dL/dgrid along the huge coordinate", bad), along, 0.0)
