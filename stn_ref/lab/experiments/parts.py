"""Parallel parts: nets with 0, 1, 2 and 4 windows of a fixed size, for classes that depend on two small parts.

Reads: creatures.py, cell.py, ../../several.py. Read next: pooling.py.

As in the paper's experiment on birds, one localisation net places all windows, and each window is an attention
transformer with a fixed scale. One net describes the content of each window, and the descriptions are classified
together. The class labels are the only supervision: they do not say where the parts are or which window belongs to
which part. After training the distances from each window's centre to the head and to the tail are measured, as means
over the test set. The windows are assigned to the parts once for the whole set, by the least sum of distances, and not
for each picture. The baseline is the distance of the best window that never moves, chosen on the parts of the test set.

The pictures are not the paper's (creatures.py), and neither are these choices. A window is 16 x 16 of the 48 x 48
pixels, not shrunk. Head and tail do not both fit completely into one window, although in a fifth of the poses, the most
slanted ones, the centres of both do. A classifier that sees only the head errs in at least one of four cases. The same
small net describes every window. "No window" is, as in the paper, the same description of the whole picture, shrunk to
the size of a window: `cnn-shrunk`. (In the paper every net receives pictures of 224 x 224 pixels, and the windows are
cut from 448 x 448.) Two more nets, `cnn` and `fcn`, receive all 48 x 48 pixels, nine times as many as one window. `cnn`
has 32,536 parameters (one, two and four windows: 20,186, 21,340 and 23,648) and sees both parts sharply, which one
window cannot. At this size of picture a net does not need windows; at the size of a photograph a net without windows is
expensive. `fcn` learns nothing at `small`: its error is that of a constant answer, 81.25 %. All nets see the same
pictures in the same order.

Trials led to these choices:

- The windows start at different places; two windows start left and right of the middle. A creature's head is on its
  right. The start thus suggests which window is for which part, but not where the part is. If all windows started in
  the middle, they would be identical.
- The localisation net sees the picture shrunk to 12 x 12 pixels. There a creature is a blob whose slant is visible and
  whose marks are not. The hidden layer uses tanh: with ReLU and Adam all hidden units died in the first steps, when the
  gradient is still noise, and the windows did not move.
- The last layer of the localisation net keeps the windows inside the picture (`Inside`), and its learning rate is a
  tenth of the rate of the other layers. Without either the windows left the picture before the description was useful,
  and outside no gradient leads back. At a fifth of the rate, in one of three trainings both windows ended at the tail,
  whose two marks are easier to distinguish, and the head was left to chance.
- The description is convolutional. A fully-connected one learnt almost nothing from windows that show their part in
  half of the pictures, each time at a different place.
- The picture must not be too large, and the stray marks must not be too many. Otherwise the windows leave before they
  have learnt what to look for. This happened in two of three trainings with pictures of 64 x 64 pixels, with windows of
  20 x 20 in 60 x 60, with four strays, and with strays that have a disc like the parts.
- The marks of the head are difficult for `cnn-shrunk`. With marks 8 pixels wide instead of 5 it was better than one
  window. With a ring in every third tail, and a ring that is larger than the cross, its error was 29.6 % and that of
  one window 33.6 %; there the head alone leaves 33.3 %.
"""

import functools
import itertools

import numpy as np
import scipy.optimize

from stn_ref import checks, transforms
from stn_ref.lab.experiments import creatures
from stn_ref.lab.experiments.cell import Cell, training_cell
from stn_ref.lab.results.summary import aligned, over_seeds
from stn_ref.localisation import scaled
from stn_ref.nn import AvgPool2d, Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential, Tanh
from stn_ref.several import ParallelTransformers, PerView
from stn_ref.training import Recipe

TITLE = "Parallel parts: a class that shows in two small parts, for nets with 0, 1, 2 and 4 windows"
DATA = None
NO_PAPER = "the pictures are ours; the paper's are photographs of birds"
PARTS = ("head", "tail")
VIEW = 16  # pixels of a side of a window
STARTS = {  # count -> initial places of the windows, (t_x, t_y)
    1: ((0.25, 0.0),),
    2: ((-0.25, 0.0), (0.25, 0.0)),
    4: ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)),
}
COUNTS = {"fcn": 0, "cnn": 0, "cnn-shrunk": 0, "1xst": 1, "2xst": 2, "4xst": 4}  # net -> number of windows
FEATURES = 32  # numbers that describe a view

NOTES = (
    "(head, tail: how far from it its window is, % of the picture's side; unmoved: the best window that never moves)",
    "(cnn-shrunk: no window, as many pixels as one; cnn, fcn: no window, all pixels)",
    "(baselines: a classifier that sees only the head errs in 25 %; a constant answer errs in 81.25 %)",
)
SIZES = {
    "smoke": {"n_train": 200, "n_val": 50, "n_test": 100},
    "small": {"n_train": 30_000, "n_val": 2_000, "n_test": 10_000},
}
RECIPES = {
    "smoke": {"epochs": 1, "batch_size": 50},
    "small": {"epochs": 30, "lr": 0.003, "warmup": 1000, "localisation_lr_scale": 0.1},
}


class Inside(Layer):
    """Limit the centre of a window so that the whole window is inside the picture.

        theta = r tanh z,   gz = gtheta (r - theta^2 / r)

    Args:
        reach: r, the largest |t_x| and |t_y|: 1 - s for windows of scale s.
    """

    def __init__(self, reach: float):
        self.reach = checks.between("reach", reach, 1e-6, 1)

    @np.errstate(all="ignore")
    def forward(self, z: np.ndarray) -> np.ndarray:
        """Return theta, shape of z."""
        theta = self.reach * np.tanh(checks.floating("z", z))
        return self.keep(theta, theta)

    @np.errstate(all="ignore")
    def backward(self, gtheta: np.ndarray, needs: bool = True) -> np.ndarray | None:
        """Return gz."""
        gtheta, (theta,) = self.take(gtheta)
        return gtheta * (self.reach - theta**2 / self.reach) if needs else None

    def inverse(self, theta: np.ndarray) -> np.ndarray:
        """Return z for a given theta."""
        return np.arctanh(theta / self.reach)


def windows(count: int, rng: np.random.Generator, *, lr_scale: float = 1.0, dtype=np.float32) -> ParallelTransformers:
    """Return `count` (1, 2 or 4) transformers with one localisation net, (N, 1, 48, 48) -> (N, count, 16, 16).

    `lr_scale` is a factor on the learning rate of the localisation net.
    """
    if count not in STARTS:
        raise ValueError(f"count must be one of {', '.join(map(str, STARTS))}; got {count!r}")
    family = transforms.get("attention", scale=VIEW / creatures.SIZE)
    side, inside = creatures.SIZE // 4, Inside(1 - family.scale)
    f_loc = Sequential(
        AvgPool2d(4),
        Flatten(),
        Linear(side * side, 64, rng, dtype=dtype),
        Tanh(),
        Linear.constant(64, inside.inverse(np.array(STARTS[count], dtype).ravel())),
        inside,
    )
    return ParallelTransformers(scaled(f_loc, lr_scale), [family] * count, (VIEW, VIEW))


def description(size: int, pool: int, rng: np.random.Generator, *, dtype=np.float32) -> Sequential:
    """Return the net that describes a view: conv 5x5, max pooling, ReLU, FC, ReLU; (N, 1, size, size) -> (N, 32)."""
    left = (size - 4) // pool
    return Sequential(
        Conv2d(1, 8, 5, rng, dtype=dtype),
        MaxPool2d(pool),
        ReLU(),
        Flatten(),
        Linear(8 * left * left, FEATURES, rng, dtype=dtype),
        ReLU(),
    )


def build(name: str, rng: np.random.Generator, *, localisation_lr_scale: float = 1.0, dtype=np.float32) -> Sequential:
    """Return a net of COUNTS, (N, 1, 48, 48) -> scores (N, 8); arguments as of `models.build`."""
    checks.one_of("name", name, COUNTS)
    count = COUNTS[name]
    if count:
        view = description(VIEW, 2, rng, dtype=dtype)
        look = [windows(count, rng, lr_scale=localisation_lr_scale, dtype=dtype), PerView(view, count)]
    elif name == "cnn-shrunk":
        look = [AvgPool2d(creatures.SIZE // VIEW), description(VIEW, 2, rng, dtype=dtype)]
    elif name == "cnn":
        look = [description(creatures.SIZE, 4, rng, dtype=dtype)]
    else:
        wide, narrow = 2 * FEATURES, FEATURES
        look = [Flatten(), Linear(creatures.SIZE**2, wide, rng, dtype=dtype), ReLU()]
        look += [Linear(wide, narrow, rng, dtype=dtype), ReLU()]
    seen = FEATURES * max(1, count)
    return Sequential(
        *look, Linear(seen, 32, rng, dtype=dtype), ReLU(), Linear(32, creatures.CLASSES, rng, dtype=dtype)
    )


def distances(look: ParallelTransformers, U: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Return the mean distances of the windows from the parts over the pictures, as a share of the picture's side.

        d[m,p] = mean_n |centre of window m - centre of part p| / 48

    U is (N, 1, 48, 48), and the poses of its creatures are (N,). The result is (M, 2) float64, in the order of the
    windows and of PARTS.
    """
    parts = creatures.part_centres(pose)
    centres = np.stack([((theta + 1.0) * creatures.SIZE - 1) / 2 for theta, _, _ in look.look(U)])
    return np.linalg.norm(centres[:, :, None] - parts, axis=-1).mean(axis=1) / creatures.SIZE


def matched(far: np.ndarray) -> tuple[int, ...]:
    """Return the window of each part: different windows, with the least sum of distances.

    Args:
        far: (M, P) distances. With fewer windows than parts (M < P), every part gets the first window.

    >>> matched(np.array([[3.0, 1.0], [2.0, 1.5], [9.0, 9.0]]))
    (1, 0)
    """
    M, P = far.shape
    if M < P:
        return (0,) * P
    return min(itertools.permutations(range(M), P), key=lambda mine: sum(far[m, p] for p, m in enumerate(mine)))


def unmoved(at: np.ndarray) -> float:
    """Return the mean distance of a part from the best window that never moves, as a share of the picture's side.

        d = min_c mean_n |c - x_n| / 48,   c: the geometric median

    Args:
        at: (N, 2), x_n: the place of the part in pixels (x, y).
    """
    far = scipy.optimize.minimize(lambda c: np.linalg.norm(at - c, axis=-1).mean(), at.mean(axis=0))
    return far.fun / creatures.SIZE


def measured(net: Layer, source: creatures.Creatures, seed: int) -> dict:
    """Return distances in %: of all windows, of each part's window, and of the best window that never moves."""
    if not isinstance(net[0], ParallelTransformers):
        return {}
    (U, _), pose = source.fixed("test", seed), source.fixed_pose("test", seed)
    far, at = distances(net[0], U, pose), creatures.part_centres(pose)
    found = {"distances_percent": (100 * far).round(6).tolist()}
    for p, (part, window) in enumerate(zip(PARTS, matched(far), strict=True)):
        found[f"{part}_window"] = window
        found[f"{part}_distance_percent"] = round(100 * far[window, p], 6)
        found[f"{part}_distance_unmoved_percent"] = round(100 * unmoved(at[:, p]), 6)
    return found


def cells(scale: str, seed: int, data_dir: str | None) -> list[Cell]:
    """Return the cells of one seed, one for each net."""
    source = creatures.Creatures(**SIZES[scale])
    recipe = Recipe(seed=seed, **RECIPES[scale])
    measure = functools.partial(measured, seed=seed)
    return [
        training_cell(name, recipe, source, build=functools.partial(build, name), measure=measure, model=name)
        for name in COUNTS
    ]


def table(results: list[dict]) -> list[str]:
    """Return the table of errors and, in % of the side, the distances of windows and of the best unmoved window."""
    columns = {
        "error, %": "test_error_percent",
        **{part + of: f"{part}_distance{of.replace(' ', '_')}_percent" for part in PARTS for of in ("", " unmoved")},
    }
    found = {title: over_seeds(results, key) for title, key in columns.items()}
    rows = [("net", *columns)]
    rows += [(name, *(str(found[title].get(name, "-")) for title in columns)) for name in COUNTS]
    return [*aligned(rows), *NOTES]
