"""Parallel parts at the scale of a test."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

from stn_ref.cli import main
from stn_ref.gradcheck import gradcheck
from stn_ref.lab.experiments import creatures, parts


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("parts")
    assert main(["experiment", "parts", "--out", str(out), "--json", str(out / "report")]) == 0
    return json.loads((out / "report").read_text())


def test_smoke_computes_every_cell(report):
    assert [result["cell"] for result in report["results"]] == list(parts.COUNTS)
    for result in report["results"]:
        found = result["result"]
        assert 0 <= found["test_error_percent"] <= 100
        count = parts.COUNTS[result["cell"]]
        if not count:
            assert "head_distance_percent" not in found
            continue
        far = np.array(found["distances_percent"])
        assert far.shape == (count, 2) and (far > 0).all()
        assert found["head_distance_percent"] == far[found["head_window"], 0]
        assert found["tail_distance_percent"] == far[found["tail_window"], 1]
        at = creatures.part_centres(creatures.Creatures(**parts.SIZES["smoke"]).fixed_pose("test", 0))
        still = [found[f"{part}_distance_unmoved_percent"] for part in parts.PARTS]
        assert still == [round(100 * parts.unmoved(at[:, p]), 6) for p in range(2)] and still[0] != still[1]


def test_the_table_has_a_row_for_each_net(report):
    lines = parts.table(report["results"])
    rows = {line.split()[0]: line.split()[1:] for line in lines[1 : -len(parts.NOTES)]}
    assert list(rows) == list(parts.COUNTS) and rows["cnn"][1:] == ["-"] * 4
    assert "-" not in rows["2xst"]


def test_distances_are_those_from_the_centres_of_the_windows(rng):
    pose = creatures.draw_pose(50, rng)
    U = creatures.draw(pose)
    far = parts.distances(parts.windows(2, rng), U, pose)
    middles = np.array([[17.5, 23.5], [29.5, 23.5]])  # t_x of a quarter: 6 pixels from the middle, 23.5
    by_hand = np.linalg.norm(creatures.part_centres(pose)[None] - middles[:, None, None], axis=-1).mean(axis=1) / 48
    assert_allclose(far, by_hand, rtol=1e-6)  # theta is float32
    assert far[0, 1] < far[0, 0] and far[1, 0] < far[1, 1]  # left is nearer to the tail, right to the head


def test_each_part_gets_a_window_of_its_own():
    assert parts.matched(np.array([[1.0, 2.0], [1.5, 9.0]])) == (1, 0)  # 3.5 in all, not 1 + 9, nor window 0 twice
    assert parts.matched(np.array([[5.0, 4.0]])) == (0, 0)


def test_the_best_window_that_never_moves():
    """Three of four parts in one place: the sum of distances is least there, whatever the fourth (the median)."""
    assert_allclose(parts.unmoved(np.array([[10.0, 20.0]] * 3 + [[40.0, 20.0]])), 30 / 4 / 48, rtol=1e-6)
    x, y = 8 * np.array([[1, 0, -1, 0], [0, 1, 0, -1]]) + 24.0
    assert_allclose(parts.unmoved(np.stack([x, y], axis=1)), 8 / 48, rtol=1e-6)


def test_the_nets_have_what_they_should(rng):
    U = rng.random((3, 1, 48, 48), np.float32)
    for name, count in parts.COUNTS.items():
        net = parts.build(name, rng, localisation_lr_scale=0.5)
        assert net.forward(U).shape == (3, 8)
        slow = [param for param in net.params() if param.lr_scale == 0.5]
        assert len(slow) == (4 if count else 0)
        if count:
            assert net.share().eval()[0].forward(U).shape == (3, count, 16, 16)
            starts = np.stack([theta[0] for theta, _, _ in net[0].look(U)])
            assert_allclose(starts, parts.STARTS[count], atol=1e-7)
            assert len(np.unique(starts, axis=0)) == count  # no twins


def test_unknown_nets_and_counts_are_refused(rng):
    with pytest.raises(ValueError, match=r"name must be one of 'fcn', .*; got '3xst'"):
        parts.build("3xst", rng)
    with pytest.raises(ValueError, match="count must be one of 1, 2, 4; got 3"):
        parts.windows(3, rng)


def test_windows_stay_inside_the_picture(rng):
    inside = parts.Inside(2 / 3)
    assert gradcheck(inside, rng.standard_normal((3, 4)), rng=rng).max_rel_error < 1e-8
    far = parts.Inside(2 / 3).eval().forward(np.array([[-50.0, 0.0, 0.3, 50.0]]))
    assert_allclose(far, [[-2 / 3, 0, 2 / 3 * np.tanh(0.3), 2 / 3]])
    assert_allclose(inside.eval().forward(inside.inverse(np.array([-0.4, 0.2]))), [-0.4, 0.2])
    with pytest.raises(ValueError, match="reach must lie in"):
        parts.Inside(1.5)
