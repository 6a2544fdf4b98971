"""Sec. 3.2 and 3.3: which pixel is read, and where it is written."""

import numpy as np

from stn_ref.conformance.claim import claim, expect
from stn_ref.conformance.claims.points import EXACT, PADDINGS, at_pixels, grid_of_pixels, image, normalised


@claim("Nothing can be compared: the paper's sampler is bilinear, and 0 outside the image.")
def offers_bilinear_with_zeros(subject, options):
    """Bilinear sampling with zeros outside is offered, for at least one of the two values of align_corners."""
    at_pixels(subject, np.ones(EXACT[options["align_corners"]]), [(1, 1)], **options)


@claim(
    "A network that starts with the identity transform sees its input shifted, cropped or resampled.",
    known="identity loses the last row and column: kevinzakka#13, tensorflow/models#193, daviddao#8",
)
def identity(subject, options):
    """A point at the centre of a pixel reads that pixel, also in the last row and column."""
    U = image(EXACT[options["align_corners"]])
    grid = normalised(grid_of_pixels(U.shape), U.shape, options["align_corners"])
    expect("V", subject.forward(U[None, None], grid[None], **options)[0, 0], U)


@claim("The weights do not add up to 1: the picture is brighter or darker wherever a point falls between pixels.")
def constant_stays_constant(subject, options):
    """Inside a constant image V is that constant, wherever the point lies between the pixels."""
    points = np.random.default_rng(0).uniform(0, 1, (50, 2)) * (6, 3)  # x <= 6, y <= 3 of a 5 x 8 image
    expect("V of a constant 7", at_pixels(subject, np.full((5, 8), 7.0), points, **options), 7.0, points=points)


@claim(
    "Every horizontal shift moves the picture vertically; tests on square symmetric images do not detect it.",
    known="voxelmorph PR 652, deformable-attention#6",
)
def x_before_y(subject, options):
    """The last axis of the grid is (x, y): the first number goes along columns, the second along rows."""
    U = 4 * np.arange(4.0)[:, None] + np.arange(4.0)  # U[n, m] = 4 n + m, square
    expect("V at x = 2, y = 1 of U[n, m] = 4 n + m", at_pixels(subject, U, [(2, 1)], **options), [6.0])


@claim(
    "Pictures that are not square are stretched, or sampled outside their shorter side.",
    known="affine_grid on non-square sizes: pytorch#4223; sheared rectangles: Lasagne#782, pytorch/vision PR 2553",
)
def width_goes_with_x(subject, options):
    """On an image that is not square, x is scaled by the width and y by the height."""
    for H, W in ((4, 12), (12, 4)):
        U = 100 * np.arange(1.0, H + 1)[:, None] + np.arange(1.0, W + 1)  # rows count hundreds, columns ones
        point = [(W - 1, H - 1)]
        expect(f"V at the last pixel of {H} x {W}", at_pixels(subject, U, point, **options), [100 * H + W])


@claim(
    "Pictures move in the opposite direction. Forward mapping also leaves holes where the picture is enlarged.",
    known="the question 'why must the matrix be inverted?', STN.keras#4: it need not be",
)
def target_to_source(subject, options):
    """V at target pixel (i, j) is U at the source point grid[i, j]: points one pixel to the right shift V to the left.

    No inverse is computed anywhere.
    """
    U = image(EXACT[options["align_corners"]])
    grid = normalised(grid_of_pixels(U.shape) + (1, 0), U.shape, options["align_corners"])
    V = subject.forward(U[None, None], grid[None], **options)[0, 0]
    expect("V", V[:, :-1], U[:, 1:])


@claim("The grid generator and the sampler disagree about the shape of the output, or its rows become columns.")
def output_is_laid_out_as_the_grid(subject, options):
    """V has the size of the grid, not of U, and its pixel (i, j) is sampled at the grid's point (i, j)."""
    U = image((4, 5))
    pixels = np.array([[(0, 0), (1, 3), (4, 2)], [(2, 1), (3, 0), (1, 1)]], float)  # Ho, Wo = 2, 3
    grid = normalised(pixels, U.shape, options["align_corners"])[None]
    V = subject.forward(U[None, None], grid, **options)[0, 0]
    expect("V", V, [[U[0, 0], U[3, 1], U[2, 4]], [U[1, 2], U[0, 3], U[1, 1]]])


def _along_x(subject, x: list, **options) -> np.ndarray:
    """Return V at normalised x, in the middle of three rows, each of them 10, 20, 30, 40."""
    U = np.tile([10.0, 20.0, 30.0, 40.0], (3, 1))
    grid = np.stack([x, np.zeros(len(x))], axis=-1)[None, None]
    return subject.forward(U[None, None], grid, **options)[0, 0, 0]


@claim(
    "Every coordinate is scaled by W/(W-1): weights trained with another library see a zoomed image.",
    known="pytorch#20785, PR 24929: the default changed from True to False",
    align_corners=(False,),
)
def align_corners_false_reaches_the_edges(subject, options):
    """With align_corners=False, -1 and 1 are the outer edges of the image, half a pixel beyond the outer centres."""
    V = _along_x(subject, [-0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75], **options)  # at 0, 0.5, .. 3 pixels
    expect("V of 10, 20, 30, 40 at x = -0.75 .. 0.75", V, [10, 15, 20, 25, 30, 35, 40])


@claim(
    "Every coordinate is scaled by (W-1)/W: the corners of the picture are not where the caller expects them.",
    known="pytorch#20785; the scale W - 2 of kevinzakka",
    align_corners=(True,),
)
def align_corners_true_reaches_the_centres(subject, options):
    """With align_corners=True, -1 and 1 are the centres of the corner pixels."""
    V = _along_x(subject, [-1, -0.5, 0, 0.5, 1], **options)  # at 0, 0.75, 1.5, 2.25, 3 pixels
    expect("V of 10, 20, 30, 40 at x = -1 .. 1", V, [10, 17.5, 25, 32.5, 40])


@claim("The interpolation or the padding differs: weights that were trained with the paper's sampler do not fit.")
def equation_5(subject, options):
    """Inside and outside, V is the sum over all pixels of U[n, m] max(0, 1 - |x - m|) max(0, 1 - |y - n|)."""
    H, W = 5, 7  # with more points than one block of any kernel holds
    U, points = image((H, W)), np.random.default_rng(1).uniform(-2, (W + 1, H + 1), (1500, 2))
    columns = np.maximum(0, 1 - np.abs(points[:, :1] - np.arange(W)))
    rows = np.maximum(0, 1 - np.abs(points[:, 1:] - np.arange(H)))
    expect("V", at_pixels(subject, U, points, **options), ((rows @ U) * columns).sum(1), points=points)


@claim(
    "Feature maps that pooling has reduced to one pixel give wrong values, or NaN where that pixel has no extent.",
    known="PyTorch treats the reflection of a span of 0 separately",
    padding_mode=PADDINGS,
)
def single_pixel_image(subject, options):
    """An image of one pixel can be sampled: with align_corners=True every point in [-1, 1] reads that pixel."""
    grid = np.array([(0, 0), (-1, 0), (0.5, 1)], float)[None, None]
    V = subject.forward(np.full((1, 1, 1, 1), 8.0), grid, **options)[0, 0, 0]
    fades = options["padding_mode"] == "zeros" and not options["align_corners"]  # -1 and 1: half a pixel outside
    expect("V of one pixel 8", V, [8, 4, 3] if fades else [8, 8, 8])  # 3/4 along x times 1/2 along y
