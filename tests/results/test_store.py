"""Results on the disk: whole or not at all, refused when damaged, and tidied."""

import json
import os

import pytest

from stn_ref import files
from stn_ref.lab.results import store

pytest.importorskip("fcntl")  # without locks nothing is tidied

RESULT = {
    "experiment": "toy", "scale": "smoke", "cell": "a/b", "seed": 0, "data": "none", "configuration": {"lr": 0.1},
    "result": {"test_error_percent": 0.1 + 0.2}, "history": [{"loss": 1e-17}], "versions": {}, "machine": "a CPU",
    "date": "2026-01-02 03:04 UTC", "seconds": 1.5,
}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    store.write(tmp_path / "r.json", RESULT)
    return tmp_path / "r.json"


def test_a_result_comes_back_with_every_bit_and_leaves_nothing_else_behind(path):
    assert store.read(path) == {"format": store.FORMAT, **RESULT} and os.listdir(path.parent) == ["r.json"]


@pytest.mark.parametrize("number", (float("nan"), float("inf")))
def test_a_number_that_json_cannot_hold_leaves_the_result_as_it_was(path, number):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.write(path, RESULT | {"result": {"x": number}})
    assert path.read_bytes() == before and os.listdir(path.parent) == ["r.json"]


def test_a_full_disk_is_named_with_the_file_and_leaves_the_result_as_it_was(path, monkeypatch):
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot write: No space left on device: .*r\.json"):
        store.write(path, RESULT | {"seed": 1})
    assert path.read_bytes() == before and os.listdir(path.parent) == ["r.json"]


def test_a_result_cut_short_anywhere_is_refused(path):
    content = path.read_bytes()
    for size in range(len(content) - 2):  # without its last line break it is whole
        path.write_bytes(content[:size])
        with pytest.raises(store.ResultError, match=r"r\.json is damaged or not a file of results") as error:
            store.read(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<html>not found</html>", "is damaged or not a file of results"),
        (b"\xff\xfe\x00", "is damaged or not a file of results"),
        (b"[" * 100_000, "is damaged or not a file of results"),
        (b"[1, 2]", "is not a file of results: it does not say its format"),
        (b'{"command": "train"}', "is not a file of results: it does not say its format"),
        (b'{"format": "stn_ref result 9"}', "has format 'stn_ref result 9'; this version reads 'stn_ref result 1'"),
        (json.dumps({"format": store.FORMAT, **RESULT, "seed": "0"}).encode(), "is damaged: its seed is '0'"),
        (json.dumps({"format": store.FORMAT, **RESULT, "result": [1]}).encode(), r"is damaged: its result is \[1\]"),
        (json.dumps({"format": store.FORMAT, **RESULT, "seconds": None}).encode(), "is damaged: its seconds is None"),
    ],
    ids=["html", "bytes", "deep", "list", "another report", "another version", "seed", "result", "seconds"],
)
def test_what_is_no_result_is_named(path, content, says):
    path.write_bytes(content)
    with pytest.raises(store.ResultError, match=rf"r\.json {says}"):
        store.read(path)


def test_a_folder_and_nothing_are_named(tmp_path):
    with pytest.raises(store.ResultError, match="is a directory, expected a file of results"):
        store.read(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"x\.json: no such result"):
        store.read(tmp_path / "x.json")


def test_a_name_of_a_file_has_nothing_in_it_that_a_system_could_mistake():
    assert store.file_name("a/b", "..\\c d", 'e:"*?', "0.002") == "a-b-..-c-d-e-0.002"


def test_tidying_leaves_alone_what_another_is_at(tmp_path):
    path = tmp_path / "r.json"
    left = ("r.checkpoint.npz", ".r.checkpoint.npz.0123456789abcdef.part", ".r.json.0123456789abcdef.part")
    with files.claimed(path), files.replacing(path):
        for name in (*left, "s.checkpoint.npz"):
            (tmp_path / name).touch()
        store.tidy(path)
        assert len(os.listdir(tmp_path)) == 4  # the checkpoints, the lock, and the part file that is being written
    store.tidy(path)
    path.unlink()
    assert os.listdir(tmp_path) == ["s.checkpoint.npz"]


def test_what_cannot_be_tidied_is_no_error(tmp_path):
    (tmp_path / ".r.json.lock").mkdir()  # opened, it is an OSError, as in a folder that is read-only
    store.tidy(tmp_path / "r.json")
    assert os.listdir(tmp_path) == [".r.json.lock"]
