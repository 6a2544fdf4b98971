"""The return value of a figure function: the figure, the numbers in it, its caption and its alt text."""

from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure

from stn_ref import data

CENTRED = {"ha": "center", "va": "center"}  # alignment of a text at its point


@dataclass
class Drawing:
    """A figure and what it shows.

    Attributes:
        figure: the matplotlib figure.
        alt: the alt text, a description for readers who cannot see the figure.
        caption: the meaning of the figure, in one sentence.
        numbers: name -> the numbers drawn. They are stored beside the file; `stn-ref figures --check` compares them.
        suffix: "svg" for line art, "png" for pixels.
        tolerance: the allowed difference of the numbers on another machine, as a share of the largest.
    """

    figure: Figure
    alt: str
    caption: str
    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    suffix: str = "svg"
    tolerance: float = 1e-6


def digit(label: int, size: int = 28) -> np.ndarray:
    """Return one procedural digit with this label, (size, size), 0 to 1, in the middle of a black canvas.

    >>> digit(3, 40).shape
    (40, 40)
    """
    dataset = data.load(n_train=40, n_val=1, n_test=1, seed=0)
    image = dataset.train_images[np.flatnonzero(dataset.train_labels == label)[0], 0] / 255.0
    edge = (size - 28) // 2
    return np.pad(image, (edge, size - 28 - edge))
