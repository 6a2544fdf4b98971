"""Digits (drawn or read from files), their distortions, and batches. Importing this package compiles nothing.

Reading order: glyphs.py, digits.py, idx.py, deform.py, distortions.py, batching.py, cifar.py, transfer.py, download.py.
"""

from stn_ref.data.batching import (
    Dataset,
    DigitSource,
    DistortedDigits,
    Source,
    batches,
    epoch_batches,
    fixed_distortion,
    load,
    split,
    stream,
)
from stn_ref.data.digits import draw_digits
from stn_ref.data.distortions import (
    KINDS,
    Distorted,
    apply_pose,
    distort,
    draw_pose,
    source_points,
    to_float,
    upright_points,
)
from stn_ref.data.idx import find_idx, load_mnist, read_idx

__all__ = [
    "KINDS",
    "Dataset",
    "DigitSource",
    "Distorted",
    "DistortedDigits",
    "Source",
    "apply_pose",
    "batches",
    "distort",
    "draw_digits",
    "draw_pose",
    "epoch_batches",
    "find_idx",
    "fixed_distortion",
    "load",
    "load_mnist",
    "read_idx",
    "source_points",
    "split",
    "stream",
    "to_float",
    "upright_points",
]
