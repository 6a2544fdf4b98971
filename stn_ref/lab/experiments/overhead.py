"""What a transformer costs: its share of a net's time and multiplications, forward and backward.

Reads: ../turns.py, ../nn/operations.py, cell.py.

The paper says 6 %, of one net: on SVHN the ST-CNN Multi is 6 % slower than the CNN, forward and backward. Those nets
are large, and nothing is known of the machine, so there is no `paper` scale. Here the nets of Table 1, the published
ones, and one with two transformers are taken apart. Three nets take turns in one process:

    whole    U -> transformer, and the 2x2 average behind it on the larger canvases -> classifier
    behind   V -> the same classifier, fed with an image of the size that the transformer hands on
    plain    U -> the net without a transformer that the paper compares with; on 28 x 28 that is `behind`

Shares are 1 - behind / whole; "slower" is whole / plain - 1, the paper's way. It can be negative: on larger canvases
the transformer hands on 28 x 28 pixels, and a convolutional classifier saves more by that than the transformer costs.

A step is forward, loss, backward and an update of SGD; backward is a step less its forward. In `behind` and `plain`
nobody needs the gradient of the image, and the first layer does not compute it; a transformer needs it, and that is
counted as its cost. Images are noise: no layer is faster on a digit. The last layer of a localisation net, 0 until it
is trained, gets random weights, so that every image is looked at in another way.

Times are processor time, which other programs disturb less than they do the clock on the wall; on several threads it is
that of all of them. They depend on the machine and the moment and are no function of the configuration: each result
says its threads, its spread over the rounds, and how many cores were busy with other programs. Multiplications are
counted and depend on nothing: those of matrix products (convolution, Linear), and of sampling for each point with C
channels and K parameters

    forward   K + 2 (Eq. 1, and to pixels) + 4 (weights) + 4 C (Eq. 5)
    backward  6 C (Eq. 7, in x and y) + 2 + K

but not those of pooling and of the update.
"""

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stn_ref import data, models
from stn_ref.grid import GridGenerator
from stn_ref.kernels.cpu import threads
from stn_ref.lab.experiments import addition
from stn_ref.lab.experiments.cell import Cell
from stn_ref.lab.results.summary import aligned, over_seeds
from stn_ref.lab.turns import Others, interleaved
from stn_ref.nn import SGD, AvgPool2d, Layer, Linear, Sequential, SoftmaxCrossEntropy
from stn_ref.nn.operations import leaves, step_operations
from stn_ref.transformer import SpatialTransformer

TITLE = "What a transformer costs: its share of a net's time and multiplications (the paper: 6 %, of one net)"
DATA = None
NO_PAPER = "the nets and the machine of the paper's 6 % are not known"
PAPER_PERCENT = 6.0  # slower, SVHN's ST-CNN Multi alone
ADDITION = ("2xst-fcn-affine",)  # of addition.py: two transformers, each with a localisation net of its own
NETS = [  # model, pixels of a side
    *((f"st-{net}-{family}", 28) for net in ("fcn", "cnn") for family in ("affine", "projective", "tps")),
    *((f"st-{net}-{family}", 42) for net in ("fcn", "cnn") for family in ("affine", "tps")),
    ("st-fcn-affine", 60),
    ("st-cnn-affine", 60),
    *((name, addition.CANVAS) for name in ADDITION),
    *((name, size) for name, (_, size) in models.PUBLISHED.items()),
]
SCALES = {
    "smoke": {"nets": [("st-fcn-affine", 28), ("st-cnn-affine", 42), ("tutorial", 28)], "batch": 8, "seconds": 0.1},
    "small": {"nets": NETS, "batch": 64, "seconds": 8.0},
}
PASSES = ("forward", "backward", "step")


def cells(scale: str, seed: int, data_dir: str | None) -> list[Cell]:
    """Return the cells of one seed, a net and a canvas each."""
    chosen = SCALES[scale]
    return [_cell(name, size, seed, chosen["batch"], chosen["seconds"]) for name, size in chosen["nets"]]


def _cell(name: str, size: int, seed: int, batch: int, seconds: float) -> Cell:
    def compute(path: Path, progress: bool, note: Callable[[str], None]) -> dict:
        taken = Taken.apart(name, size, batch, seed)
        return {"result": {**taken.counted(), **taken.timed(seconds)}}

    configuration = {"model": name, "size": size, "batch": batch, "seconds": seconds, "seed": seed}
    return Cell(f"{name}/{size}", seed, "noise", configuration, compute)


@dataclass
class Taken:
    """A net taken apart.

    Attributes:
        nets: "whole", "behind", and where it is another net "plain" -> the net, and its input.
        labels: (N,) of either input.
    """

    nets: dict[str, tuple[Layer, np.ndarray]]
    labels: np.ndarray

    @classmethod
    def apart(cls, name: str, size: int, batch: int, seed: int) -> "Taken":
        """Return a net, what is behind its transformers, and the net without that it is compared with."""
        rng = data.stream(seed, "weights")
        whole = _build(name, size, rng)
        for transformer in _transformers(whole):
            _look_elsewhere(transformer.localisation, rng)
        channels = 3 if name == "cifar10" else 2 if name in ADDITION else 1
        U = rng.random((batch, channels, size, size), dtype=np.float32)
        front = 2 if isinstance(whole[1], AvgPool2d) else 1
        V = Sequential(*whole.layers[:front]).forward(U)
        whole.forget()
        behind = _build(name, size, data.stream(seed, "weights")).layers[front:]  # with Params and memory of its own
        nets = {"whole": (whole, U), "behind": (Sequential(*behind), V)}
        if V.shape != U.shape:
            build = addition.build if name in ADDITION else functools.partial(models.build, size=size)
            nets["plain"] = (build(name.split("-")[1], rng=rng), U)
        return cls(nets, rng.integers(0, models.CLASSES, batch))

    @property
    def compared(self) -> str:
        """The net that `whole` is compared with as a whole."""
        return "plain" if "plain" in self.nets else "behind"

    def counted(self) -> dict:
        """Return parameters, multiplications of one image, and what follows from these."""
        found = {}
        for which, (net, U) in self.nets.items():
            forward, backward = step_operations(net, U)
            sampling = sampling_multiplications(net, U)
            done = [products / 2 / len(U) + more for products, more in zip((forward, backward), sampling, strict=True)]
            found[which] = dict(zip(PASSES, (*done, sum(done)), strict=True))
        sampling = sampling_multiplications(*self.nets["whole"])
        return {
            "parameters": {which: sum(p.value.size for p in net.params()) for which, (net, _) in self.nets.items()},
            "multiplications": found,
            "multiplications_of_sampling": dict(zip(PASSES, (*sampling, sum(sampling)), strict=True)),
            "multiplications_share_percent": {
                what: 100 * (1 - found["behind"][what] / found["whole"][what]) for what in PASSES
            },
            "multiplications_more_percent": {
                what: 100 * (found["whole"][what] / found[self.compared][what] - 1) for what in PASSES
            },
        }

    def timed(self, seconds: float) -> dict:
        """Return times in milliseconds, share and "slower" in %: over the rounds the median, 10 and 90 %."""
        calls = {}
        for which, (net, U) in self.nets.items():
            calls[f"{which} forward"], calls[f"{which} step"] = _calls(net, U, self.labels)
        others = Others()
        times = {name: np.array(found) for name, found in interleaved(calls, seconds, clock=time.process_time).items()}
        busy = others.cores()
        for which in self.nets:
            times[f"{which} backward"] = times[f"{which} step"] - times[f"{which} forward"]
        return {
            "milliseconds": {
                which: {what: 1e3 * float(np.median(times[f"{which} {what}"])) for what in PASSES}
                for which in self.nets
            },
            "share_percent": {
                what: _spread(100 * (1 - times[f"behind {what}"] / times[f"whole {what}"])) for what in PASSES
            },
            "slower_percent": {
                what: _spread(100 * (times[f"whole {what}"] / times[f"{self.compared} {what}"] - 1)) for what in PASSES
            },
            "compared_with": self.compared,
            "timing": "processor time, of this machine and moment: no function of the configuration",
            "threads": threads.get_num_threads(),
            "rounds": len(times["whole step"]),
            "cores_busy_with_others": None if busy is None else round(busy, 2),
        }


def sampling_multiplications(net: Layer, U: np.ndarray) -> tuple[float, float]:
    """Return the multiplications for one image of all transformers that look at U, (forward, backward).

    Args:
        net: with GridGenerators somewhere in it, each followed by a bilinear sampler of U.
        U: (N, C, H, W); nobody needs its gradient.
    """
    forward = backward = 0.0
    C = U.shape[1]
    for layer in leaves(net):
        if isinstance(layer, GridGenerator):
            Ho, Wo = layer.out_size or U.shape[2:]
            forward += Ho * Wo * (layer.transform.K + 2 + 4 + 4 * C)
            backward += Ho * Wo * (6 * C + 2 + layer.transform.K)
    return forward, backward


def _build(name: str, size: int, rng: np.random.Generator) -> Sequential:
    return addition.build(name, rng) if name in ADDITION else models.build(name, size, rng)


def _transformers(layer: Layer) -> Iterator[SpatialTransformer]:
    """Yield the transformers of a net, those side by side as well."""
    if isinstance(layer, SpatialTransformer):
        yield layer
    for child in layer.children():
        yield from _transformers(child)


def _look_elsewhere(localisation: Layer, rng: np.random.Generator) -> None:
    """Give the last layer of a localisation net small random weights."""
    W = [layer for layer in leaves(localisation) if isinstance(layer, Linear)][-1].W
    W.value[...] = 0.1 / np.sqrt(W.value.shape[1]) * rng.standard_normal(W.value.shape)


def _calls(net: Layer, U: np.ndarray, labels: np.ndarray) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return (a forward in training, a training step); the rate is so small that nothing is learnt."""
    loss, optimiser = SoftmaxCrossEntropy(), SGD(net.params(), 1e-9, momentum=0.9, nesterov=True)

    def forward() -> None:
        net.forward(U)
        net.forget()

    def step() -> None:
        loss.forward(net.forward(U), labels)
        optimiser.zero_grad()
        net.backward(loss.backward(), needs=False)
        optimiser.step()

    return forward, step


def _spread(values: np.ndarray) -> list[float]:
    """Return median, 10 % and 90 %, to two digits after the point."""
    return [round(float(q), 2) for q in np.quantile(values, (0.5, 0.1, 0.9))]


def table(results: list[dict]) -> list[str]:
    """Return shares and "slower", in % of time and of multiplications; several seeds: mean and standard deviation."""
    if not results:
        return []
    columns = {
        "forward": lambda result: result["result"]["share_percent"]["forward"][0],
        "backward": lambda result: result["result"]["share_percent"]["backward"][0],
        "step": lambda result: result["result"]["share_percent"]["step"][0],
        "(10 to 90 %)": None,
        "multiplications": lambda result: result["result"]["multiplications_share_percent"]["step"],
        "step slower by": lambda result: result["result"]["slower_percent"]["step"][0],
        "multiplications more": lambda result: result["result"]["multiplications_more_percent"]["step"],
    }
    found = {head: pick and over_seeds(results, pick) for head, pick in columns.items()}
    rows = [("share of the transformer, % of", *columns)]
    for result in {result["cell"]: result for result in results}.values():
        low, high = result["result"]["share_percent"]["step"][1:]
        cell = result["cell"]
        rows.append((cell, *(f"{picked[cell]}" if picked else f"{low:.0f} to {high:.0f}" for picked in found.values())))
    machines = sorted({f"{result['machine']}, threads: {result['result']['threads']}" for result in results})
    return [
        *aligned(rows),
        f"slower, more: than the net without (the paper: {PAPER_PERCENT:g} % on SVHN); times of {'; '.join(machines)}",
    ]
