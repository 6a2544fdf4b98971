import gzip
import struct
import subprocess
import sys

import numpy as np
import pytest

from stn_ref.checks import ShapeError
from stn_ref.data import Dataset, batches, epoch_batches, fixed_distortion, load, split, stream
from stn_ref.data.idx import STEMS


@pytest.fixture(scope="module")
def digits():
    return load(n_train=50, n_val=10, n_test=20, seed=1)


def test_every_example_occurs_once_per_epoch_and_the_last_batch_is_short():
    got = list(batches(10, 4, seed=0, epoch=0))
    assert [len(batch) for batch in got] == [4, 4, 2]
    assert np.array_equal(np.sort(np.concatenate(got)), np.arange(10))


def test_the_order_follows_from_seed_and_epoch_alone():
    order = {key: np.concatenate(list(batches(100, 7, seed=key[0], epoch=key[1]))) for key in ((0, 1), (1, 0), (0, 0))}
    assert len({tuple(o) for o in order.values()}) == 3
    assert np.array_equal(order[0, 1], np.concatenate(list(batches(100, 30, seed=0, epoch=1))))


def test_streams_differ_by_purpose_seed_and_epoch():
    draws = [
        stream(*key).random() for key in ((0, "order"), (0, "split"), (1, "order"), (0, "order", 1), (0, "digits"))
    ]
    assert len(set(draws)) == 5


@pytest.mark.parametrize("kind", ["none", "R", "RTS", "TC"])
def test_an_epoch_can_be_resumed_bit_for_bit(digits, kind):
    arguments = digits.train_images, digits.train_labels, kind, 16, 5, 3
    whole = list(epoch_batches(*arguments, backend="vectorised"))
    rest = list(epoch_batches(*arguments, start=2, backend="vectorised"))
    assert [len(labels) for _, labels in whole] == [16, 16, 16, 2] and len(rest) == 2
    for (U, labels), (U_r, labels_r) in zip(whole[2:], rest, strict=True):
        assert np.array_equal(U, U_r) and np.array_equal(labels, labels_r)
    assert U.dtype == np.float32 and labels.dtype == np.int64


def test_the_batch_size_does_not_change_an_images_distortion(digits):
    def by_index(size):
        order = np.concatenate(list(batches(50, size, seed=5, epoch=0)))
        pairs = epoch_batches(digits.train_images, digits.train_labels, "TC", size, 5, 0, backend="vectorised")
        return np.concatenate([U for U, _ in pairs])[np.argsort(order)]

    assert np.array_equal(by_index(16), by_index(50))


def test_distortions_are_fresh_in_each_epoch(digits):
    def first(epoch):
        pairs = epoch_batches(digits.train_images, digits.train_labels, "R", 50, 5, epoch, backend="vectorised")
        return next(pairs)[0][np.argsort(next(batches(50, 50, seed=5, epoch=epoch)))]

    assert not np.array_equal(first(0), first(1))


def test_labels_stay_with_their_images(digits):
    for U, labels in epoch_batches(digits.train_images, digits.train_labels, "none", 16, 0, 0):
        for image, label in zip(U, labels, strict=True):
            match = (digits.train_images / np.float32(255) == image).all(axis=(1, 2, 3))
            assert label in digits.train_labels[match]


def test_a_fixed_distortion_follows_from_the_seed(digits):
    first, again, other = (fixed_distortion(digits.test_images, "RTS", s, backend="vectorised") for s in (3, 3, 4))
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)
    assert first.images.min() == 0 and first.images.max() <= 1


def test_arguments_are_checked_at_the_call(digits):
    with pytest.raises(ValueError, match="kind must be one of"):
        epoch_batches(digits.train_images, digits.train_labels, "rts", 16, 0, 0)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        epoch_batches(digits.train_images, digits.train_labels, "R", 0, 0, 0)
    with pytest.raises(ShapeError, match=r"labels must be .*expected N=50 from images"):
        epoch_batches(digits.train_images, digits.train_labels[:9], "R", 16, 0, 0)
    with pytest.raises(TypeError, match="images must be uint8 or float32; got float64"):
        epoch_batches(digits.train_images / 255, digits.train_labels, "R", 16, 0, 0)
    with pytest.raises(ValueError, match="seed must be at least 0"):
        batches(3, 1, seed=-1, epoch=0)


def test_a_split_has_no_overlap():
    parts = split(100, 60, 30, seed=2)
    assert [len(part) for part in parts] == [60, 30]
    assert len(set(np.concatenate(parts))) == 90
    with pytest.raises(ValueError, match="sizes must add up to at most n=5; got 3 \\+ 3 = 6"):
        split(5, 3, 3, seed=0)


def test_procedural_digits_are_loaded_as_bytes_and_the_seed_determines_the_fingerprint(digits):
    assert digits.train_images.shape == (50, 1, 28, 28) and digits.train_images.dtype == np.uint8
    assert digits.val_labels.shape == (10,) and digits.test_labels.dtype == np.int64
    assert load(n_train=50, n_val=10, n_test=20, seed=1).fingerprint == digits.fingerprint
    assert load(n_train=50, n_val=10, n_test=20, seed=2).fingerprint != digits.fingerprint


def test_one_changed_pixel_changes_the_fingerprint(digits):
    images = digits.train_images.copy()
    images[3, 0, 5, 5] ^= 1
    rest = digits.val_images, digits.val_labels, digits.test_images, digits.test_labels
    assert Dataset(digits.name, images, digits.train_labels, *rest).fingerprint != digits.fingerprint


def write_mnist(directory, n_train, n_test):
    rng = np.random.default_rng(0)
    for stem, n in zip(STEMS, (n_train, n_train, n_test, n_test), strict=True):
        shape = (n, 28, 28) if stem.endswith("images") else (n,)
        content = rng.integers(0, 10, shape, dtype=np.uint8)
        header = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
        (directory / f"{stem}-idx{len(shape)}-ubyte.gz").write_bytes(gzip.compress(header + content.tobytes(), mtime=0))


def test_mnist_is_split_without_overlap_and_its_test_set_kept_in_order(tmp_path):
    write_mnist(tmp_path, 30, 8)
    data = load(tmp_path, n_train=20, n_val=10, n_test=5, seed=0)
    assert data.name == "mnist"
    assert data.train_images.shape == (20, 1, 28, 28) and data.test_images.shape == (5, 1, 28, 28)
    both = np.concatenate([data.train_images, data.val_images]).reshape(30, -1)
    assert len(np.unique(both, axis=0)) == 30
    again = load(tmp_path, n_train=20, n_val=10, n_test=8, seed=9)
    assert np.array_equal(again.test_images[:5], data.test_images)
    with pytest.raises(ValueError, match=r"n_train \+ n_val must be at most 30, the images in .*; got 31"):
        load(tmp_path, n_train=30, n_val=1, n_test=1)
    with pytest.raises(ValueError, match="n_test must be at most 8"):
        load(tmp_path, n_train=1, n_val=1, n_test=9)


def test_importing_the_data_loads_neither_numba_nor_matplotlib():
    code = "import sys, stn_ref.data; sys.exit(bool({'numba', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
