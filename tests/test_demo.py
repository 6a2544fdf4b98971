"""The demo, in small: every file is there, the page shows them, and what it says is what was measured."""

import html
import json
import re
from html.parser import HTMLParser

import pytest

from stn_ref import nn
from stn_ref.cli import demo, main
from stn_ref.conformance import gradients
from stn_ref.data import stream


class Images(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.found.append(dict(attrs))


def square(x):
    return x**2


@pytest.fixture
def small(monkeypatch):
    """The demo on few digits, with two cases of gradcheck; call with a wrong gradient to have the second one fail."""
    monkeypatch.setattr(demo, "SIZES", {"n_train": 64, "n_val": 30, "n_test": 100})  # each digit is in the test set
    monkeypatch.setattr(demo, "EPOCHS", 2)

    def cases(factor):
        x = stream(0, "digits").standard_normal((2, 3))
        square_pair = square, lambda x, gy: factor * x * gy
        return lambda seed=0: {"Tanh": (nn.Tanh(), [x]), "square": (square_pair, [x])}

    monkeypatch.setattr(gradients, "cases", cases(2))
    return lambda factor: monkeypatch.setattr(gradients, "cases", cases(factor))


def test_the_demo_writes_a_page_with_its_figures_and_numbers(small, tmp_path, monkeypatch):
    accuracy = {"cnn": 0.75, "st-cnn-affine": 0.875}
    monkeypatch.setattr(demo.Trainer, "test", lambda trainer: (1.0, accuracy[trainer.config.model]))
    out, notes, said = tmp_path / "some" / "where", [], []
    report = demo.run(out, note=notes.append, say=said.append)
    names = set(demo.FILES)
    assert {path.name for path in out.iterdir()} == names
    assert str(out / "index.html") in said[-1]
    assert any("epoch 2" in note for note in notes)

    assert json.loads((out / "report.json").read_text()) == json.loads(json.dumps(report))
    assert report["gradcheck_passed"] and report["gradcheck"].keys() == {"Tanh", "square"}
    assert report["history"].keys() == report["test_accuracy"].keys() == {"CNN", "ST-CNN"}
    assert all(len(history) == 2 for history in report["history"].values())

    page = (out / "index.html").read_text(encoding="utf-8")
    images = Images()
    images.feed(page)
    assert {image["src"] for image in images.found} == {name for name in names if name.endswith(("png", "svg"))}
    assert all(len(image["alt"]) > 20 for image in images.found)
    assert (out / "transformer.png").read_bytes().startswith(b"\x89PNG") and "<svg" in (out / "pooling.svg").read_text()
    text = html.unescape(re.sub(r"\s+", " ", page))
    assert "CNN has an error of 25.0 %" in text and "on the same digits, the error is 12.5 %" in text
    assert "CNN 25.0 %, ST-CNN 12.5 %" in text and "test error:  CNN 25.0%   ST-CNN 12.5%" in said
    table = html.unescape(re.search("<pre>(.*)</pre>", page, re.DOTALL)[1])
    assert "square" in table and "2 gradients of 2 layers agree with finite differences" in said


def test_a_wrong_gradient_is_status_1_and_said(small, tmp_path, capsys):
    small(2.001)
    assert main(["demo", "--out", str(tmp_path), "--json", "-"]) == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out)["gradcheck_passed"] is False
    assert f"{tmp_path / 'index.html'}" in shown.err.splitlines()[-1]
