"""Outside the image: zeros, border and reflection, compared with numbers computed by hand.

Most claims sample the middle row of an image whose rows are all 10, 20, 30, 40, .., so that only x matters.
"""

import numpy as np

from stn_ref.conformance.claim import claim, expect
from stn_ref.conformance.claims.points import EXACT, at_pixels


def _along_x(subject, x: list, W: int, **options) -> np.ndarray:
    """Return V at x pixels, in the middle of five rows, each of them 10, 20, .. 10 W."""
    U = np.tile(10.0 * np.arange(1, W + 1), (5, 1))
    return at_pixels(subject, U, np.stack([x, np.full(len(x), 2.0)], axis=-1), **options)


@claim(
    "The edge is hard or smeared instead of fading: the gradient of a point that leaves the image is wrong.",
    known="kevinzakka clips the neighbours before it weights them; scipy.ndimage cuts, unless mode='grid-constant'",
)
def zeros_fade_over_one_pixel(subject, options):
    """With zeros each tap is tested, not the point: V fades to 0 over one pixel outside the outer pixel centres."""
    H, W = EXACT[options["align_corners"]]
    outside = [(-0.25, 1), (-0.5, 1), (W - 0.75, 1), (2, -0.75), (2, H - 0.5)]
    V = at_pixels(subject, np.ones((H, W)), outside, **options)
    expect("V of a constant 1", V, [0.75, 0.5, 0.75, 0.25, 0.5], points=outside)


@claim("The corners of the picture are too bright or are cut off, which is visible when the picture is rotated.")
def zeros_keep_a_quarter_at_a_corner(subject, options):
    """With zeros, V half a pixel outside a corner along both axes is one tap of four: a quarter of the corner pixel."""
    H, W = EXACT[options["align_corners"]]
    corners = [(-0.5, -0.5), (W - 0.5, -0.5), (-0.5, H - 0.5), (W - 0.5, H - 0.5)]
    expect("V of a constant 8", at_pixels(subject, np.full((H, W), 8.0), corners, **options), 2.0, points=corners)


@claim(
    "Points that leave the image read pixels of another row or another image, or unrelated memory.",
    mode=("bilinear", "nearest"),
)
def zeros_beyond_one_pixel(subject, options):
    """With zeros V is 0 at every point that is one pixel or more outside the outer pixel centres."""
    H, W = EXACT[options["align_corners"]]
    points = [(-1, 1), (W, 1), (1, -1), (1, H), (-1.5, 1), (W + 7.25, 2), (2, -30), (-W, -H), (3 * W, 5 * H)]
    expect("V of a constant 1", at_pixels(subject, np.ones((H, W)), points, **options), 0.0, points=points)


@claim("A seam appears around the picture, although this padding should continue its edge.", padding_mode=("border",))
def border_repeats_the_edge(subject, options):
    """With border a point outside reads the nearest point of the rectangle through the outer pixel centres."""
    W = EXACT[options["align_corners"]][1]
    V = _along_x(subject, [-0.25, -3.5, 0.5, W - 0.75, W + 20], W, **options)
    expect("V of 10, 20, .. at x = -0.25, -3.5, 0.5, W - 0.75, W + 20", V, [10, 10, 15, 10 * W, 10 * W])
    above = at_pixels(subject, np.arange(40.0).reshape(5, 8), [(2.5, -2), (9, 7)], **options)
    expect("V above and beyond the corner of 0 .. 39 in rows of 8", above, [2.5, 39])


@claim(
    "The outer pixels are repeated where they should not be, or are not repeated where they should be.",
    known="libraries reflect about different lines: SciPy calls this one 'reflect', NumPy 'symmetric'",
    padding_mode=("reflection",),
    align_corners=(False,),
)
def reflection_about_the_edge(subject, options):
    """With reflection and align_corners=False the mirrors are at -1/2 and W - 1/2, so the outer pixels repeat."""
    x = [-0.25, -0.75, -1, -2, -2.5, 7.25, 8, 8.5, 15, 16.5, -10.5]  # 10, 20, .. 80, the mirrors at -0.5 and 7.5
    V = _along_x(subject, x, 8, **options)
    expect(f"V of 10, 20, .. 80 at x = {x}", V, [10, 10, 10, 20, 25, 80, 80, 75, 10, 15, 65])


@claim(
    "The outer pixels repeat where they should not, or the picture is mirrored about the wrong line.",
    known="SciPy calls this reflection 'mirror', NumPy 'reflect'",
    padding_mode=("reflection",),
    align_corners=(True,),
)
def reflection_about_the_centres(subject, options):
    """With reflection and align_corners=True the mirrors are at 0 and W - 1, so the outer pixels do not repeat."""
    x = [-0.25, -1, -2.5, 8.25, 9, 16, 17.5, -10.5]  # 10, 20, .. 90, the mirrors at 0 and 8
    V = _along_x(subject, x, 9, **options)
    expect(f"V of 10, 20, .. 90 at x = {x}", V, [12.5, 20, 35, 87.5, 80, 10, 25, 65])
