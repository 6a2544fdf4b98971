"""Sec. 3.2 and 3.3: which pixel is read, and where it is written."""

import numpy as np

from stn_ref.conformance.claim import claim, expect
from stn_ref.conformance.claims.points import BOTH, EXACT, at_pixels, grid_of_pixels, image, normalised


@claim(
    "Without it there is nothing to compare: the paper's sampler is bilinear, and 0 outside the image.",
)
def offers_bilinear_with_zeros(subject):
    """Bilinear sampling with zeros outside is offered, in one of the two conventions of align_corners at least."""
    for options in subject.offered(align_corners=BOTH):
        at_pixels(subject, np.ones(EXACT[options["align_corners"]]), [(1, 1)], **options)


@claim(
    "A network that starts with the identity transform sees its input shifted, cropped or resampled.",
    known="identity loses the last row and column: kevinzakka#13, tensorflow/models#193, daviddao#8",
)
def identity(subject):
    """A point at the centre of a pixel reads that pixel."""
    for options in subject.offered(align_corners=BOTH):
        U = image(EXACT[options["align_corners"]])
        expect("V", at_pixels(subject, U, grid_of_pixels(U.shape).reshape(-1, 2), **options), U.reshape(-1))


@claim(
    "Every horizontal shift moves the picture vertically, and only square symmetric tests do not notice.",
    known="voxelmorph PR 652, deformable-attention#6",
)
def x_before_y(subject):
    """The last axis of the grid is (x, y): the first number goes along columns, the second along rows."""
    U = np.arange(16.0).reshape(4, 4)  # U[n, m] = 4 n + m
    for options in subject.offered(align_corners=BOTH):
        expect("V at x = 2, y = 1", at_pixels(subject, U, [(2, 1)], **options), [6.0])


@claim(
    "The grid generator and the sampler disagree about the shape of the output.",
)
def output_has_the_shape_of_the_grid(subject):
    """V is as large as the grid, not as U, and its pixel (i, j) is sampled at the grid's point (i, j)."""
    for options in subject.offered(align_corners=BOTH):
        U = image((4, 5))
        pixels = np.array([[(0, 0), (1, 3), (4, 2)], [(2, 1), (3, 0), (1, 1)]], float)  # Ho, Wo = 2, 3
        grid = normalised(pixels, U.shape, options["align_corners"])[None]
        V = subject.forward(U[None, None], grid, **options)[0, 0]
        expect("V", V, [[U[0, 0], U[3, 1], U[2, 4]], [U[1, 2], U[0, 3], U[1, 1]]])
