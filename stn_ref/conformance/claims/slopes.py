"""Eqs. (6) and (7) away from kinks: gradients compared with results by hand and with differences.

Upstream gradients are random: if they were ones, a backward that confuses one sample with another would pass.
"""

import numpy as np

from stn_ref.conformance.claim import expect, gradient_claim
from stn_ref.conformance.claims.points import EVERY, normalised, slopes_at_pixels

SIZE = (4, 7)  # H, W; N, C, Ho, Wo = 2, 3, 5, 6: all sizes differ, so that no two axes can be confused


def _example(align_corners: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (U, points in pixels, gV); points lie inside or up to two pixels outside, at least 1/8 off every kink."""
    rng = np.random.default_rng(seed)
    cell = rng.integers(-2, np.array(SIZE[::-1]) + 1, (2, 5, 6, 2))
    fraction = rng.uniform(0.15, 0.35, cell.shape) + 0.5 * rng.integers(0, 2, cell.shape)  # jumps are at 0 and 1/2
    return rng.standard_normal((2, 3, *SIZE)), cell + fraction, rng.standard_normal((2, 3, 5, 6))


@gradient_claim(
    "Training moves the transform too fast or too slowly, by a factor that depends on the size of the picture.",
    known="the paper omits the factor",
)
def gradient_is_per_normalised_unit(subject, options):
    """dL/dgrid is per unit of the normalised grid: W/2 (with align_corners (W-1)/2) times the slope per pixel."""
    U = 3 * np.arange(9.0) + 5 * np.arange(6.0)[:, None]  # slopes 3 and 5 a pixel; H, W = 6, 9
    grid = normalised([(4.25, 2.75)], U.shape, options["align_corners"])[None, None]
    _, ggrid = subject.backward(U[None, None], grid, np.ones((1, 1, 1, 1)), **options)
    expected = [3 * 8 / 2, 5 * 5 / 2] if options["align_corners"] else [3 * 9 / 2, 5 * 6 / 2]
    expect("ggrid of U[n, m] = 5 n + 3 m", ggrid[0, 0, 0], expected)


@gradient_claim("The transform is trained with a wrong slope, which a test at the identity alone does not detect.")
def slope_of_a_cell_by_hand(subject, options):
    """In a cell with corners a, b above c, d, dV/dx at height t is (1 - t) (b - a) + t (d - c), and so for dV/dy."""
    U = np.array([[1.0, 2, 4, 8], [16, 32, 64, 128], [3, 9, 27, 81]])
    g = slopes_at_pixels(subject, U, [(1.25, 0.5), (2.5, 1.75)], **options)
    # 1/2 (4 - 2) + 1/2 (64 - 32);  3/4 (32 - 2) + 1/4 (64 - 4);  1/4 (128 - 64) + 3/4 (81 - 27);  half and half
    expect("dV/dx, dV/dy per pixel", g, [(17, 37.5), (56.5, 0.5 * (27 - 64) + 0.5 * (81 - 128))])


@gradient_claim("Where samples overlap (in every enlarged picture) the gradient of U is too small.")
def image_gradient_adds_up(subject, options):
    """dL/dU of a pixel is the sum over all samples that read it, not only the last of them."""
    grid = normalised([(2, 1), (2, 1), (2.5, 1)], (4, 8), options["align_corners"])[None, None]
    gU, _ = subject.backward(np.ones((1, 1, 4, 8)), grid, np.array([[[[1.0, 10, 200]]]]), **options)
    expect("gU at the pixel read with weights 1, 1, 1/2 of 1, 10, 200", gU[0, 0, 1, 2], 111.0)


@gradient_claim("The layers before the transformer are trained with wrong gradients.")
def equation_6(subject, options):
    """dL/dU[n, m] is the sum over the samples of gV max(0, 1 - |x - m|) max(0, 1 - |y - n|)."""
    U, points, gV = _example(options["align_corners"])
    columns = np.maximum(0, 1 - np.abs(points[..., :1] - np.arange(SIZE[1])))
    rows = np.maximum(0, 1 - np.abs(points[..., 1:] - np.arange(SIZE[0])))
    gU, _ = subject.backward(U, normalised(points, SIZE, options["align_corners"]), gV, **options)
    expect("gU", gU, np.einsum("bcij,bijn,bijm->bcnm", gV, rows, columns))


@gradient_claim("Forward and backward belong to two different samplers: the gradient of U is not that of V.", **EVERY)
def image_gradient_is_the_transpose(subject, options):
    """V is linear in U, and backward is the transpose: for every image X, sum(gV * forward(X)) = sum(gU * X)."""
    U, points, gV = _example(options["align_corners"])
    grid = normalised(points, SIZE, options["align_corners"])
    X = np.random.default_rng(9).standard_normal(U.shape)
    gU, _ = subject.backward(U, grid, gV, **options)
    expect("sum(gU * X)", (gU * X).sum(), (gV * subject.forward(X, grid, **options)).sum())


@gradient_claim("The localisation net is trained with wrong gradients; often it still learns, but worse.", **EVERY)
def grid_gradient_is_the_slope(subject, options):
    """dL/dgrid is the slope of L along each coordinate, for random upstream gradients and every option offered."""
    U, points, gV = _example(options["align_corners"])

    def loss_of_each(points):
        return (gV * subject.forward(U, normalised(points, SIZE, options["align_corners"]), **options)).sum(1)

    _, ggrid = subject.backward(U, normalised(points, SIZE, options["align_corners"]), gV, **options)
    h = 2.0**-10 if options["mode"] == "bicubic" else 2.0**-5  # pixels; bilinear V is straight inside a cell
    for axis, name in enumerate("xy"):
        step = h * np.eye(2)[axis]
        slope = (loss_of_each(points + step) - loss_of_each(points - step)) / (2 * h)
        span = SIZE[1 - axis] - options["align_corners"]
        expect(f"dL/d{name}", ggrid[..., axis], slope * span / 2, tolerance=1e-3)


@gradient_claim("The gradient of the coordinates mixes samples, channels or images.")
def each_sample_has_its_own_gradient(subject, options):
    """dL/dgrid of a sample is the sum over channels of its own gV times its own slope; no other sample contributes."""
    ramp = np.arange(7.0) + 10 * np.arange(4.0)[:, None]
    U = np.stack([np.stack([ramp, 2 * ramp]), np.stack([-ramp, 5 * ramp])])  # slopes 1, 2; -1, 5 along x
    points = np.random.default_rng(1).uniform(0.2, (5.8, 2.8), (2, 2, 3, 2))
    gV = np.arange(1.0, 25).reshape(2, 2, 2, 3)
    _, ggrid = subject.backward(U, normalised(points, SIZE, options["align_corners"]), gV, **options)
    expected = np.stack([gV[0, 0] + 2 * gV[0, 1], -gV[1, 0] + 5 * gV[1, 1]])
    expect("dL/dx per pixel", ggrid[..., 0] * 2 / (7 - options["align_corners"]), expected)


@gradient_claim("A constant picture moves the transform: the slopes of the weights do not add up to 0.", **EVERY)
def constant_image_has_no_slope_in_a_cell(subject, options):
    """Inside a cell the slope of a constant image is 0."""
    points = np.random.default_rng(2).uniform(1.1, 1.9, (9, 2)) + (1, 0)
    g = slopes_at_pixels(subject, np.full((6, 7), 5.0), points, **options)
    expect("slope of a constant 5", g, 0.0, points=points)
