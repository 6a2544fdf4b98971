"""The demo: check all gradients, train a CNN and an ST-CNN side by side, and write a page of figures."""

import html
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stn_ref import checks, data, files, gradcheck, models
from stn_ref.conformance import gradients
from stn_ref.nn import AvgPool2d
from stn_ref.plotting import curves, grids, pooling, style
from stn_ref.training import Config, Trainer

DISTORTION, IN_WORDS = "RTS", "rotated by up to 45 degrees, scaled, and placed anywhere in 42 x 42 pixels"
EPOCHS = 8
SIZES = {"n_train": 4000, "n_val": 1000, "n_test": 2000}
FILES = ("transformer.png", "training.svg", "pooling.svg", "report.json", "index.html")
MODELS = {"CNN": "cnn", "ST-CNN": "st-cnn-affine"}


def looks(net, U: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sampling points (N, Ho, Wo, 2), pixels, and the output of a net's transformer for U (N, 1, H, W)."""
    _, points, V = models.transformer_of(net).look(U)
    if isinstance(net[1], AvgPool2d):  # in nets for large canvases
        V = net[1].share().eval().forward(V)
    return points, V


def run(
    out: str | os.PathLike = "runs/demo",
    *,
    seed: int = 0,
    note: Callable[[str], None] = print,
    say: Callable[[str], None] = print,
) -> dict:
    """Run the demo; write figures, report.json and index.html to the directory `out`; return the report.

    Args:
        out: the directory; it is created if it is missing.
        seed: determines data, weights and order.
        note: called with lines of progress.
        say: called with results: the gradient table, the test errors, and the path of the page.
    """
    checks.integer("seed", seed)
    began = time.monotonic()
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        files.expect_writable(out / name)  # before the training, as is the import of matplotlib
    note("1. compare every gradient with finite differences (with compilation most of a minute)")
    reports = gradients.check_all(seed)
    passed = all(report.passed for report in reports.values())
    arrays = sum(len(report.entries) for report in reports.values())
    agree = f"{arrays} gradients of {len(reports)} layers agree with finite differences"
    say(agree if passed else gradcheck.table(reports))

    note(f"2. train a CNN and an ST-CNN on {SIZES['n_train']:,} procedural digits, {DISTORTION}: {IN_WORDS}")
    dataset = data.load(**SIZES, seed=seed)
    trainers = {
        title: Trainer(Config(model=name, distortion=DISTORTION, epochs=EPOCHS, seed=seed), dataset, progress=True)
        for title, name in MODELS.items()
    }
    for rows in zip(*(trainer.epochs() for trainer in trainers.values()), strict=True):
        errors = (f"{title} {1 - row.val_accuracy:6.1%}" for title, row in zip(trainers, rows, strict=True))
        note(f"   epoch {rows[0].epoch}: validation error  " + "   ".join(errors))
    accuracy = {title: trainer.test()[1] for title, trainer in trainers.items()}
    say("test error:  " + "   ".join(f"{title} {1 - value:.1%}" for title, value in accuracy.items()))

    note("3. draw the figures")
    histories = {title: trainer.history.to_list() for title, trainer in trainers.items()}
    _draw(out, trainers["ST-CNN"].net, dataset, histories, seed)
    report = {
        "gradcheck_passed": passed,
        "test_accuracy": accuracy,
        "history": histories,
        "gradcheck": {name: gradient.to_dict() for name, gradient in reports.items()},
        "seconds": time.monotonic() - began,
    }
    files.write(out / "report.json", json.dumps(report, indent=2) + "\n")
    files.write(out / "index.html", _page(accuracy, gradcheck.table(reports)))
    say(f"done in {report['seconds']:.0f} s: open {(out / 'index.html').resolve()}")
    return report


def _draw(out: Path, net, dataset: data.Dataset, histories: dict, seed: int) -> None:
    first = [int(np.flatnonzero(dataset.test_labels == digit)[0]) for digit in range(10)]
    U = data.fixed_distortion(dataset.test_images[first], DISTORTION, seed).images
    points, V = looks(net, U)
    style.save(grids.transformer_figure(U, points, V), out / "transformer.png")
    style.save(curves.error_figure(histories, f"{DISTORTION} digits"), out / "training.svg")
    style.save(pooling.pooling_figure(), out / "pooling.svg")


def _page(accuracy: dict[str, float], table: str) -> str:
    """Return index.html."""
    cnn, st_cnn = (100 * (1 - accuracy[title]) for title in MODELS)
    figures = (
        (
            "transformer.png",
            "Ten distorted digits with the sampling grid drawn over them, and below each the centred view it yields",
            "The transformer at work. Above: test digits with the points at which the trained transformer samples "
            "them (every few lines of the grid; its upper edge is thick). Below: its output, the classifier's input. "
            "It learnt where the digits are from the classification loss alone, through Eq. (7).",
        ),
        (
            "training.svg",
            "Validation error of the CNN and the ST-CNN over the epochs",
            f"One training of each net, on the same digits in the same order. Errors on {SIZES['n_test']:,} test "
            f"digits, with the weights of the lowest validation error: CNN {cnn:.1f} %, ST-CNN {st_cnn:.1f} %.",
        ),
        (
            "pooling.svg",
            "For each place of the maximum in a 2x2 and a 3x3 window, how many of 8 shifts leave the output unchanged",
            "The invariance of max-pooling alone: the number of the eight shifts by one pixel that leave a window's "
            "output unchanged if its maximum is the only bright pixel. For independent random pixels the number is "
            "lower.",
        ),
    )
    blocks = "\n".join(
        f'<figure><img src="{name}" alt="{html.escape(alt)}"><figcaption>{html.escape(text)}</figcaption></figure>'
        for name, alt, text in figures
    )
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>stn_ref demo</title>
<style>
body {{ font: 17px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #111;
        background: #fff; }}
figure {{ margin: 2.5rem 0; }}
img {{ max-width: 100%; }}
figcaption {{ max-width: 46rem; }}
pre {{ font-size: 13px; overflow-x: auto; background: #f4f4f4; padding: 1rem; }}
</style>
<h1>A spatial transformer, trained from scratch</h1>
<p>The digits are {IN_WORDS}. A plain CNN has an error of {cnn:.1f} % on new digits. With a spatial transformer in
front, trained for the same number of epochs on the same digits, the error is {st_cnn:.1f} %.</p>
{blocks}
<h2>Every gradient, compared with finite differences</h2>
<pre>{html.escape(table)}</pre>
</html>
"""
