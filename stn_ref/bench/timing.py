"""Speed, as ratios in one run: our training step and sampler against PyTorch's, if it is installed.

Reads: pytorch.py, environment.py, ../models.py.

Both do the same work on the same numbers with the same number of threads, in turns, so that a machine that slows down
slows both. A ratio above 1 means that ours is the faster one.
"""

import importlib.util
import time
from collections.abc import Callable

import numpy as np

from stn_ref import coordinates, data, models
from stn_ref.bench.environment import environment
from stn_ref.grid import affine_grid
from stn_ref.kernels import threads
from stn_ref.nn import SGD, SoftmaxCrossEntropy
from stn_ref.sampler import sample, sample_backward

STEPS = [  # model, pixels of a side, batch
    ("fcn", 28, 256),
    ("cnn", 28, 256),
    ("st-fcn-affine", 28, 256),
    ("st-fcn-attention", 28, 256),
    ("st-cnn-affine", 28, 256),
    ("st-cnn-affine", 28, 32),
    ("st-cnn-attention", 42, 256),
    ("cnn", 60, 256),
    ("st-cnn-affine", 60, 256),
]
SAMPLERS = [  # N, C, H, W, Ho, Wo
    (256, 1, 28, 28, 28, 28),
    (64, 1, 60, 60, 28, 28),
    (64, 16, 32, 32, 32, 32),
    (16, 64, 64, 64, 64, 64),
    (4, 3, 512, 512, 512, 512),
]


def interleaved(calls: dict[str, Callable[[], object]], seconds: float = 2.0) -> dict[str, list[float]]:
    """Time several calls in turns, after one of each that does not count; return name -> seconds of each call.

    Args:
        calls: name -> what to time.
        seconds: go on for so long, and for at least three rounds.
    """
    for call in calls.values():
        call()
    times = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(times.values()))) < 3:
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - began)
    return times


def _row(name: str, times: dict[str, list[float]], unit: str, amount: float, say: Callable) -> dict:
    """Summarise one comparison: medians, the ratio of each round, and its spread."""
    ours = np.array(times["ours"])
    row = {"name": name, "milliseconds": 1e3 * float(np.median(ours)), unit: amount / float(np.median(ours))}
    line = f"{name:<34} {row['milliseconds']:9.2f} ms {row[unit]:12,.0f} {unit}"
    if "torch" in times:
        ratios = np.array(times["torch"]) / ours
        row["torch_milliseconds"] = 1e3 * float(np.median(times["torch"]))
        row["ratio"], low, high = (float(q) for q in np.quantile(ratios, (0.5, 0.1, 0.9)))
        row["ratio_10_90"] = [low, high]
        line += f"   PyTorch {row['torch_milliseconds']:9.2f} ms   ratio {row['ratio']:.2f} ({low:.2f} to {high:.2f})"
    say(line)
    return row


def our_step(net, U: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    """Return a call that does one training step of ours and returns the loss."""
    loss, optimizer = SoftmaxCrossEntropy(), SGD(net.params(), 1e-3, momentum=0.9, nesterov=True)

    def step() -> float:
        value = loss.forward(net.forward(U), y)
        optimizer.zero_grad()
        net.backward(loss.backward(), needs=False)
        optimizer.step()
        return value

    return step


def time_step(name: str, size: int, batch: int, seconds: float, with_torch: bool, say: Callable) -> dict:
    """Time one training step (forward, backward, update) of a model of models.py."""
    rng = np.random.default_rng(0)
    kind = {28: "R", 42: "RTS", 60: "TC"}[size]
    images, labels, _ = data.draw_digits(batch, rng)
    U = data.distort(images, kind, rng).images
    net = models.build(name, size, rng)
    calls = {"ours": our_step(net, U, labels)}
    if with_torch:
        from stn_ref.bench.pytorch import torch_step

        calls["torch"] = torch_step(net, U, labels)
    times = interleaved(calls, seconds)
    return _row(f"step {name} {size}x{size} batch {batch}", times, "images/s", batch, say)


def time_sampler(shape: tuple, seconds: float, with_torch: bool, say: Callable) -> list[dict]:
    """Time the sampler's forward and backward on a grid that is turned a little and leaves the image."""
    N, C, H, W, Ho, Wo = shape
    rng = np.random.default_rng(0)
    U, gV = rng.standard_normal((N, C, H, W), np.float32), rng.standard_normal((N, C, Ho, Wo), np.float32)
    theta = np.tile(np.array([[0.9, 0.2, 0.05], [-0.2, 0.9, 0.02]], np.float32), (N, 1, 1))
    grid = affine_grid(theta, gV.shape)
    points = coordinates.to_pixels(grid, (H, W), False)
    calls = {
        "forward": {"ours": lambda: sample(U, points)},
        "backward": {"ours": lambda: sample_backward(U, points, gV)},
    }
    if with_torch:
        from stn_ref.bench.pytorch import torch_sampler

        forward, backward = torch_sampler(U, grid, gV)
        calls["forward"]["torch"], calls["backward"]["torch"] = forward, backward
    name = "{},{},{},{} -> {},{}".format(*shape)
    return [
        _row(f"{what:<8} {name}", interleaved(pair, seconds), "points/s", N * Ho * Wo, say)
        for what, pair in calls.items()
    ]


def run(*, quick: bool = False, say: Callable[[str], None] = print) -> dict:
    """Run the benchmark.

    Args:
        quick: one small model and one small sampler, half a second each.
        say: called with one line a measurement.

    Returns:
        The report for JSON: environment, steps, sampler.
    """
    with_torch = importlib.util.find_spec("torch") is not None
    if with_torch:
        import torch

        torch.set_num_threads(threads.get_num_threads())
    else:
        say("PyTorch is not installed: times without ratios (pip install torch)")
    say(f"{threads.get_num_threads()} threads, float32; medians (10 to 90 % of rounds); above 1 ours is the faster one")
    steps, samplers, seconds = (STEPS[:1], SAMPLERS[:1], 0.5) if quick else (STEPS, SAMPLERS, 3.0)
    return {
        "environment": environment(),
        "steps": [time_step(*step, seconds, with_torch, say) for step in steps],
        "sampler": [row for shape in samplers for row in time_sampler(shape, seconds / 2, with_torch, say)],
    }
