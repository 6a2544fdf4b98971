"""The counts of lab/invariance.py as a figure.

Reads: ../lab/invariance.py, style.py. Read next: curves.py.
"""

import numpy as np
from matplotlib.figure import Figure

from stn_ref.lab.invariance import isolated_counts, random_count
from stn_ref.plotting import style


def pooling_figure() -> Figure:
    """Draw the counts for an isolated maximum in a 2x2 and a 3x3 window; titles give their mean and that of noise."""
    with style.styled():
        fig = style.figure(6.4, 3.6)
        for ax, k in zip(fig.subplots(1, 2), (2, 3), strict=True):
            counts = isolated_counts(k)
            ax.imshow(counts, cmap=style.IMAGES, vmin=0, vmax=8)
            for (n, m), count in np.ndenumerate(counts):
                ax.text(m, n, f"{count}", ha="center", va="center", size=18, color="white" if count < 5 else "black")
            ax.set(xticks=range(k), yticks=range(k), xlabel="column m of the maximum", ylabel="row n")
            ax.set_title(f"{k}×{k} window: mean {counts.mean():.2f} of 8\nrandom pixels {float(random_count(k)):.2f}")
            ax.spines[:].set_visible(False)
    return fig
