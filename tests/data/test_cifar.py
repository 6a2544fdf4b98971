"""The reader of CIFAR-10's binary files, on files made in that format, good and bad; colour images as a Source."""

import gzip
import hashlib
import io
import tarfile

import numpy as np
import pytest

from stn_ref import checks, data
from stn_ref.data import cifar, download, transfer

N = 3  # records of a file in these tests
NAMES = (*cifar.TRAIN, cifar.TEST)
CLASS_NAMES = ("\n".join(cifar.CLASSES) + "\n\n").encode()


def record(label, red=0, green=0, blue=0):
    return bytes([label]) + bytes([red]) * 1024 + bytes([green]) * 1024 + bytes([blue]) * 1024


def content(k):
    """The k-th file: labels k, k+1, k+2; red tells the file, green the record."""
    return b"".join(record(k + i, red=10 * k, green=i, blue=200) for i in range(N))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data" / cifar.FOLDER
    folder.mkdir(parents=True)
    for k, name in enumerate(NAMES):
        (folder / name).write_bytes(content(k))
    (folder / cifar.META).write_bytes(CLASS_NAMES)
    return folder


def archive(path, **files):
    """Write an archive of the given files, or of good ones."""
    files = files or {f"{cifar.FOLDER}/{name}": content(k) for k, name in enumerate(NAMES)} | {
        f"{cifar.FOLDER}/{cifar.META}": CLASS_NAMES,
        f"{cifar.FOLDER}/readme.html": b"<html>",
    }
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, inside in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(inside)
            tar.addfile(member, io.BytesIO(inside))
    return path


def load(directory):
    return cifar.load_cifar10(directory, per_batch=N)


def test_the_first_byte_is_the_label_and_the_channels_are_red_green_blue_row_by_row(tmp_path):
    pixels = np.arange(3072) % 251
    images, labels = cifar.parse(tmp_path / "a.bin", bytes([7]) + pixels.astype(np.uint8).tobytes(), 1)
    assert labels.tolist() == [7]
    assert images.shape == (1, 3, 32, 32) and images.dtype == np.uint8
    assert images[0, 0, 0, 1] == 1  # the second byte of red: one to the right
    assert images[0, 0, 1, 0] == 32  # a row further down
    assert images[0, 1, 0, 0] == 1024 % 251  # green
    assert images[0, 2, 31, 31] == 3071 % 251  # the last of blue


def test_the_folder_its_parent_and_the_archive_give_the_same_arrays(folder, tmp_path):
    packed = archive(tmp_path / "packed" / cifar.ARCHIVE)
    for place in (folder, folder.parent, packed.parent, packed):
        images, labels, test_images, test_labels = load(place)
        assert images.shape == (5 * N, 3, 32, 32) and test_images.shape == (N, 3, 32, 32)
        assert labels.tolist() == [k + i for k in range(5) for i in range(N)]
        assert test_labels.tolist() == [5, 6, 7]
        assert images[:, 0, 3, 4].tolist() == [10 * k for k in range(5) for _ in range(N)]
        assert images[:, 1, 3, 4].tolist() == 5 * [0, 1, 2]
        assert (images[:, 2] == 200).all() and (test_images[:, 0] == 50).all()


def test_the_names_of_the_classes_may_be_missing_but_not_wrong(folder):
    (folder / cifar.META).unlink()
    load(folder)
    (folder / cifar.META).write_bytes(b"apple\naquarium_fish\n")
    with pytest.raises(checks.DamagedFileError, match=r"meta\.txt must name .*; it begins 'apple aquarium_fish'"):
        load(folder)


PAGE = b"<!DOCTYPE html><html>moved</html>"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (content(1)[:-1], rf"has {N * 3073 - 1} bytes, expected {N * 3073}: 3 records of 3073: fetch it again"),
        (content(1)[:-3073], rf"has {(N - 1) * 3073} bytes, expected {N * 3073}"),
        (content(1) + b"\0", rf"has {N * 3073 + 1} bytes"),
        (b"", "is empty"),
        (PAGE, "is a web page, not a batch of CIFAR-10"),
        (gzip.compress(PAGE, mtime=0), "is gzipped; expected it unpacked"),
        (b"version https://git-lfs.github.com/spec/v1", "is a pointer of git-annex or git-lfs"),
        (record(9) + record(10) + record(1), r"labels must lie in 0\.\.9; got 10 in record 1"),
    ],
)
def test_a_wrong_batch_is_one_line_that_names_it(folder, bad, message):
    (folder / "data_batch_2.bin").write_bytes(bad)
    with pytest.raises(checks.DamagedFileError, match=message) as error:
        load(folder)
    assert str(folder / "data_batch_2.bin") in str(error.value) and "\n" not in str(error.value)


def test_a_missing_batch_is_named(folder, tmp_path):
    (folder / "data_batch_4.bin").unlink()
    with pytest.raises(FileNotFoundError, match=rf"{cifar.FOLDER} holds no data_batch_4\.bin"):
        load(folder.parent)
    files = {f"{cifar.FOLDER}/{name}": content(k) for k, name in enumerate(NAMES) if name != cifar.TEST}
    with pytest.raises(FileNotFoundError, match=rf"{cifar.ARCHIVE} holds no test_batch\.bin"):
        load(archive(tmp_path / cifar.ARCHIVE, **files))


def test_a_directory_without_the_data_says_what_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist; expected a directory with CIFAR-10"):
        load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"holds no data_batch_1\.bin, no cifar-10-batches-bin and no"):
        load(tmp_path)
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="it holds the Python version instead"):
        load(tmp_path)


def broken_archives():
    good = io.BytesIO()
    with tarfile.open(fileobj=good, mode="w:gz") as tar:
        member = tarfile.TarInfo(f"{cifar.FOLDER}/data_batch_1.bin")
        member.size = N * 3073
        noise = np.random.default_rng(0).integers(0, 10, N * 3073, dtype=np.uint8)  # labels, all of it
        tar.addfile(member, io.BytesIO(noise.tobytes()))
    good = good.getvalue()
    yield "cut short", good[: len(good) // 2], "is not a gzipped tar file, or is cut short"
    flipped = bytes([good[len(good) // 2] ^ 16])
    yield "a bit flipped", good[: len(good) // 2] + flipped + good[len(good) // 2 + 1 :], "is not a gzipped tar file"
    yield "a wrong checksum", good[:-8] + bytes(4) + good[-4:], "CRC check failed"
    yield "a page", PAGE, "is a web page, not cifar-10-binary"
    yield "a zipped page", gzip.compress(PAGE, mtime=0), "is not a gzipped tar file"
    yield "nothing", b"", "is empty"
    yield "a gzip header alone", gzip.compress(b"", mtime=0)[:10], "is not a gzipped tar file"


@pytest.mark.parametrize(("bad", "message"), [pytest.param(*rest, id=name) for name, *rest in broken_archives()])
def test_a_broken_archive_is_one_line_that_names_it(tmp_path, bad, message):
    (tmp_path / cifar.ARCHIVE).write_bytes(bad)
    for use in (load, lambda directory: cifar.unpack(directory / cifar.ARCHIVE, per_batch=N)):
        with pytest.raises(checks.DamagedFileError, match=message) as error:
            use(tmp_path)
        assert str(tmp_path / cifar.ARCHIVE) in str(error.value) and "\n" not in str(error.value)


def test_unpacking_writes_only_the_known_names_and_overwrites_nothing(tmp_path):
    evil = {f"{cifar.FOLDER}/{name}": content(k) for k, name in enumerate(NAMES)}
    evil |= {"../escaped": b"!", "/tmp/escaped": b"!", f"{cifar.FOLDER}/../data_batch_1.bin": b"!"}
    packed = archive(tmp_path / "in" / cifar.ARCHIVE, **evil)
    written = cifar.unpack(packed, per_batch=N)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()) == sorted(
        [f"in/{cifar.ARCHIVE}", *(f"in/{cifar.FOLDER}/{name}" for name in NAMES)]
    )
    assert sorted(path.name for path in written) == sorted(NAMES)
    assert cifar.unpack(packed, per_batch=N) == []
    written[0].write_bytes(b"mine")
    with pytest.raises(checks.DamagedFileError, match="move it away to unpack it again"):
        cifar.unpack(packed, per_batch=N)
    assert written[0].read_bytes() == b"mine"


def test_a_member_that_is_too_large_is_not_read(tmp_path):
    packed = archive(tmp_path / cifar.ARCHIVE, **{f"{cifar.FOLDER}/data_batch_1.bin": content(1) + b"\0"})
    with pytest.raises(checks.DamagedFileError, match=rf"data_batch_1\.bin has {N * 3073 + 1} bytes, expected"):
        cifar.unpack(packed, per_batch=N)


def test_fetch_unpacks_and_verify_distinguishes_published_files_from_others(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "members", lambda path, members=cifar.members, **_: members(path, per_batch=N))
    monkeypatch.setattr(cifar, "parse", lambda path, inside, n, parse=cifar.parse: parse(path, inside, N))
    packed, here = archive(tmp_path / "server" / cifar.ARCHIVE), tmp_path / "here"
    inside = packed.read_bytes()
    known = download.KnownFile(cifar.ARCHIVE, len(inside), hashlib.sha256(inside).hexdigest())
    monkeypatch.setattr(transfer, "receive", lambda urls, file, size, sha256, progress: file.write(inside))
    real = download.SETS["cifar10"]
    monkeypatch.setitem(download.SETS, "cifar10", download.KnownSet("", (known,), (), real.holds, real.unpacked))
    said = []
    download.fetch(here, "cifar10", say=said.append)
    assert len(said) == 1 + 7 and "checksum right" in said[0]
    download.fetch(here, "cifar10", say=said.append)
    assert len(said) == 9 and "already there" in said[8]

    def rows():
        return [(row["file"], row["ok"], row["canonical"]) for row in download.verify(here, "cifar10")]

    assert rows() == [(cifar.ARCHIVE, True, True), (cifar.FOLDER, True, True)]
    assert "15 + 3 colour images, the published file" in download.verify(here, "cifar10")[0]["says"]
    (here / cifar.FOLDER / cifar.TEST).write_bytes(content(4))
    assert rows() == [(cifar.ARCHIVE, True, True), (cifar.FOLDER, True, False)]
    (here / cifar.FOLDER / cifar.TEST).write_bytes(content(4)[1:])
    assert rows() == [(cifar.ARCHIVE, True, True), (cifar.FOLDER, False, False)]
    (here / cifar.FOLDER / cifar.TEST).write_bytes(content(5))
    (here / cifar.ARCHIVE).unlink()
    assert rows() == [(cifar.FOLDER, True, False)]
    assert "is not here to compare" in download.verify(here, "cifar10")[0]["says"]
    for path in (here / cifar.FOLDER).iterdir():
        path.unlink()
    assert rows() == [(cifar.ARCHIVE, False, False)]


def source(rng, n=7):
    parts = [(rng.integers(0, 256, (n, 3, 4, 5), dtype=np.uint8), np.arange(n) % 10) for _ in range(3)]
    return cifar.ColourImages("a", *parts, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))


def test_images_are_normalised_channel_by_channel(rng):
    fed = source(rng)
    U, labels = fed.fixed("val", 0)
    assert U.dtype == np.float32 and labels.dtype == np.int64
    images = fed.val[0] / 255
    wanted = np.stack([(images[:, 0] - 0.5) / 0.5, (images[:, 1] - 0.25) / 0.25, images[:, 2]], axis=1)
    np.testing.assert_allclose(U, wanted, atol=1e-6)  # float32, values to 3
    np.testing.assert_array_equal(fed.normalised(np.full((1, 3, 1, 1), 255, np.uint8)).ravel(), [1, 3, 1])


def test_an_epoch_has_each_image_once_and_can_be_resumed(rng):
    fed = source(rng)
    whole = list(fed.batches(3, seed=1, epoch=2))
    assert [len(labels) for _, labels in whole] == [3, 3, 1]
    assert sorted(np.concatenate([labels for _, labels in whole])) == list(range(7))
    for U, labels in whole:
        np.testing.assert_array_equal(U, fed.normalised(fed.train[0][labels]))  # label k is on image k
    rest = list(fed.batches(3, seed=1, epoch=2, start=1))
    for (U, labels), (V, others) in zip(whole[1:], rest, strict=True):
        np.testing.assert_array_equal(U, V)
        np.testing.assert_array_equal(labels, others)


def test_the_fingerprint_sees_a_pixel_a_label_and_the_mean(rng):
    fed = source(rng)
    images, labels = fed.test
    pixel, label = images.copy(), labels.copy()
    pixel[3, 1, 2, 2] ^= 1
    label[3] += 1
    others = [
        cifar.ColourImages("a", fed.train, fed.val, (pixel, labels), fed.mean, fed.std),
        cifar.ColourImages("a", fed.train, fed.val, (images, label), fed.mean, fed.std),
        cifar.ColourImages("a", fed.train, fed.val, fed.test, (0.5, 0.25, 0.01), fed.std),
    ]
    assert len({fed.fingerprint, *(other.fingerprint for other in others)}) == 4
    assert cifar.ColourImages("a", fed.train, fed.val, fed.test, fed.mean, fed.std).fingerprint == fed.fingerprint


def test_a_source_names_what_does_not_fit(rng):
    images, labels = source(rng).train
    good = (images, labels)
    with pytest.raises(checks.ShapeError, match=r"val labels must be \(N,\): axis 0 is 6, expected N=7 from images"):
        cifar.ColourImages("a", good, (images, labels[1:]), good, (0, 0, 0), (1, 1, 1))
    with pytest.raises(TypeError, match="test images must be uint8; got float64"):
        cifar.ColourImages("a", good, good, (images / 255, labels), (0, 0, 0), (1, 1, 1))


def test_drawn_images_have_ten_classes_given_by_their_hue():
    images, labels = cifar.draw_colour_images(1200, data.stream(0, "digits"))
    assert images.shape == (1200, 3, 32, 32) and images.dtype == np.uint8
    assert np.bincount(labels).tolist() == 10 * [120]
    red, green, blue = (images[:, c].astype(float) - images.mean(axis=1) for c in range(3))
    hue = np.arctan2((np.sqrt(3) * (green - blue)).sum((1, 2)), (2 * red - green - blue).sum((1, 2)))
    off = (np.degrees(hue) - 36 * labels.astype(float) + 180) % 360 - 180
    assert (
        np.abs(off) < 18
    ).mean() > 0.99  # nearer to its own hue than to a neighbour's; noise on a small one may do it
    again, _ = cifar.draw_colour_images(1200, data.stream(0, "digits"))
    np.testing.assert_array_equal(images, again)
