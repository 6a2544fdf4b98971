"""Creatures: what is drawn is what the pose says."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref.lab.experiments import creatures


@pytest.fixture
def pose(rng):
    return creatures.draw_pose(80, rng)


def test_pictures_hold_grey_values_and_heads_equally_often(pose):
    U = creatures.draw(pose)
    assert U.shape == (80, 1, 48, 48) and U.dtype == np.float32
    assert U.min() >= 0 and U.max() <= 1 + 1e-6  # an average of 16 numbers in float32
    assert_array_equal(np.bincount(pose["label"]), [15, 5] * 4)


def test_parts_are_all_inside_the_picture_and_the_arm_apart(pose):
    parts = creatures.part_centres(pose)
    reach = creatures.RADIUS * pose["scale"][:, None, None]
    assert (parts - reach >= -0.5).all() and (parts + reach <= 47.5).all()
    assert_allclose(np.linalg.norm(parts[:, 0] - parts[:, 1], axis=1), 20 * pose["scale"], rtol=1e-12)
    assert (parts[:, 0, 0] > parts[:, 1, 0]).all()  # the head to the right of the tail


def test_the_marks_are_where_the_pose_says_and_as_the_label_says(pose):
    """By the middle pixels: the inside of a spot, the hole of a ring, lines and the gaps beside them."""
    U = creatures.draw(pose)[:, 0]
    at = np.arange(48)
    expected = {"spot": (0.84, 1.01), "cross": (0.6, 0.7), "bar": (0.65, 0.83), "ring": (0.25, 0.45)}
    for n, part in ((n, part) for n in range(80) for part in range(2)):
        head, tail = divmod(pose["label"][n], 2)
        mark = creatures.TAILS[tail] if part else creatures.HEADS[head]
        x, y = creatures.part_centres(pose)[n, part]
        middle = U[n][np.hypot(at - x, at[:, None] - y) < 1.1 * pose["scale"][n]].mean()
        assert expected[mark][0] < middle < expected[mark][1], (n, mark, middle)


def test_the_tail_decides_between_two_classes_that_agree_in_all_else(pose):
    """The picture of a creature with another tail differs at the tail alone."""
    twin = pose.copy()
    twin["label"] = pose["label"] ^ 1
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
    assert U.shape == (40, 1, 48, 48) and y.dtype == np.int64
    assert_array_equal(U, epoch(0, batch_size=5)[0])
    assert_array_equal(U[32:], epoch(0, start=2)[0])
    assert (epoch(1)[0] != U).any() and (epoch(0, seed=4)[0] != U).any()
    val, test = source.fixed("val", 3), source.fixed("test", 3)
    assert len(val[1]) == 6 and test[0].shape == (8, 1, 48, 48)
    assert_array_equal(creatures.draw(source.fixed_pose("test", 3)), test[0])
    assert isinstance(source.fingerprint, int) and source.name == "creatures"


def test_ring_cross_and_bar_look_alike_from_afar():
    marks = dict(zip(creatures.HEADS, creatures._marks(), strict=True))
    ink = [mark.sum() for mark in marks.values()]
    assert len(ink) == 4 and max(ink) < 1.07 * min(ink)
    at = np.arange(creatures.PATCH) - creatures.PATCH // 2
    spread = {name: (mark * (at**2 + at[:, None] ** 2)).sum() / mark.sum() for name, mark in marks.items()}
    alike = [spread.pop(name) for name in ("ring", "cross", "bar")]
    assert max(alike) < 1.25 * min(alike) and list(spread) == ["spot"]
