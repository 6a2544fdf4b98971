"""The table of `stn-ref gradcheck`: every layer passes, and a broken one does not."""

import json

import numpy as np
import pytest

from stn_ref import nn, sampler
from stn_ref.cli import main
from stn_ref.conformance import gradients
from stn_ref.gradcheck import gradcheck


def test_every_layer_passes_at_1e_7_and_every_kink_lies_in_its_interval(capsys):
    assert main(["gradcheck", "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] and len(report["layers"]) > 30
    for name, layer in report["layers"].items():
        for entry in layer["entries"]:
            if "nearest" not in name or entry["name"] != "points":  # the one gradient that is 0 by right
                assert entry["kinks_judged"] or entry["analytic"], f"{name}: the gradient of {entry['name']} is all 0"
    layers = {type(layer[0]).__name__ for layer in gradients.cases().values()}
    ours = {name for name, thing in vars(nn).items() if isinstance(thing, type) and issubclass(thing, nn.Layer)}
    pairs = {"SoftmaxCrossEntropy", "MeanSquaredError"}  # losses are checked as pairs of functions
    assert ours - {"Layer", *pairs} <= layers and pairs <= set(gradients.cases())


@pytest.mark.parametrize("name", ("MaxPool2d on kinks", "ReLU on kinks", "Sampler cpu on kinks"))
def test_cases_on_kinks_do_stand_on_kinks(name):
    subject, inputs = gradients.cases()[name]
    report = gradcheck(subject, *inputs, rng=np.random.default_rng(0))
    assert sum(entry.kinks for entry in report.entries) >= 5


@pytest.mark.parametrize("break_it", (lambda g: g[..., ::-1], lambda g: g * (1 + 1e-5), lambda g: -g))
def test_a_layer_broken_on_purpose_fails(break_it):
    class Broken(sampler.Sampler):
        def backward(self, gV, needs=True):
            gU, gpoints = super().backward(gV, needs)
            return gU, np.ascontiguousarray(break_it(gpoints))

    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((2, 3, 5, 7)), rng.uniform(-1, 6, (2, 4, 3, 2))
    assert gradcheck(sampler.Sampler(), *inputs, rng=rng)
    assert not gradcheck(Broken(), *inputs, rng=rng)
