"""What a transformer costs: multiplications counted by hand, shares of times that are known beforehand."""

import numpy as np
import pytest

from stn_ref import nn, transforms
from stn_ref.cli import main
from stn_ref.lab.experiments import overhead, run
from stn_ref.several import Parallel
from stn_ref.transformer import SpatialTransformer


def test_multiplications_of_an_st_fcn_are_those_counted_by_hand():
    found = overhead.counted(overhead.apart("st-fcn-affine", 28, 3, 0))
    points, later = 28 * 28, 256 * 200 + 200 * 10
    behind = {"forward": points * 256 + later, "backward": points * 256 + 2 * later}  # no gradient of the image
    localisation = {"forward": points * 32 + 2 * 32 * 32 + 32 * 6, "backward": points * 32 + 2 * (2 * 32 * 32 + 32 * 6)}
    sampling = {"forward": points * (6 + 2 + 4 + 4), "backward": points * (6 + 2 + 6)}
    for what in ("forward", "backward"):
        gradient_of_V = points * 256 * (what == "backward")
        whole = behind[what] + gradient_of_V + localisation[what] + sampling[what]
        assert found["multiplications"]["behind"][what] == behind[what]
        assert found["multiplications"]["whole"][what] == whole
        assert found["multiplications_of_sampling"][what] == sampling[what]
        assert found["multiplications_share_percent"][what] == pytest.approx(100 * (1 - behind[what] / whole))
        assert found["multiplications_more_percent"][what] == pytest.approx(100 * (whole / behind[what] - 1))
    assert found["multiplications"]["whole"]["step"] == sum(found["multiplications"]["whole"][w] for w in sampling)
    assert found["parameters"]["whole"] - found["parameters"]["behind"] == 785 * 32 + 2 * 33 * 32 + 33 * 6


def test_sampling_is_counted_for_every_transformer_in_the_net(rng):
    family = transforms.get("tps")
    look = [SpatialTransformer(nn.Linear(4, 32, rng), family, out_size=(5, 3)) for _ in range(2)]
    net = nn.Sequential(Parallel(*look), nn.Flatten())
    forward, backward = overhead.sampling_multiplications(net, np.zeros((4, 3, 9, 7), np.float32))
    assert forward == 2 * 15 * (32 + 2 + 4 + 4 * 3) and backward == 2 * 15 * (6 * 3 + 2 + 32)


@pytest.mark.parametrize(
    ("name", "size", "behind", "plain"),
    [
        ("st-cnn-affine", 42, (2, 1, 28, 28), (2, 1, 42, 42)),
        ("st-fcn-tps", 28, (2, 1, 28, 28), None),
        ("cifar10", 32, (2, 3, 32, 32), None),
        ("2xst-fcn-affine", 42, (2, 4, 28, 28), (2, 2, 42, 42)),
    ],
)
def test_a_net_is_taken_apart_where_its_transformer_ends(name, size, behind, plain):
    nets = overhead.apart(name, size, 2, 0)
    assert nets["behind"][1].shape == behind
    assert (nets["plain"][1].shape if "plain" in nets else None) == plain
    (whole, U), (classifier, V) = nets["whole"], nets["behind"]
    assert not any(isinstance(layer, SpatialTransformer) for layer in classifier.layers)
    assert {id(p) for p in whole.params()}.isdisjoint(id(p) for p in classifier.params())
    front = nn.Sequential(*whole.layers[: len(whole) - len(classifier)]).eval()
    np.testing.assert_array_equal(front.forward(U), V)
    transformers = list(overhead._transformers(whole))
    assert len(transformers) == (2 if name.startswith("2x") else 1)
    for transformer in transformers:
        theta, points, _ = transformer.look(U)
        assert np.abs(theta[0] - theta[1]).max() > 1e-3 and np.mean(points == np.rint(points)) < 0.1


def test_shares_are_taken_round_by_round(monkeypatch):
    nets = overhead.apart("st-fcn-affine", 28, 2, 0)
    times = {
        "whole forward": [0.002, 0.004, 0.004],
        "whole step": [0.006, 0.008, 0.008],
        "behind forward": [0.001, 0.002, 0.001],
        "behind step": [0.003, 0.004, 0.003],
    }
    monkeypatch.setattr(overhead, "interleaved", lambda calls, seconds, clock: {name: times[name] for name in calls})
    found = overhead.timed(nets, 1.0)
    assert found["share_percent"]["forward"] == [50, 50, 70]  # of 50, 50, 75
    assert found["share_percent"]["step"][0] == 50 and found["slower_percent"]["step"][0] == 100
    assert found["share_percent"]["backward"] == [50, 50, 50]  # 1 - 2/4, always
    assert found["milliseconds"]["whole"] == {"forward": 4, "backward": 4, "step": 8}
    assert found["rounds"] == 3 and "no function of the configuration" in found["timing"]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    lines = []
    out = tmp_path_factory.mktemp("overhead")
    report = run.run("overhead", "smoke", out=out, progress=False, note=lambda line: None, say=lines.append)
    return report, "\n".join(lines)


def test_smoke_measures_every_net_and_says_on_what(smoke):
    report, said = smoke
    results = {result["cell"]: result["result"] for result in report["results"]}
    assert list(results) == ["st-fcn-affine/28", "st-cnn-affine/42", "tutorial/28"]
    for found in results.values():
        assert found["rounds"] >= 5 and found["threads"] >= 1
        for what in ("forward", "step"):
            middle, low, high = found["share_percent"][what]
            assert low <= middle <= high < 100
    assert results["st-cnn-affine/42"]["compared_with"] == "plain"
    assert results["st-cnn-affine/42"]["multiplications_more_percent"]["step"] < 0  # it hands on 28 x 28
    assert results["tutorial/28"]["compared_with"] == "behind"
    assert "the paper: 6 % on SVHN" in said and "threads: " in said
    assert overhead.table([]) == []


def test_data_are_refused_in_one_line(capsys):
    assert main(["experiment", "overhead", "--data", "somewhere"]) == 2
    error = capsys.readouterr().err
    assert "leave --data out" in error and error.count("\n") == 1
