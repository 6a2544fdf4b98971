"""Parallel parts: 1, 2 and 4 windows of a fixed size, and none, where the class shows in two small parts.

Reads: creatures.py, cell.py, ../several.py. Read next: pooling.py.

As in the paper's experiment on birds, one localisation net says where all windows look, each is an attention
transformer with a fixed scale, and what they see is described and classified together. Nobody tells the windows where
the parts are, or which of them is for which part: they have the class labels alone. Afterwards the distance of each
window's centre from the head and from the tail is measured, averaged over the test set. Which window is said to look at
which part is one choice for the whole set, the one with the least sum of distances, not a choice for each picture.
Beside it stands the distance of the best window that never moves, chosen with the parts of the test set in sight.

Our own, since the pictures are (creatures.py): a window is 16 x 16 of the 48 x 48 pixels, not shrunk. Head and tail do
not fit into one whole, though in a fifth of the poses, the most slanted, the middles of both do; who knows the head
alone errs in one of four cases at best. The same small net describes every window. "No window" is, as in the paper, the
same description of the whole picture, shrunk to the size of a window: `cnn-shrunk`. (There every net is given pictures
of 224 x 224 pixels, and the windows are cut from 448 x 448.) Two more nets, `cnn` and `fcn`, are given all 48 x 48
pixels, nine times as many as one window. `cnn` has 32,536 parameters (one, two and four windows: 20,186, 21,340 and
23,648) and sees both parts sharply, which one window cannot: at this size of picture a net can do without windows, at
the size of a photograph it is dear. `fcn` learns nothing at `small`, and ends where a constant answer does, at 81.25 %.
All nets see the same pictures in the same order.

What it takes, found by trying:

- The windows begin apart, two of them left and right of the middle. A creature's head is to its right, so this is a
  hint which window is for which part, but not where the part is. If all began in the middle they would begin as twins.
- The localisation net sees the picture shrunk to 12 x 12 pixels, where a creature is a blob whose slant can be seen and
  whose marks cannot. Its hidden layer is of tanh: with ReLU and Adam all hidden units died in the first steps, when the
  gradient is noise yet, and the windows stood still.
- Its last layer keeps the windows inside the picture (`Inside`), and its learning rate is a tenth of the rest's.
  Without either the windows left the picture before the description of what they see was any good, and there is no
  gradient that leads back. At a fifth of the rate both windows of one training in three ended at the tail, whose two
  marks are the easier to tell apart, and left the head to chance.
- The description is convolutional. A fully-connected one learnt next to nothing from windows that show their part in
  half of the pictures, and in another place each time.
- The picture may not be too large, nor the stray marks too many, or the windows are off before they have learnt what
  to look for: so it went in two of three trainings with pictures of 64 x 64 pixels or windows of 20 x 20 of 60 x 60,
  with four strays, and with strays that have a disc like the parts.
- What is hard for `cnn-shrunk` are the marks of the head. With marks 8 pixels wide instead of 5 it was better than one
  window; with a ring in every third tail, and one that is larger than the cross, it came to 29.6 %, and one window to
  33.6 %, where the head alone leaves 33.3 %.
"""

import functools
import itertools

import numpy as np
import scipy.optimize

from stn_ref import checks, transforms
from stn_ref.lab.experiments import creatures
from stn_ref.lab.experiments.cell import Cell, described, fresh, trained
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
STARTS = {  # count -> where the windows begin, (t_x, t_y)
    1: ((0.25, 0.0),),
    2: ((-0.25, 0.0), (0.25, 0.0)),
    4: ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)),
}
COUNTS = {"fcn": 0, "cnn": 0, "cnn-shrunk": 0, "1xst": 1, "2xst": 2, "4xst": 4}  # net -> windows
FEATURES = 32  # of a view

NOTES = (
    "(head, tail: how far from it its window is, % of the picture's side; unmoved: the best window that never moves)",
    "(cnn-shrunk: no window, as many pixels as one; cnn, fcn: no window, all pixels)",
    "(errors to compare with: of who knows the head alone, 25 %; of a constant answer, 81.25 %)",
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
    """Keep the middle of a window so far from the edges that all of it is inside the picture.

        theta = r tanh z,   gz = gtheta (r - theta^2 / r)

    Args:
        reach: r, the largest |t_x| and |t_y|: 1 - s for windows of scale s.
    """

    def __init__(self, reach: float):
        self.reach = checks.between("reach", reach, 1e-6, 1)

    def forward(self, z: np.ndarray) -> np.ndarray:
        """Return theta, shape of z."""
        theta = self.reach * np.tanh(checks.floating("z", z))
        return self.keep(theta, theta)

    def backward(self, gtheta: np.ndarray, needs: bool = True) -> np.ndarray | None:
        """Return gz."""
        gtheta, (theta,) = self.take(gtheta)
        return gtheta * (self.reach - theta**2 / self.reach) if needs else None

    def inverse(self, theta: np.ndarray) -> np.ndarray:
        """Return z."""
        return np.arctanh(theta / self.reach)


def windows(count: int, rng: np.random.Generator, *, lr_scale: float = 1.0, dtype=np.float32) -> ParallelTransformers:
    """Return transformers that one localisation net steers, (N, 1, 48, 48) -> (N, count, 16, 16).

    Args:
        count: 1, 2 or 4.
        rng: for the weights.
        lr_scale: factor on the learning rate of the localisation net.
        dtype: of the weights.
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
    """Return a net of the experiment: (N, 1, 48, 48) -> scores (N, 8).

    Args:
        name: one of COUNTS.
        rng: for the weights.
        localisation_lr_scale: factor on the learning rate of the localisation net.
        dtype: of the weights.
    """
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
    """Return how far the windows are from the parts, as a share of the picture's side, averaged over the pictures.

        d[m,p] = mean_n |centre of window m - centre of part p| / 48

    Args:
        look: the windows.
        U: (N, 1, 48, 48) pictures.
        pose: (N,), what they are pictures of.

    Returns:
        (M, 2) float64, in the order of the windows and of PARTS.
    """
    parts = creatures.part_centres(pose)
    centres = np.stack([((theta + 1.0) * creatures.SIZE - 1) / 2 for theta, _, _ in look.look(U)])
    return np.linalg.norm(centres[:, :, None] - parts, axis=-1).mean(axis=1) / creatures.SIZE


def matched(far: np.ndarray) -> tuple[int, ...]:
    """Return which window is whose: for each part a window of its own, with the least sum of distances.

    Args:
        far: (M, P) distances. With fewer windows than parts there is no such choice: the first window is everybody's.

    >>> matched(np.array([[3.0, 1.0], [2.0, 1.5], [9.0, 9.0]]))
    (1, 0)
    """
    M, P = far.shape
    if M < P:
        return (0,) * P
    return min(itertools.permutations(range(M), P), key=lambda mine: sum(far[m, p] for p, m in enumerate(mine)))


def unmoved(at: np.ndarray) -> float:
    """Return how far a part is from the best window that never moves, as a share of the picture's side.

        d = min_c mean_n |c - x_n| / 48,   c: the geometric median

    Args:
        at: (N, 2), x_n: where the part is, pixels (x, y).
    """
    far = scipy.optimize.minimize(lambda c: np.linalg.norm(at - c, axis=-1).mean(), at.mean(axis=0))
    return far.fun / creatures.SIZE


def measured(net: Layer, source: creatures.Creatures, seed: int) -> dict:
    """Return the distances in %: of all windows, of each part's own, and of the best that never moves."""
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
    """Return the cells of one seed: a net each."""
    source = creatures.Creatures(**SIZES[scale])
    recipe = Recipe(seed=seed, **RECIPES[scale])
    measure = functools.partial(measured, seed=seed)
    return [
        Cell(
            name,
            seed,
            source.name,
            described(recipe, source, model=name),
            trained(recipe, lambda: source, functools.partial(fresh, build, name, recipe), measure),
        )
        for name in COUNTS
    ]


def table(results: list[dict]) -> list[str]:
    """Return the errors, how far from each part its window is, in % of the side, and the best that never moves."""
    columns = {
        "error, %": "test_error_percent",
        **{part + of: f"{part}_distance{of.replace(' ', '_')}_percent" for part in PARTS for of in ("", " unmoved")},
    }
    found = {title: over_seeds(results, key) for title, key in columns.items()}
    rows = [("net", *columns)]
    rows += [(name, *(str(found[title].get(name, "-")) for title in columns)) for name in COUNTS]
    return [*aligned(rows), *NOTES]
