"""How much invariance max-pooling buys: of the 8 shifts by one pixel, how many leave the pooled output as it was?

Often quoted are 3 of 8 for 2x2 windows and 5 of 8 for 3x3 windows. Both hold for one isolated maximum only, and the
second only where it lies in the middle of an edge of its window.

Reads: nn/pooling.py, style.py. Read next: curves.py.
"""

import numpy as np
from matplotlib.figure import Figure

from stn_ref.nn import MaxPool2d
from stn_ref.plotting import style

SHIFTS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def unchanged(images: np.ndarray, k: int) -> np.ndarray:
    """Count, for each image, the one-pixel shifts that leave the middle pooling window's output unchanged.

    Args:
        images: (N, 3k, 3k); the middle one of its nine k x k windows is looked at.
        k: size and stride of the pooling.

    Returns:
        (N,) counts, 0 to 8.
    """
    pool = MaxPool2d(k).eval()

    def middle(dy: int, dx: int) -> np.ndarray:
        return pool.forward(np.roll(images, (dy, dx), axis=(1, 2))[:, None])[:, 0, 1, 1]

    return sum((middle(*shift) == middle(0, 0)).astype(int) for shift in SHIFTS)


def isolated_counts(k: int) -> np.ndarray:
    """Return (k, k): the count for one isolated maximum, for each of its places (n, m) in the k x k window. Exact.

    >>> isolated_counts(2).tolist()
    [[3, 3], [3, 3]]
    """
    images = np.zeros((k * k, 3 * k, 3 * k))
    n, m = np.divmod(np.arange(k * k), k)
    images[np.arange(k * k), k + n, k + m] = 1
    return unchanged(images, k).reshape(k, k)


def random_mean(k: int, rng: np.random.Generator, images: int = 100_000) -> float:
    """Return the mean count for images of independent uniform pixels, by simulation.

    Args:
        k: size and stride of the pooling.
        rng: where the pixels are drawn from.
        images: how many; the standard error is about 2 / sqrt(images).
    """
    return float(unchanged(rng.random((images, 3 * k, 3 * k)), k).mean())


def random_count(k: int) -> float:
    """Return the mean count for independent pixels, exactly.

    A shift is not noticed if the largest pixel of the old and the new window together lies in both: with the
    probability (pixels in both) / (pixels in either).

    >>> round(random_count(2), 4), round(random_count(3), 4)
    (1.9048, 3.1429)
    """
    both = [(k - abs(dy)) * (k - abs(dx)) for dy, dx in SHIFTS]
    return sum(shared / (2 * k * k - shared) for shared in both)


def pooling_figure() -> Figure:
    """Draw the counts for an isolated maximum in a 2x2 and a 3x3 window; titles give their mean and that of noise.

    Returns:
        the figure, one panel for each window.
    """
    with style.styled():
        fig = style.figure(6.4, 3.6)
        for ax, k in zip(fig.subplots(1, 2), (2, 3), strict=True):
            counts = isolated_counts(k)
            ax.imshow(counts, cmap=style.IMAGES, vmin=0, vmax=8)
            for (n, m), count in np.ndenumerate(counts):
                ax.text(m, n, f"{count}", ha="center", va="center", size=18, color="white" if count < 5 else "black")
            ax.set(
                xticks=range(k),
                yticks=range(k),
                xlabel="column m of the maximum",
                ylabel="row n",
                title=f"{k}×{k} window: mean {counts.mean():.2f} of 8\nrandom pixels {random_count(k):.2f}",
            )
            ax.spines[:].set_visible(False)
    return fig
