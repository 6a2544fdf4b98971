"""Fetch and verify, against a server on this machine."""

import functools
import gzip
import hashlib
import http.server
import struct
import threading

import numpy as np
import pytest

from stn_ref import checks
from stn_ref.data import download


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A web server that holds a tiny set of two files; download.SETS knows it as 'tiny'."""
    root = tmp_path / "server"
    root.mkdir()
    files = {"images.gz": idx(np.zeros((3, 28, 28))), "labels.gz": idx(np.arange(3))}
    for name, content in files.items():
        (root / name).write_bytes(content)
    known = [download.KnownFile(n, len(c), hashlib.sha256(c).hexdigest()) for n, c in files.items()]
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setitem(download.SETS, "tiny", download.KnownSet("a tiny set", tuple(known), (address,)))
    yield root
    server.shutdown()
    server.server_close()


def test_fetch_stores_the_correct_bytes_and_keeps_existing_files(mirror, tmp_path):
    said = []
    download.fetch(tmp_path / "here", "tiny", say=said.append)
    assert [row["canonical"] for row in download.verify(tmp_path / "here", "tiny")] == [True, True]
    download.fetch(tmp_path / "here", "tiny", say=said.append)
    assert sum("already there" in line for line in said) == 2


def test_a_mirror_with_other_bytes_leaves_no_file(mirror, tmp_path):
    (mirror / "labels.gz").write_bytes(b"<html>moved</html>")
    with pytest.raises(OSError, match=r"labels\.gz could not be fetched: http.*: 18 bytes, expected"):
        download.fetch(tmp_path / "here", "tiny", say=lambda line: None)
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["images.gz"]


def test_an_existing_file_with_other_bytes_is_left_alone(mirror, tmp_path):
    (tmp_path / "images.gz").write_bytes(b"mine")
    with pytest.raises(checks.DamagedFileError, match=r"images\.gz is not the published file"):
        download.fetch(tmp_path, "tiny", say=lambda line: None)
    assert (tmp_path / "images.gz").read_bytes() == b"mine"


def test_verify_distinguishes_missing_damaged_and_other_files(mirror, tmp_path):
    (tmp_path / "images.gz").write_bytes(idx(np.ones((3, 28, 28))))
    images, labels = download.verify(tmp_path, "tiny")
    assert images["ok"] and not images["canonical"] and "not the published file" in images["says"]
    assert not labels["ok"] and "no such file" in labels["says"]


def test_an_unreachable_mirror_says_what_it_answered(mirror, tmp_path, monkeypatch):
    (mirror / "images.gz").unlink()
    with pytest.raises(OSError, match="not found"):
        download.fetch(tmp_path / "here", "tiny", say=lambda line: None)
