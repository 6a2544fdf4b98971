"""Digits in a pose of their own, and what a net makes of them, on nets whose answers are known beforehand."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import SpatialTransformer, nn, transforms
from stn_ref.lab.experiments import poses
from stn_ref.localisation import fc_localisation


def test_a_digit_at_rest_is_in_the_middle_to_the_bit_and_moves_by_whole_pixels(digits):
    images = digits.test_images[:5]
    rest = np.pad(images / np.float32(255), ((0, 0), (0, 0), (7, 7), (7, 7)))
    assert_array_equal(poses.posed(images), rest)
    assert_array_equal(poses.posed(images, shift=(3, -2)), np.roll(rest, (-2, 3), axis=(2, 3)))
    each = np.array([(d, 0) for d in range(5)])
    assert_array_equal(poses.posed(images, shift=each)[4], np.roll(rest[4], 4, axis=2))


def test_a_digit_turns_counterclockwise_and_grows(digits):
    images = digits.test_images[:5]
    rest = poses.posed(images)
    assert_allclose(poses.posed(images, angle=90), np.rot90(rest, axes=(2, 3)), atol=1e-5)  # float32 points
    assert_allclose(poses.posed(images, scale=1.5).sum() / rest.sum(), 1.5**2, rtol=0.02)


class Right(nn.Layer):
    """Says class 1 where the ink is in the right half, else class 0."""

    def forward(self, x):
        half = x.shape[3] // 2
        right = x[..., half:].sum((1, 2, 3)) > x[..., :half].sum((1, 2, 3))
        return self.keep(np.stack([~right, right], axis=1).astype(np.float32))


def test_of_the_shifts_one_in_four_goes_to_the_right(monkeypatch):
    monkeypatch.setattr(poses, "AT_ONCE", 3)  # parts of 3, 3 and 2
    images = np.zeros((8, 1, 28, 28), np.float32)
    images[:, 0, 14, 11] = 1
    labels = np.ones(8, np.int64)
    assert poses.sweep(Right(), "shift", [0, 2, 3, 14], images, labels) == [0, 0, 25, 25]  # past the middle from 3 on
    images[:, 0, 14, 11], images[:, 0, 16, 11] = 0, 1  # turned about (13.5, 13.5) by 90 degrees, it is at (16, 16)
    assert poses.sweep(Right(), "rotation", [0, 90, -90], images, labels) == [0, 100, 0]


@pytest.mark.parametrize("transformed", (False, True))
def test_one_bright_pixel_stays_in_three_of_eight_pooled_maps(transformed, rng):
    """If it stays in its window, one output sees ink, and stays; if not, two do, and neither stays."""
    family = transforms.get("affine")
    look = [SpatialTransformer(fc_localisation((1, 42, 42), family, rng), family)] if transformed else []
    net = nn.Sequential(*look, nn.MaxPool2d(2), nn.Flatten(), nn.Linear.constant(21 * 21, np.float32([0, 1])))
    images = np.zeros((2, 1, 28, 28), np.float32)
    images[:, 0, 14, 11] = 0.5
    found = poses.one_pixel(net, images)
    assert found["outputs_stay_of_8"] == pytest.approx(3) and found["class_stays_of_8"] == 8
    assert found["relative_change"] == pytest.approx(5 / 8 * math.sqrt(2))
    assert net.training and all(layer.training for layer in net.layers)


def test_an_output_that_sees_ink_only_after_the_shift_counts_as_one_that_has_changed():
    """One pixel at the first corner of its window and one at the last: six shifts leave one of them in its window, and
    then three outputs see ink, of which one stays; two shifts move both out.
    """
    images = np.zeros((1, 1, 28, 28), np.float32)
    images[0, 0, 13, 11] = images[0, 0, 18, 16] = 1  # on the canvas at (20, 18) and (25, 23)
    net = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear.constant(21 * 21, np.float32([0, 1])))
    assert poses.one_pixel(net, images)["outputs_stay_of_8"] == pytest.approx(6 / 3)


def test_a_class_that_flips_with_a_shift_is_found():
    net = nn.Sequential(nn.MaxPool2d(1), Right())
    images = np.zeros((1, 1, 28, 28), np.float32)
    images[0, 0, 14, 13] = 1
    assert poses.one_pixel(net, images)["class_stays_of_8"] == 5  # three of eight lead over the middle


def test_upright_digits_are_fed_in_the_order_of_the_epoch(digits):
    source = poses.UprightDigits(digits)
    (U, y), *rest = source.batches(40, seed=3, epoch=1)
    assert U.shape == (40, 1, 42, 42) and [len(labels) for _, labels in rest] == [40, 16]
    assert source.size("train") == 96 and source.fingerprint == digits.fingerprint
    (V, z), *_ = source.batches(40, seed=3, epoch=1, start=1)
    assert_array_equal(V, rest[0][0])
    assert_array_equal(z, rest[0][1])
    U, y = source.fixed("val", 0)
    assert_array_equal(U, poses.posed(digits.val_images))
    assert_array_equal(y, digits.val_labels)
