"""How much of a distortion a transformer undoes: exact poses, a perfect transformer, and one that does nothing."""

import numpy as np
import pytest

from stn_ref import data, models
from stn_ref.lab.experiments import undone


@pytest.mark.parametrize("kind", ["R", "RTS", "TC"])
def test_the_true_pose_is_the_pose_that_was_drawn(kind):
    pose = data.draw_pose(20, kind, np.random.default_rng(0))
    pose["scale"][0] = 1.0
    true = undone.true_pose(pose, kind)
    np.testing.assert_allclose(true.angle, pose["angle"], atol=1e-4)
    np.testing.assert_allclose(true.scale, np.log(pose["scale"]), atol=1e-5)
    np.testing.assert_allclose(true.place, pose["centre"], atol=1e-4)


@pytest.mark.parametrize("kind", ["R", "RTS", "TC"])
@pytest.mark.parametrize("size", [28, 56])
def test_a_perfect_transformer_undoes_everything(kind, size):
    """Its view may have any fixed pose: here it is turned by 170 degrees and larger, so that angles wrap around."""
    pose = data.draw_pose(200, kind, np.random.default_rng(1))
    shown = pose.copy()
    shown["angle"] += 170
    shown["scale"] *= 1.3
    canvas = data.upright_points(shown, size) if size == 28 else None
    if canvas is None:  # 56 points for 28 pixels of a digit
        shown["scale"] /= 2
        canvas = data.upright_points(shown, size)
    found = undone.compared(undone.true_pose(pose, kind), undone.shown_pose(canvas))
    varies = {"R": ["angle"], "RTS": ["angle", "scale", "place"], "TC": ["place"]}[kind]
    assert [name for name, values in found.items() if values] == varies
    for name in varies:
        assert found[name]["correlation"] == pytest.approx(1, abs=1e-6)
        assert found[name]["after"] < 1e-3 < found[name]["before"]


@pytest.mark.parametrize("kind", ["P", "E"])
def test_bent_digits_have_a_pose_that_explains_most_of_the_map(kind):
    pose = data.draw_pose(50, kind, np.random.default_rng(2))
    true = undone.true_pose(pose, kind)
    assert np.abs(true.angle).max() < 60 and np.all((true.scale > np.log(0.4)) & (true.scale < np.log(1.6)))
    t = data.source_points(pose, data.KINDS[kind].canvas) - 13.5
    nearest = np.abs(t).sum(axis=-1).reshape(50, -1).argmin(axis=1)
    pixel = np.stack(np.unravel_index(nearest, t.shape[1:3])[::-1], axis=-1)
    assert np.abs(true.place - pixel).max() < 3


def test_half_the_angle_is_half_undone_and_the_identity_undoes_nothing():
    angle = np.random.default_rng(3).uniform(-90, 90, 1000)
    still = np.zeros(1000)
    true = undone.Pose(angle, still, np.zeros((1000, 2)))
    half = undone.compared(true, undone.Pose(angle / 2, still, np.zeros((1000, 2))))["angle"]
    assert half["correlation"] == pytest.approx(1) and half["after"] == pytest.approx(half["before"] / 2)
    none = undone.compared(true, undone.Pose(still, still, np.zeros((1000, 2))))["angle"]
    assert none["correlation"] == 0 and none["after"] == pytest.approx(none["before"])


def test_measure_names_what_an_untrained_net_undoes():
    dataset = data.load(None, n_train=10, n_val=0, n_test=60, seed=0)
    source = data.DistortedDigits(dataset, "RTS")
    net = models.build("st-fcn-affine", 42, np.random.default_rng(0))
    found = undone.measure(net, source, seed=0)
    assert set(found) == {"undone", "views"} and np.array(found["views"]).shape == (10, 6)
    np.testing.assert_array_equal(found["views"], np.tile([1, 0, 0, 0, 1, 0], (10, 1)))
    assert found["undone"]["angle"]["correlation"] == 0
    assert undone.measure(models.build("fcn", 42, np.random.default_rng(0)), source, seed=0) == {}


def test_measure_draws_the_poses_of_the_test_set():
    dataset = data.load(None, n_train=10, n_val=0, n_test=30, seed=0)
    source = data.DistortedDigits(dataset, "RTS")
    images, _ = dataset.part("test")
    expected = data.fixed_distortion(images, "RTS", 5)
    assert np.array_equal(data.draw_pose(30, "RTS", data.stream(5, "test")), expected.pose)
    assert np.array_equal(source.fixed("test", 5)[0], expected.images)


def test_the_digits_of_figures_are_always_the_same():
    for kind in ("R", "TC"):
        assert np.array_equal(undone.sample_digits(kind), undone.sample_digits(kind))
        assert undone.sample_digits(kind).shape == (10, 1, *2 * (data.KINDS[kind].canvas,))
