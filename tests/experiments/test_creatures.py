"""Creatures: what is drawn is what the pose says."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref.experiments import creatures


@pytest.fixture
def pose(rng):
    return creatures.draw_pose(90, rng)


def test_pictures_hold_grey_values_and_all_classes_equally_often(pose):
    U = creatures.draw(pose)
    assert U.shape == (90, 1, 40, 40) and U.dtype == np.float32
    assert U.min() >= 0 and U.max() <= 1 + 1e-6  # an average of 16 numbers in float32
    assert_array_equal(np.bincount(pose["label"]), [10] * 9)


def test_parts_are_all_inside_the_picture_and_the_arm_apart(pose):
    parts = creatures.part_centres(pose)
    reach = creatures.RADIUS * pose["scale"][:, None, None]
    assert (parts - reach >= -0.5).all() and (parts + reach <= 39.5).all()
    assert_allclose(np.linalg.norm(parts[:, 0] - parts[:, 1], axis=1), 20 * pose["scale"], rtol=1e-12)
    assert (parts[:, 0, 0] > parts[:, 1, 0]).all()  # the head to the right of the tail


def test_the_marks_are_where_the_pose_says_and_as_the_label_says(pose):
    """A spot is bright in its middle, a ring dark there and bright 3 pixels off, a cross has four dark corners."""
    U = creatures.draw(pose)[:, 0]
    at = np.arange(40)
    for n, part in ((n, part) for n in range(90) for part in range(2)):
        mark = creatures.MARKS[pose["label"][n] // 3 if part == 0 else pose["label"][n] % 3]
        x, y = creatures.part_centres(pose)[n, part]
        r = np.hypot(at - x, at[:, None] - y) / pose["scale"][n]
        middle, around = U[n][r < 1.1].mean(), U[n][(2.4 < r) & (r < 3.4)].mean()
        assert (middle > 0.75) == (mark != "ring"), (n, mark, middle)
        assert (around > 0.7) == (mark == "ring"), (n, mark, around)
        assert (around > 0.35) == (mark != "spot"), (n, mark, around)


def test_either_part_alone_leaves_three_classes(pose):
    """The picture of a creature with another tail differs at the tail alone."""
    twin = pose.copy()
    twin["label"] = pose["label"] // 3 * 3 + (pose["label"] + 1) % 3
    n, _, row, column = np.nonzero(abs(creatures.draw(pose) - creatures.draw(twin)) > 1e-6)
    far = np.hypot(*(np.stack([column, row]) - creatures.part_centres(pose)[n, 1].T))
    assert far.max() < 1.1 * (creatures.RADIUS + 1.5)  # and a pixel around it, by interpolation


def test_an_epoch_follows_from_seed_epoch_and_index():
    source = creatures.Creatures(40, 6, 8)
    assert [source.size(part) for part in ("train", "val", "test")] == [40, 6, 8]

    def epoch(number, batch_size=16, start=0, seed=3):
        batches = list(source.batches(batch_size, seed, number, start=start))
        return np.concatenate([U for U, _ in batches]), np.concatenate([y for _, y in batches])

    U, y = epoch(0)
    assert U.shape == (40, 1, 40, 40) and y.dtype == np.int64
    assert_array_equal(U, epoch(0, batch_size=5)[0])
    assert_array_equal(U[32:], epoch(0, start=2)[0])
    assert (epoch(1)[0] != U).any() and (epoch(0, seed=4)[0] != U).any()
    val, test = source.fixed("val", 3), source.fixed("test", 3)
    assert len(val[1]) == 6 and test[0].shape == (8, 1, 40, 40)
    assert_array_equal(creatures.draw(source.fixed_pose("test", 3)), test[0])
    assert isinstance(source.fingerprint, int) and source.name == "creatures"
