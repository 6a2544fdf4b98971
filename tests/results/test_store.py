"""Results on the disk: whole or not at all, refused when damaged, and tidied."""

import json
import os

import pytest
from kept_results import keep, made, name_of

from stn_ref import files
from stn_ref.lab.results import kept, store

pytest.importorskip("fcntl")  # without locks nothing is tidied

RESULT = {
    "experiment": "toy", "scale": "smoke", "cell": "a/b", "seed": 0, "data": "none", "configuration": {"lr": 0.1},
    "result": {"test_error_percent": 0.1 + 0.2}, "loss": 1e-17, "versions": {"stn_ref": "0", "numpy": "2"},
    "machine": "a CPU", "date": "2026-01-02 03:04 UTC", "seconds": 1.5,
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
        (
            json.dumps({"format": store.FORMAT, **RESULT, "seed": "0"}).encode(),
            r"is damaged or not a file of results: seed must be an integer of at least 0; got '0'; move",
        ),
        (
            json.dumps({"format": store.FORMAT, **RESULT, "result": [1]}).encode(),
            "is damaged or not a file of results: result must be an object; got a list; move",
        ),
        (
            json.dumps({"format": store.FORMAT, **RESULT, "seconds": None}).encode(),
            "is damaged or not a file of results: seconds must be a number of at least 0; got None",
        ),
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
    with pytest.raises(FileNotFoundError, match=r"x\.json does not exist; expected a file of results"):
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


def damaged(result, where, value):
    """The result with the value at a place, for example "result.of_8", or without the place if the value is None."""
    *keys, last = where.split(".")
    changed = inner = json.loads(json.dumps(result))
    for key in keys:
        inner = inner[int(key) if key.isdigit() else key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return changed


def test_what_a_table_or_a_figure_reads_is_checked_with_the_file(tmp_path):
    cells = {"overhead": "a/28", "pooling": "cnn/RTS", "cifar10": "cnn", "table1": "cnn/R", "parts": "b"}
    found = {name: made(cell, 2.5, experiment=name) for name, cell in cells.items()}
    for result in found.values():
        keep(tmp_path, result)
    kept.groups(tmp_path)  # all are accepted
    for name, where, value, why in (
        ("table1", "versions.stn_ref", None, "versions.stn_ref is missing"),
        ("table1", "versions.numpy", 2, "versions.numpy must be text; got 2"),
        ("table1", "result.test_error_percent", -5, "result.test_error_percent must be a number from 0 to 100 or null"),
        ("table1", "result.test_error_percent", 100.1, "result.test_error_percent must be a number from 0 to 100 or"),
        ("table1", "result.n_test", None, "result.n_test is missing"),
        ("table1", "configuration.lr", "0.1", "configuration.lr must be a number; got '0.1'"),
        ("table1", "configuration.schedule", None, "configuration.schedule is missing"),
        ("table1", "history", [], "history must have at least 1 item; got 0"),
        ("table1", "history.1.epoch", -1, r"history\[1\].epoch must be an integer of at least 0; got -1"),
        ("table1", "history.1.val_accuracy", 7, r"history\[1\].val_accuracy must be a number from 0 to 1 or null; got"),
        ("table1", "seconds", -1, "seconds must be a number of at least 0; got -1"),
        ("overhead", "result.share_percent.step", [1, 2], "result.share_percent.step must have 3 items; got 2"),
        ("overhead", "result.slower_percent", None, "result.slower_percent is missing"),
        ("pooling", "configuration.shift", [], "configuration.shift must have at least 1 item"),
        ("pooling", "result.accuracy_percent.scale", [1, 2], "result.accuracy_percent.scale must have 1 item; got 2"),
        ("pooling", "result.one_pixel.class_stays_of_8", 9, "result.one_pixel.class_stays_of_8 must be a number from"),
        ("cifar10", "history", [{"epoch": 1, "val_accuracy": 0.5}], "history must have 12 items; got 1"),
        ("cifar10", "history.3.val_accuracy", None, r"history\[3\].val_accuracy is missing"),
        ("cifar10", "configuration.epochs", 51, "configuration.epochs must be an integer from 1 to 50; got 51"),
        ("parts", "result.head_distance_percent", "far", "result.head_distance_percent must be a number; got 'far'"),
    ):
        path = tmp_path / name_of(found[name])
        whole = path.read_bytes()
        path.write_text(json.dumps({"format": store.FORMAT, **damaged(found[name], where, value)}))
        with pytest.raises(store.ResultError, match=rf"{path.name} is damaged or not a file of results: {why}"):
            kept.groups(tmp_path)
        path.write_bytes(whole)


def test_nan_twice_the_same_key_and_deep_nesting_are_refused(path):
    text = path.read_text()
    for old, new, why in (
        ("0.30000000000000004", "NaN", "NaN is not a finite number"),
        ('"seed": 0', '"seed": 0, "seed": 1', "the key 'seed' occurs twice"),
        ('"lr": 0.1', '"lr": ' + "[" * 60 + "]" * 60, "nested more than 50 levels deep"),
    ):
        path.write_text(text.replace(old, new))
        with pytest.raises(store.ResultError, match=rf"r\.json is damaged or not a file of results \({why}\); move"):
            store.read(path)
