"""Figures about Eqs. (3)-(7): kernels, one sampled pixel, paddings, conventions, kinks."""

import numpy as np
from matplotlib.patches import Rectangle

from stn_ref import coordinates, sampler
from stn_ref.plotting import style
from stn_ref.plotting.gallery.drawing import CENTRED, Drawing
from stn_ref.plotting.style import bare

_COLOURS = [style.OKABE_ITO[name] for name in ("blue", "vermillion", "green", "orange", "purple")]


def _on_line(row: np.ndarray, x: np.ndarray, **options) -> np.ndarray:
    """Return V at the coordinates x of one line of pixels."""
    points = np.stack([x, np.zeros_like(x)], axis=-1)[None, None]
    return sampler.sample(row[None, None, None], points, **options).ravel()


def _slope(row: np.ndarray, x: np.ndarray, **options) -> np.ndarray:
    """Return dV / dx at the coordinates x of one line of pixels."""
    points = np.stack([x, np.zeros_like(x)], axis=-1)[None, None]
    _, gpoints = sampler.sample_backward(row[None, None, None], points, np.ones((1, 1, 1, len(x))), **options)
    return gpoints[0, 0, :, 0]


def hat_kernel() -> Drawing:
    """Draw the kernels of Eqs. (4) and (5) and of bicubic sampling, and their slopes, as the sampler computes them."""
    fig = style.figure(7.2, 3.4)
    d, pixel = np.linspace(-2.5, 2.5, 501), np.eye(11)[5]
    numbers = {}
    above, below = fig.subplots(1, 2)
    for mode, colour, dash in zip(("nearest", "bilinear", "bicubic"), _COLOURS, (":", "-", "--"), strict=False):
        k, dk = _on_line(pixel, 5 + d, mode=mode), _slope(pixel, 5 + d, mode=mode)
        above.plot(d, k, dash, color=colour, lw=2, label=mode)
        if mode != "nearest":
            below.plot(d, dk, dash, color=colour, lw=2, label=mode)
        numbers |= {f"{mode} k": k, f"{mode} dk": dk}
    above.set(xlabel="distance d = x − m, pixels", ylabel="weight k(d)", title="Kernels")
    below.set(xlabel="distance d = x − m, pixels", ylabel="slope dk/dx, per pixel", title="Their slopes")
    above.legend(fontsize=9, frameon=False)
    return Drawing(
        fig,
        "Left: weight against distance: a box for nearest, a triangle of half-width 1 for bilinear, a smooth bump "
        "with small negative lobes for bicubic. Right: their slopes: plus and minus one steps for bilinear, a smooth "
        "wave for bicubic.",
        "How much a pixel at distance d counts, and how fast that changes: the slope of the bilinear hat jumps at "
        "every pixel.",
        numbers,
    )


def bilinear_pixel() -> Drawing:
    """Draw one bilinear sample: four pixels and four weights, each the area of the opposite rectangle."""
    fig = style.figure(5.2, 4.6)
    ax = fig.subplots()
    U = np.array([[3.0, 7.0], [1.0, 9.0]])
    x, y = 0.7, 0.4
    V = sampler.sample(U[None, None], np.array([[[[x, y]]]])).item()
    ax.imshow(U, cmap="Greys", vmin=-3, vmax=40, extent=(-0.5, 1.5, 1.5, -0.5))
    weights = []
    for n in (0, 1):
        for m in (0, 1):
            weight = (1 - abs(x - m)) * (1 - abs(y - n))
            weights.append(weight)
            left, top = min(x, 1 - m), min(y, 1 - n)  # the rectangle opposite to the pixel
            colour = _COLOURS[2 * n + m]
            size = abs(x - (1 - m)), abs(y - (1 - n))
            ax.add_patch(Rectangle((left, top), *size, facecolor=colour, alpha=0.75, edgecolor="white"))
            beside = m + (0.27 if m else -0.27), n + (0.3 if n else -0.3)
            ax.text(left + size[0] / 2, top + size[1] / 2, f"{weight:.2f}", **CENTRED, size=11, color="black")
            ax.plot(m, n, "o", ms=13, color=colour, mec="white")
            ax.text(*beside, f"U = {U[n, m]:.0f}\ncounts {weight:.2f}", **CENTRED, size=9, color="black")
    ax.plot(x, y, "*", ms=20, color="white", mec="black")
    ax.set(xticks=[0, 1], yticks=[0, 1], xlabel="x_s, pixels", ylabel="y_s, pixels")
    ax.set_title(f"V at ({x}, {y}) = {V:.2f}")
    return Drawing(
        fig,
        "Four pixels and a star between them. Through the star the unit square is cut into four rectangles; each pixel "
        "has the colour of the rectangle opposite, whose area is its weight: 0.18, 0.42, 0.12 and 0.28.",
        "A bilinear sample is a mean of four pixels, each weighted with the area of the rectangle opposite to it.",
        {"weights": np.array(weights), "V": np.array([V])},
    )


def padding_modes() -> Drawing:
    """Draw one line of pixels and the samples outside it, for each padding and both conventions."""
    fig = style.figure(7.2, 5.4)
    row, x = np.array([1.0, 2.0, 4.0, 3.0]), np.linspace(-5, 8, 521)
    paddings = {
        "zeros": "zeros",
        "border": "border",
        "reflect": "reflection, align_corners=False",
        "mirror": "reflection, align_corners=True",
    }
    numbers = {}
    for ax, (padding, title), colour in zip(fig.subplots(4, 1, sharex=True), paddings.items(), _COLOURS, strict=False):
        V = numbers[padding] = _on_line(row, x, padding=padding)
        ax.axvspan(-0.5, 3.5, color="0.5", alpha=0.2, lw=0)
        ax.plot(x, V, color=colour, lw=2)
        ax.plot(range(4), row, "o", color=style.ink())
        ax.set(ylabel="V", title=title, ylim=(-0.3, 4.5), xlim=(-5, 8))
        ax.title.set_size(10)
    ax.set_xlabel("x_s, pixels; grey: the image, from the left edge of its first pixel to the right edge of its last")
    return Drawing(
        fig,
        "Four curves over one line of four pixels and beyond. Zeros fall to 0 within one pixel; border stays at the "
        "last pixel; reflection repeats the line backwards, with the edge pixel twice (align_corners False) or once "
        "(True).",
        "What lies outside the image: with zeros V fades over one pixel, border goes on, reflection turns at the edges "
        "of the outer pixels or at their centres.",
        numbers,
    )


def align_corners() -> Drawing:
    """Draw both conventions of normalised coordinates on a line of four pixels."""
    fig = style.figure(7.2, 3.0)
    numbers = {}
    for ax, flag in zip(fig.subplots(2, 1), (False, True), strict=True):
        centres = coordinates.target_axis(4, flag, np.float64)
        numbers[str(flag)] = centres
        for j in range(4):
            ax.add_patch(Rectangle((j - 0.5, -0.35), 1, 0.7, facecolor="0.5", alpha=0.25, edgecolor=style.ink()))
            ax.plot(j, 0, "o", color=_COLOURS[0])
            ax.text(j + 0.08, 0.08, f"{centres[j]:.3g}".replace("-", "−"), ha="left", va="bottom", size=10)
        ends = (-0.5, 3.5) if not flag else (0, 3)
        for end, label in zip(ends, ("−1", "1"), strict=True):
            ax.plot([end, end], [-0.55, 0.55], color=_COLOURS[1], lw=2.5)
            ax.text(end, -0.6, label, ha="center", va="top", color=_COLOURS[1], size=12, weight="bold")
        ax.set(xlim=(-1, 4), ylim=(-1.0, 0.7), title=f"align_corners={flag}")
        ax.title.set_size(11)
        bare(ax)
    return Drawing(
        fig,
        "Two rows of four pixels. Above, -1 and 1 stand at the outer edges of the row and the centres at -0.75, -0.25, "
        "0.25, 0.75; below, -1 and 1 stand at the centres of the first and the last pixel, the others at -0.333 and "
        "0.333.",
        "What -1 and 1 mean: the outer edges of the outer pixels (align_corners=False), or their centres (True).",
        numbers,
    )


def kinks() -> Drawing:
    """Draw V along a line of pixels, and the four possible slopes at each kink."""
    fig = style.figure(7.2, 4.6)
    above, below = fig.subplots(2, 1, sharex=True)
    row, x = np.array([2.0, 3.0, 5.0, 4.0, 4.0]), np.linspace(0, 4, 401)
    V = _on_line(row, x)
    above.plot(x, V, color=_COLOURS[0], lw=2)
    above.plot(range(5), row, "o", color=style.ink())
    above.set(ylabel="V", title="V along a line of pixels")
    numbers = {"V": V}
    between = x[x != x.round()]
    cell = np.floor(between).astype(int)
    below.plot(between, np.where(np.diff(cell, append=-1) != 0, np.nan, (row[1:] - row[:-1])[cell]), color=_COLOURS[0])
    at = np.arange(1.0, 4.0)
    for kink, marker, colour in zip(sampler.KINKS, (">", "<", "D", "X"), _COLOURS[1:], strict=True):
        numbers[kink] = _slope(row, at, kink=kink)
        label = "Eq. (7) as printed" if kink == "as_printed" else kink
        below.plot(at, numbers[kink], marker, ms=9, color=colour, label=label, ls="none")
    below.set(xlabel="x_s, pixels", ylabel="slope, per pixel", title="Its slope: steps, and four answers at each pixel")
    below.legend(fontsize=9, frameon=False, ncols=2)
    return Drawing(
        fig,
        "Above, a line through five pixels that bends at each. Below, its slope, constant between pixels; at each "
        "inner pixel markers for the right, left and central slope, and for Eq. (7) as printed: 3, 5 and 4.",
        "At a pixel the slope jumps: right, left and central slopes lie within the jump, Eq. (7) as printed gives the "
        "value of the pixel instead.",
        numbers,
    )
