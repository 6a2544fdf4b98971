"""The cost of a transformer: its share of a net's time and multiplications, forward and backward.

Reads: ../turns.py, ../../nn/operations.py, cell.py.

The paper states 6 % for one net: on SVHN the ST-CNN Multi is 6 % slower than the CNN, forward and backward. Those nets
are large and their machine is unknown, so there is no `paper` scale. This experiment measures the nets of Table 1, the
nets that others published, and one net with two transformers. Three nets run in turns in one process:

    whole    U -> transformer, on the larger canvases followed by a 2x2 average -> classifier
    behind   V -> the same classifier; its input has the size of the transformer's output
    plain    U -> the net without a transformer that the paper compares with; on 28 x 28 this is `behind`

Shares are 1 - behind / whole. "slower" is whole / plain - 1, as in the paper. It can be negative: on larger canvases
the transformer returns 28 x 28 pixels, and a convolutional classifier saves more time on the smaller image than the
transformer costs.

A step is forward, loss, backward and an update of SGD. The time of backward is that of a step minus that of forward. In
`behind` and `plain` the first layer does not compute the gradient of the image. A transformer needs this gradient, so
it counts as a cost of the transformer. Images are noise; no layer is faster on digits. The last layer of a localisation
net is 0 until it is trained. Here it gets random weights, so that each image has its own theta.

Times are processor time, summed over all threads. Other programs disturb processor time less than wall-clock time. The
times depend on the machine and the moment, not only on the configuration. Each result therefore states its threads,
the spread over the rounds, and how many cores were busy with other programs. Multiplications are counted and are
deterministic: those of matrix products (convolution, Linear) and, for each point with C channels and K parameters,
those of sampling,

    forward   K + 2 (Eq. 1, and to pixels) + 4 (weights) + 4 C (Eq. 5)
    backward  6 C (Eq. 7, in x and y) + 2 + K

but not those of pooling and of the update.
"""

import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from stn_ref import data, models
from stn_ref.grid import GridGenerator
from stn_ref.kernels.cpu import threads
from stn_ref.lab.bench.steps import our_step
from stn_ref.lab.experiments import addition
from stn_ref.lab.experiments.cell import Cell
from stn_ref.lab.results.summary import aligned, over_seeds
from stn_ref.lab.turns import Others, interleaved
from stn_ref.nn import AvgPool2d, Layer, Linear, Sequential
from stn_ref.nn.operations import leaves, step_operations
from stn_ref.transformer import SpatialTransformer

TITLE = "What a transformer costs: its share of a net's time and multiplications (the paper: 6 %, of one net)"
DATA = None
NO_PAPER = "the nets and the machine of the paper's 6 % are not known"
PAPER_PERCENT = 6.0  # slower: the ST-CNN Multi on SVHN
ADDITION = ("2xst-fcn-affine",)  # of addition.py: two transformers, each with its own localisation net
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
    """Return the cells of one seed, one for each net and canvas."""
    chosen = SCALES[scale]
    return [_cell(name, size, seed, chosen["batch"], chosen["seconds"]) for name, size in chosen["nets"]]


def _cell(name: str, size: int, seed: int, batch: int, seconds: float) -> Cell:
    def compute(path: Path, progress: bool, note: Callable[[str], None]) -> dict:
        nets = apart(name, size, batch, seed)
        return {"result": {**counted(nets), **timed(nets, seconds)}}

    configuration = {"model": name, "size": size, "batch": batch, "seconds": seconds, "seed": seed}
    return Cell(f"{name}/{size}", seed, "noise", configuration, compute)


Nets = dict[str, tuple[Layer, np.ndarray]]  # "whole", "behind" and, unless it equals "behind", "plain" -> net, input


def apart(name: str, size: int, batch: int, seed: int) -> Nets:
    """Return a net, the layers behind its transformers, and the net without transformers to compare with."""
    rng = data.stream(seed, "weights")
    whole = _build(name, size, rng)
    for transformer in _transformers(whole):
        _look_elsewhere(transformer.localisation, rng)
    channels = 3 if name == "cifar10" else 2 if name in ADDITION else 1
    U = rng.random((batch, channels, size, size), dtype=np.float32)
    front = 2 if isinstance(whole[1], AvgPool2d) else 1
    V = Sequential(*whole.layers[:front]).forward(U)
    whole.forget()
    behind = _build(name, size, data.stream(seed, "weights")).layers[front:]  # with its own Params and memory
    nets = {"whole": (whole, U), "behind": (Sequential(*behind), V)}
    if V.shape != U.shape:
        build = addition.build if name in ADDITION else functools.partial(models.build, size=size)
        nets["plain"] = (build(name.split("-")[1], rng=rng), U)
    return nets


def counted(nets: Nets) -> dict:
    """Return the numbers of parameters, the multiplications for one image, and the shares that follow from them."""
    found = {}
    for which, (net, U) in nets.items():
        forward, backward = step_operations(net, U)
        sampling = sampling_multiplications(net, U)
        done = [products / 2 / len(U) + more for products, more in zip((forward, backward), sampling, strict=True)]
        found[which] = dict(zip(PASSES, (*done, sum(done)), strict=True))
    sampling = sampling_multiplications(*nets["whole"])
    whole, behind, compared = found["whole"], found["behind"], found.get("plain", found["behind"])
    return {
        "parameters": {which: sum(p.value.size for p in net.params()) for which, (net, _) in nets.items()},
        "multiplications": found,
        "multiplications_of_sampling": dict(zip(PASSES, (*sampling, sum(sampling)), strict=True)),
        "multiplications_share_percent": {what: 100 * (1 - behind[what] / whole[what]) for what in PASSES},
        "multiplications_more_percent": {what: 100 * (whole[what] / compared[what] - 1) for what in PASSES},
    }


def timed(nets: Nets, seconds: float) -> dict:
    """Return times in ms, and share and "slower" in %, each as median, 10 % and 90 % over the rounds."""
    calls = {}
    compared_with = "plain" if "plain" in nets else "behind"
    for which, (net, U) in nets.items():
        calls[f"{which} forward"] = functools.partial(_forward, net, U)
        labels = np.arange(len(U)) % models.CLASSES
        calls[f"{which} step"] = our_step(net, U, labels, lr=1e-9)  # a rate too small to learn anything
    others = Others()
    times = {name: np.array(found) for name, found in interleaved(calls, seconds, clock=time.process_time).items()}
    busy = others.cores()
    for which in nets:
        times[f"{which} backward"] = times[f"{which} step"] - times[f"{which} forward"]
    whole, behind, compared = (
        {what: times[f"{which} {what}"] for what in PASSES} for which in ("whole", "behind", compared_with)
    )
    return {
        "milliseconds": {
            which: {what: 1e3 * float(np.median(times[f"{which} {what}"])) for what in PASSES} for which in nets
        },
        "share_percent": {what: _spread(100 * (1 - behind[what] / whole[what])) for what in PASSES},
        "slower_percent": {what: _spread(100 * (whole[what] / compared[what] - 1)) for what in PASSES},
        "compared_with": compared_with,
        "timing": "processor time, of this machine and moment: no function of the configuration",
        "threads": threads.get_num_threads(),
        "rounds": len(times["whole step"]),
        "cores_busy_with_others": None if busy is None else round(busy, 2),
    }


def sampling_multiplications(net: Layer, U: np.ndarray) -> tuple[float, float]:
    """Return the multiplications (forward, backward) for one image of all transformers that sample U.

    Args:
        net: a net that contains GridGenerators, each followed by a bilinear sampler of U.
        U: (N, C, H, W); its gradient is not computed.
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
    """Yield the transformers of a net, also those in parallel."""
    if isinstance(layer, SpatialTransformer):
        yield layer
    for child in layer.children():
        yield from _transformers(child)


def _look_elsewhere(localisation: Layer, rng: np.random.Generator) -> None:
    """Give the last layer of a localisation net small random weights."""
    W = [layer for layer in leaves(localisation) if isinstance(layer, Linear)][-1].W
    W.value[...] = 0.1 / np.sqrt(W.value.shape[1]) * rng.standard_normal(W.value.shape)


def _forward(net: Layer, U: np.ndarray) -> None:
    """Do one forward in training."""
    net.forward(U)
    net.forget()


def _spread(values: np.ndarray) -> list[float]:
    """Return the median and the 10 % and 90 % quantiles, rounded to two decimals."""
    return [round(float(q), 2) for q in np.quantile(values, (0.5, 0.1, 0.9))]


def table(results: list[dict]) -> list[str]:
    """Return the table of shares and "slower", in % of time and of multiplications, over all seeds."""
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
