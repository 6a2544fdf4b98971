import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from stn_ref.checks import DamagedFileError
from stn_ref.data.idx import STEMS, TYPES, find_idx, load_mnist, read_idx


def idx(array, code=0x08):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()


IMAGES = np.arange(3 * 28 * 28).reshape(3, 28, 28).astype(np.uint8)
LABELS = np.array([7, 0, 9], np.uint8)
GOOD = idx(IMAGES)


@pytest.fixture
def mnist(tmp_path):
    """Write a directory with the four files, the training set of 3 and the test set of 2, gzipped."""
    for stem, array in zip(STEMS, (IMAGES, LABELS, IMAGES[:2], LABELS[:2]), strict=True):
        (tmp_path / f"{stem}-idx{array.ndim}-ubyte.gz").write_bytes(gzip.compress(idx(array), mtime=0))
    return tmp_path


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_array_comes_back_as_it_was_written(tmp_path, pack):
    path = tmp_path / "any-name"
    path.write_bytes(pack(GOOD))
    got = read_idx(path)
    assert got.dtype == np.uint8
    assert np.array_equal(got, IMAGES)
    got[0] = 0  # writable


@pytest.mark.parametrize("code", TYPES)
def test_every_type_code_is_read_in_native_order(tmp_path, code):
    array = np.array([[1, 2, 3], [-4, 5, 100]]).astype(TYPES[code])
    (tmp_path / "a").write_bytes(idx(array, code))
    got = read_idx(tmp_path / "a")
    assert got.dtype.isnative
    assert np.array_equal(got, array)


PACKED = gzip.compress(GOOD, mtime=0)  # the same bytes in every process: they are in the names of tests
POINTER = b"/annex/objects/MD5E-s9912422--f68b3c2dcbeaaa9fbdd348bbdeb94873.gz\n"
BAD = {
    "empty": (b"", "is empty"),
    "web page": (b"\n<!DOCTYPE html>\n<html><body>404</body></html>", "is a web page"),
    "annex pointer": (POINTER, "is a pointer of git-annex"),
    "annex link": (b"../../.git/annex/objects/ab/" + POINTER, "is a pointer of git-annex"),
    "lfs pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:1",
        "is a pointer of git-annex or git-lfs",
    ),
    "gzip header only": (PACKED[:10], "ends too early"),
    "gzip of nothing": (gzip.compress(b"", mtime=0), "a gzip header without data"),
    "gzip cut short": (PACKED[:-20], "ends too early"),
    "gzip trailer missing": (PACKED[:-8], "ends too early"),
    "gzip checksum": (
        PACKED[:-8] + b"\1\2\3\4" + PACKED[-4:],
        "corrupt .*CRC",
    ),
    "gzip payload": (PACKED[:20] + b"\xff" * 40 + PACKED[60:], "corrupt"),
    "gzip followed by junk": (PACKED + b"junk", "corrupt"),
    "gzipped web page": (
        gzip.compress(b"<html>", mtime=0),
        "not an IDX file: expected two zero bytes first, got 3c 68 74 6d",
    ),
    "magic": (b"\x89PNG\r\n", "not an IDX file"),
    "magic cut short": (b"\0\0", "not an IDX file"),
    "type code": (b"\0\0\x07\x01" + bytes(8), "type code must be one of 0x08.*; got 0x07"),
    "no axes": (b"\0\0\x08\x00\x01", "at least 1 axis; got 0"),
    "header cut short": (GOOD[:9], "ends within its header of 3 axes"),
    "too short": (GOOD[:-1], r"cut short: expected 2352 bytes of values from its header \(3, 28, 28\), got 2351"),
    "too long": (GOOD + b"\0", "expected 2352 bytes of values from its header .*, got more"),
    "too long, gzipped": (gzip.compress(GOOD + b"\0"), "got more"),
    "impossible axes": (b"\0\0\x08\xc8" + bytes(4) + b"\xff" * 4 * 199, "no array can have the shape"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_damaged_file_gives_one_line_that_names_it(tmp_path, name):
    content, message = BAD[name]
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_header_that_announces_terabytes_takes_no_memory(tmp_path, pack):
    path = tmp_path / "a"
    path.write_bytes(pack(b"\0\0\x0e\x03" + b"\xff" * 12 + bytes(100)))
    tracemalloc.start()
    with pytest.raises(DamagedFileError, match=r"cut short.*got 100"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6


def test_missing_files_and_directories_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist; expected an IDX file"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(IsADirectoryError, match="is a directory, expected an IDX file"):
        read_idx(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere does not exist; expected the directory"):
        load_mnist(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds no train-images: looked for train-images-idx3-ubyte, "):
        load_mnist(tmp_path)
    (tmp_path / "file").write_bytes(GOOD)
    with pytest.raises(NotADirectoryError, match="file is a file; expected the directory"):
        load_mnist(tmp_path / "file")


def test_the_four_files_are_read(mnist):
    for got, expected in zip(load_mnist(mnist), (IMAGES, LABELS, IMAGES[:2], LABELS[:2]), strict=True):
        assert got.dtype == np.uint8
        assert np.array_equal(got, expected)


@pytest.mark.parametrize("name", ["-idx3-ubyte", ".idx3-ubyte", "-idx3-ubyte.gz", ".idx3-ubyte.gz"])
def test_the_usual_names_are_found(tmp_path, name):
    (tmp_path / f"t10k-images{name}").write_bytes(GOOD)
    assert find_idx(str(tmp_path), "t10k-images") == tmp_path / f"t10k-images{name}"


def test_the_missing_one_of_four_is_named_before_any_is_read(mnist):
    (mnist / "train-images-idx3-ubyte.gz").write_bytes(b"")
    (mnist / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="holds no t10k-labels"):
        load_mnist(mnist)


@pytest.mark.parametrize(
    ("stem", "axes", "array", "message"),
    [
        ("train-images", 3, LABELS, r"must hold images, uint8 \(N, 28, 28\); got uint8 \(3,\): is it under a wrong"),
        ("train-labels", 1, IMAGES, r"must hold labels, uint8 \(N,\); got uint8 \(3, 28, 28\)"),
        ("t10k-images", 3, IMAGES[:, 1:], r"must hold images, uint8 \(N, 28, 28\); got uint8 \(3, 27, 28\)"),
        ("t10k-labels", 1, np.array([1, 10], np.uint8), r"labels must lie in 0\.\.9; got 10"),
        ("t10k-labels", 1, LABELS, "holds 3 labels, expected 2 from t10k-images-idx3-ubyte.gz"),
    ],
)
def test_files_that_do_not_match_their_name_are_refused(mnist, stem, axes, array, message):
    path = mnist / f"{stem}-idx{axes}-ubyte.gz"
    path.write_bytes(gzip.compress(idx(array), mtime=0))
    with pytest.raises(DamagedFileError, match=message) as caught:
        load_mnist(mnist)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_images_of_another_type_are_refused(mnist):
    (mnist / "train-labels-idx1-ubyte.gz").write_bytes(idx(LABELS.astype(">i4"), 0x0C))
    with pytest.raises(DamagedFileError, match=r"got int32 \(3,\)"):
        load_mnist(mnist)
