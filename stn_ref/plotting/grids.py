"""Draw what a spatial transformer does to an image: the sampling grid over the input, and the output.

Reads: style.py. Read next: pooling.py.
"""

import numpy as np
from matplotlib.figure import Figure

from stn_ref import checks
from stn_ref.plotting import style


def draw_points(ax, points: np.ndarray, lines: int = 7) -> None:
    """Draw the sampling points of one image, in pixels, as a net of `lines` x `lines` lines; the top line is thick.

    Args:
        ax: matplotlib axes that show the input image.
        points: (Ho, Wo, 2) source points (x_s, y_s), pixels.
        lines: the number of rows, and of columns, of the grid to draw.

    Raises:
        ShapeError: points are not (Ho, Wo, 2).
    """
    Ho, Wo, _ = checks.shape("points", points, ("Ho", "Wo", 2))
    colour = style.OKABE_ITO["vermillion"]
    for i in np.unique(np.linspace(0, Ho - 1, lines).round().astype(int)):
        ax.plot(points[i, :, 0], points[i, :, 1], color=colour, lw=2.2 if i == 0 else 0.7)
    for j in np.unique(np.linspace(0, Wo - 1, lines).round().astype(int)):
        ax.plot(points[:, j, 0], points[:, j, 1], color=colour, lw=0.7)


def show(above, below, U: np.ndarray, points: np.ndarray, V: np.ndarray) -> None:
    """Draw U with its sampling points into the axes `above`, and V into the axes `below`.

    Args:
        above, below: matplotlib axes; they lose their ticks and frames.
        U: (H, W) grey values from 0 to 1, or (H, W, 3).
        points: (Ho, Wo, 2) source points (x_s, y_s), pixels.
        V: (h, w) or (h, w, 3).
    """
    H, W = U.shape[:2]
    span = {} if U.ndim == 3 else {"cmap": style.IMAGES, "vmin": 0, "vmax": 1}
    above.imshow(U, **span)
    draw_points(above, points)
    above.set(xlim=(-0.5, W - 0.5), ylim=(H - 0.5, -0.5))
    below.imshow(V, **span)
    for ax in (above, below):
        style.bare(ax)


def transformer_figure(U: np.ndarray, points: np.ndarray, V: np.ndarray, titles: list[str] | None = None) -> Figure:
    """Draw inputs with their sampling grids, and below them the outputs of the transformer.

    Args:
        U: (N, 1, H, W) inputs, grey values from 0 to 1.
        points: (N, Ho, Wo, 2) sampling points, pixels of U.
        V: (N, 1, h, w) outputs, pooled or not.
        titles: N titles, one above each column.

    Returns:
        The figure, with N columns of two images.

    Raises:
        ShapeError: axes disagree, or N = 0.
        ValueError: the number of titles is not N.
    """
    N, _, H, W = checks.shape("U", U, ("N", 1, "H", "W"))
    checks.not_empty("U", U, ("N", "1", "H", "W"), "N")
    checks.shape("points", points, ("N", "Ho", "Wo", 2), N=(N, "U"))
    checks.shape("V", V, ("N", 1, "h", "w"), N=(N, "U"))
    if titles is not None and len(titles) != N:
        raise ValueError(f"titles must be one for each of the N={N} images of U; got {len(titles)}")
    with style.styled():
        fig = style.figure(1.45 * N, 3.3)
        axes = fig.subplots(2, N, squeeze=False)
        for b in range(N):
            show(*axes[:, b], U[b, 0], points[b], V[b, 0])
            axes[0, b].set_title(titles[b] if titles else "")
        axes[0, 0].set_ylabel(f"input U\n{H}×{W} pixels")
        axes[1, 0].set_ylabel(f"output V\n{V.shape[2]}×{V.shape[3]} pixels")
    return fig
