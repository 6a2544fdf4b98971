"""MNIST addition at the scale of a test, and the pairs that it is fed with."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stn_ref import data
from stn_ref.cli import main
from stn_ref.lab.experiments import addition
from stn_ref.several import Parallel


@pytest.fixture(scope="module")
def pairs():
    return addition.DigitPairs(data.load(n_train=60, n_val=10, n_test=20, seed=0), "none")


def test_smoke_computes_every_cell(tmp_path, capsys):
    assert main(["experiment", "addition", "--out", str(tmp_path), "--json", str(tmp_path / "report")]) == 0
    report = json.loads((tmp_path / "report").read_text())
    assert [result["cell"] for result in report["results"]] == list(addition.PAPER)
    assert all(0 <= result["result"]["test_error_percent"] <= 100 for result in report["results"])
    assert "2xst-fcn-tps" in capsys.readouterr().out


def epoch(pairs, number, batch_size=25, **options):
    batches = list(pairs.batches(batch_size, 3, number, **options))
    return np.concatenate([U for U, _ in batches]), np.concatenate([y for _, y in batches])


def test_the_label_is_the_sum_of_two_digits_of_the_part(pairs):
    """Undistorted, so that each channel can be looked up among the digits."""
    known = zip(pairs.dataset.train_images, pairs.dataset.train_labels, strict=True)
    label_of = {image.tobytes(): label for image, label in known}
    U, sums = epoch(pairs, 0)
    assert U.shape == (60, 2, 28, 28) and U.dtype == np.float32 and sums.dtype == np.int64
    found = np.array([[label_of[np.rint(channel * 255).astype(np.uint8).tobytes()] for channel in u] for u in U])
    assert_array_equal(found.sum(axis=1), sums)
    first = [np.rint(u[0] * 255).astype(np.uint8).tobytes() for u in U]
    assert sorted(first) == sorted(label_of)  # each digit comes first once
    assert all((u[0] != u[1]).any() for u in U)  # and is not its own partner


def test_pairs_follow_from_seed_and_epoch_alone():
    pairs = addition.DigitPairs(data.load(n_train=40, n_val=6, n_test=8, seed=0))
    U, sums = epoch(pairs, 0, 16)
    assert U.shape == (40, 2, 42, 42)
    again, _ = epoch(pairs, 0, 5)  # whatever the batches
    assert_array_equal(U, again)
    assert_array_equal(U[32:], epoch(pairs, 0, 16, start=2)[0])
    other, other_sums = epoch(pairs, 1, 16)
    assert (other_sums != sums).any() and not any((u == v).all() for u in U[:, 0] for v in other[:, 0])
    val, test = pairs.fixed("val", 3), pairs.fixed("test", 3)
    assert val[0].shape == (6, 2, 42, 42) and len(test[1]) == 8
    assert_array_equal(pairs.fixed("test", 3)[0], test[0])
    assert (pairs.fixed("test", 4)[0] != test[0]).any()


def test_both_digits_of_a_pair_are_distorted_on_their_own():
    dataset = data.load(n_train=1, n_val=0, n_test=0, seed=0)
    (U, _), *_ = addition.DigitPairs(dataset).batches(1, 0, 0)  # one digit is its own partner
    assert (U[0, 0] != U[0, 1]).any()


@pytest.mark.parametrize(("name", "channels"), (("st-fcn-affine", 2), ("2xst-fcn-affine", 4), ("2xst-fcn-tps", 4)))
def test_each_transformer_hands_on_both_channels(name, channels):
    net = addition.build(name, np.random.default_rng(0))
    U = np.random.default_rng(1).random((3, 2, 42, 42), np.float32)
    assert isinstance(net[0], Parallel) and net[0].forward(U).shape == (3, channels, 28, 28)
    assert net.share().eval().forward(U).shape == (3, 19)
    first, *rest = (layer[0] for layer in net[0].layers)
    assert all(other.localisation[1].W is not first.localisation[1].W for other in rest)
    assert all((other.localisation[1].W.value != first.localisation[1].W.value).any() for other in rest)


def test_unknown_nets_and_distortions_are_refused():
    with pytest.raises(ValueError, match=r"name must be one of 'fcn', 'cnn', .*; got '3xst-fcn-affine'"):
        addition.build("3xst-fcn-affine", np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"kind must be one of .*; got 'TC'"):
        addition.DigitPairs(data.load(n_train=2, n_val=1, n_test=1, seed=0), "TC")


def test_the_table_puts_the_papers_errors_beside_ours():
    lines = addition.table([{"cell": "cnn", "seed": 0, "result": {"test_error_percent": 13.21}}])
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert rows["cnn"] == ["13.21", "14.7"] and rows["2xst-fcn-affine"] == ["-", "9"]
