"""The other kernels of Eq. (3): nearest (Eq. 4) and bicubic (Keys, a = -3/4)."""

import numpy as np

from stn_ref.conformance.claim import claim, expect, gradient_claim
from stn_ref.conformance.claims.points import EXACT, PADDINGS, at_pixels, image, normalised


@claim(
    "Labels or masks that are warped with 'nearest' move by half a pixel.",
    known="truncation instead of rounding",
    mode=("nearest",),
)
def nearest_rounds(subject, options):
    """With nearest V is the pixel whose centre is nearest; a point half way may read either pixel."""
    U = image(EXACT[options["align_corners"]])
    points = [(1.25, 1), (1.75, 1), (2.5625, 2.4375), (0.4375, 1.5625), (3.375, 0.625)]
    V = at_pixels(subject, U, points, **options)
    expect("V", V, [U[1, 1], U[1, 2], U[2, 3], U[2, 0], U[1, 3]], points=points)


@claim("A border of one pixel appears, or the outer half of the outer pixels is lost.", mode=("nearest",))
def nearest_reaches_the_edge(subject, options):
    """With nearest and zeros the outer pixels extend half a pixel beyond their centres, and no further."""
    H, W = EXACT[options["align_corners"]]
    points = [(-0.4375, 1), (-0.5625, 1), (W - 0.5625, 1), (W - 0.4375, 1), (1, -0.4375), (1, H - 0.4375)]
    V = at_pixels(subject, np.ones((H, W)), points, **options)
    expect("V of a constant 1", V, [1, 0, 1, 0, 1, 0], points=points)


@gradient_claim(
    "The gradient of the coordinates is wrong: with nearest V is a staircase, flat between its jumps.",
    known="kornia#827 asks for a gradient; the only correct one is 0",
    mode=("nearest",),
)
def nearest_has_no_slope(subject, options):
    """With nearest dL/dgrid is 0, and dL/dU goes to the pixel that was read."""
    U, points = image(EXACT[options["align_corners"]]), np.array([(1.25, 1), (2.75, 2)])
    grid = normalised(points, U.shape, options["align_corners"])[None, None]
    gU, ggrid = subject.backward(U[None, None], grid, np.array([[[[3.0, 5.0]]]]), **options)
    expect("ggrid", ggrid, 0.0)
    expected = np.zeros(U.shape)
    expected[1, 1], expected[2, 3] = 3, 5
    expect("gU", gU[0, 0], expected)


# Keys' kernel with a = -3/4:  |d| <= 1: (a+2)|d|^3 - (a+3) d^2 + 1;  1 <= |d| <= 2: a (|d|^3 - 5 d^2 + 8 |d| - 4)
_QUARTERS = (1, 225 / 256, 19 / 32, 67 / 256, 0, -27 / 256, -3 / 32, -9 / 256, 0)  # at d = 0, 1/4, 1/2 .. 2


@claim(
    "The kernel is another cubic (a = -1/2 is common): pictures differ visibly from those of PyTorch and OpenCV.",
    mode=("bicubic",),
)
def bicubic_is_keys_with_three_quarters(subject, options):
    """The bicubic kernel is Keys' with a = -3/4: 19/32 at half a pixel, -3/32 at one and a half, 0 from 2 on."""
    impulse = np.zeros((8, 12))
    impulse[4, 6] = 1
    distances = np.arange(9) / 4
    for name, step in (("x", (1, 0)), ("y", (0, 1)), ("-x", (-1, 0)), ("-y", (0, -1))):
        points = np.array([6, 4]) + distances[:, None] * step
        expect(f"the kernel along {name}", at_pixels(subject, impulse, points, **options), _QUARTERS)
    V = at_pixels(subject, impulse, [(6.25, 4.5), (7.5, 3.25)], **options)
    products = [_QUARTERS[1] * _QUARTERS[2], _QUARTERS[6] * _QUARTERS[3]]
    expect("the kernel off the axes", V, products)


@claim(
    "The gradient jumps at the pixels, so the advantage of bicubic over bilinear, a continuous gradient, is lost.",
    mode=("bicubic",),
)
def bicubic_is_smooth(subject, options):
    """With bicubic the slope of V is the same on both sides of a pixel centre."""
    U, step = image((9, 9)), np.array([(1, 0), (0, 1)]) / 256
    centres = np.array([(3, 4), (4, 4), (5, 3)], float)
    for name, h in zip("xy", step, strict=True):
        left, middle, right = (at_pixels(subject, U, centres + k * h, **options) for k in (-1, 0, 1))
        expect(f"the jump of dV/d{name}", (right - 2 * middle + left) * 256, 0.0, tolerance=0.1)


@claim(
    "Bicubic sampling shows a seam at the picture's edge; clamping the point, as for bilinear, is not enough.",
    mode=("bicubic",),
    padding_mode=PADDINGS,
)
def bicubic_pads_taps(subject, options):
    """With bicubic the padding applies to each of the four taps, not to the point."""
    rows = np.tile(10.0 * np.arange(1, 10), (9, 1))  # 10, 20, .. 90
    w, v = 19 / 32, -3 / 32  # at -1/2 the taps are pixels -2, -1, 0, 1 with weights v, w, w, v
    taps = {"zeros": (0, 0), "border": (10, 10), "reflection": (20, 10)}[options["padding_mode"]]
    if options["padding_mode"] == "reflection" and options["align_corners"]:
        taps = (30, 20)
    V = at_pixels(subject, rows, [(-0.5, 4)], **options)
    expect("V of 10, 20, .. 90 at x = -1/2", V, [v * taps[0] + w * taps[1] + w * 10 + v * 20])
