"""Every writer leaves a whole file or none; the remains of a killed process are swept; one process holds a claim."""

import errno
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stn_ref import files
from stn_ref.cli import main, tutorials
from stn_ref.conformance import table
from stn_ref.lab.experiments import page

fcntl = pytest.importorskip("fcntl")

LEFT = ".r.json.0123456789abcdef.part"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "r.json").write_bytes(b"old")
    return tmp_path / "r.json"


def test_text_and_bytes_replace_a_file_and_leave_nothing_else_behind(path):
    files.write(path, "é\n")
    assert path.read_bytes() == "é\n".encode()
    files.write(str(path), b"\0")
    assert path.read_bytes() == b"\0" and os.listdir(path.parent) == ["r.json"]


def test_a_reader_sees_the_old_file_until_the_new_one_is_complete(path):
    with files.replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", (ValueError, KeyboardInterrupt, SystemExit))
@pytest.mark.parametrize("there", (True, False))
def test_an_error_leaves_what_was_there(path, error, there):
    if not there:
        path.unlink()
    with pytest.raises(error), files.replacing(path) as file:
        file.write(b"half")
        raise error
    assert [(p.name, p.read_bytes()) for p in path.parent.iterdir()] == [("r.json", b"old")] * there


@pytest.mark.parametrize("call", ("fsync", "replace"))
def test_a_full_disk_is_named_with_the_file_and_leaves_what_was_there(path, monkeypatch, call):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device", *arguments[1:])

    monkeypatch.setattr(os, call, full if call == "fsync" else lambda a, b: full(0, a))
    with pytest.raises(OSError, match=r"\[Errno 28\] cannot write: No space left on device: '.*/r\.json'"):
        files.write(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(path.parent) == ["r.json"]


def test_an_error_of_another_file_keeps_its_name(path):
    with pytest.raises(FileNotFoundError, match="'elsewhere'"), files.replacing(path):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "elsewhere")
    with pytest.raises(ConnectionResetError, match=r"^\[Errno 104\] reset$"), files.replacing(path):
        raise ConnectionResetError(104, "reset")  # a socket's


def test_a_place_that_cannot_be_written_is_named_before_the_work(path):
    for target, message in (
        (path / "x", "Not a directory"),
        (path.parent / "no" / "x", "No such"),
        (path.parent, "Is a"),
    ):
        with pytest.raises(OSError, match=rf"{message}.*: '{target}'$"):
            files.expect_writable(target)
    files.expect_writable(path)
    files.expect_writable(path.parent / "new")
    assert path.read_bytes() == b"old" and os.listdir(path.parent) == ["r.json"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anything")
def test_a_file_that_is_read_only_is_not_replaced(path):
    path.chmod(0o400)
    with pytest.raises(PermissionError):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("umask", (0o022, 0o077))
def test_a_new_file_has_the_mode_of_a_plain_one_and_a_replaced_one_keeps_its_own(path, umask):
    path.chmod(0o640)
    before = os.umask(umask)
    try:
        files.write(path, b"new")
        files.write(path.parent / "other", b"new")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent / "other")]
    assert modes == [0o640, 0o666 & ~umask]


def test_a_link_stays_and_the_file_behind_it_is_replaced(path):
    link = path.parent / "link"
    link.symlink_to("r.json")
    files.write(link, b"new")
    assert link.is_symlink() and path.read_bytes() == b"new" and len(os.listdir(path.parent)) == 2


def test_links_to_nothing_and_in_a_circle_are_not_written_before_the_work(tmp_path):
    (tmp_path / "link").symlink_to("new")
    files.expect_writable(tmp_path / "link")
    assert os.listdir(tmp_path) == ["link"]
    files.write(tmp_path / "link", "text")
    assert (tmp_path / "new").read_text() == "text" and (tmp_path / "link").is_symlink()
    (tmp_path / "circle").symlink_to("circle")
    for refuse in (files.expect_writable, lambda path: files.write(path, "x")):
        with pytest.raises(OSError, match=r"Too many levels of symbolic links: '.*circle'"):
            refuse(tmp_path / "circle")
    assert (tmp_path / "circle").is_symlink()


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    files.expect_writable(pipe)  # does not end it for its reader
    files.write(pipe, b"report")
    reader.join()
    assert read == [b"report"] and stat.S_ISFIFO(pipe.stat().st_mode)


def test_the_name_of_a_part_file_cannot_be_foreseen(path, monkeypatch):
    seen = set()
    monkeypatch.setattr(os, "replace", lambda part, target: seen.add(os.path.basename(part)))
    for _ in range(3):
        files.write(path, b"new")
    assert len(seen) == 3


def test_a_planted_link_is_neither_followed_nor_opened(path, monkeypatch):
    victim = path.parent / "victim"
    victim.write_bytes(b"mine")
    monkeypatch.setattr(os, "urandom", bytes)
    (path.parent / f".r.json.{'0' * 16}.part").symlink_to(victim)
    with pytest.raises(FileExistsError):
        files.write(path, b"new")
    assert victim.read_bytes() == b"mine" and path.read_bytes() == b"old"


WRITERS = re.compile(  # savefig and savez may write into the open file that files.replacing gives
    r"""\bopen\([^)]*["'][wax]b?\+?["']|\.write_text|\.write_bytes|\.touch\(|\.tofile\(|mkstemp"""
    r"""|\.(?:savefig|imsave)\((?!file\b)|\b(?:np|json)\.(?:save|savez|savetxt|dump)\((?!file\b)"""
)
OTHERS = {
    "kernels/cpu/cache.py": "machine code has its own folder and checksums",
    "lab/bench/memory.py": "a counter of the kernel in /proc",
}


def test_only_one_module_writes_files():
    package = Path(files.__file__).parent
    modules = {path.relative_to(package).as_posix(): path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    writers = {name: WRITERS.findall(text) for name, text in modules.items() if WRITERS.search(text)}
    assert writers.keys() - {"files.py"} == OTHERS.keys(), writers


COMMANDS = {
    "info --json r.json": ["r.json"],
    "figures align_corners --out .": ["align_corners.svg", "numbers/align_corners.json", "captions.toml"],
    "figures --image photo.png --out my.svg": ["my.svg"],
    "experiment --results --markdown page.md": ["page.md"],
    "check --peers --markdown page.md": ["page.md"],
    "tutorials copy .": ["01_toy.py", "README.md"],
}


@pytest.mark.parametrize(("command", "written"), COMMANDS.items(), ids=COMMANDS)
def test_a_command_whose_write_fails_leaves_the_old_file_and_no_half(tmp_path, monkeypatch, capsys, command, written):
    import matplotlib.image

    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for name in ("01_toy.py", "README.md"):
        (shelf / name).write_text("# # 01 Toy\n")
    monkeypatch.setattr(tutorials, "FOLDER", shelf)
    monkeypatch.setattr(table, "judge", lambda peer, only, time_limit: table.Column(peer.title, {}, {}))
    replace, old = os.replace, "" if "tutorials" in command else f"{page.BEGIN}\n{page.END}\n"
    for fails in range(len(written)):
        place = tmp_path / str(fails)
        (place / "numbers").mkdir(parents=True)
        monkeypatch.chdir(place)
        matplotlib.image.imsave("photo.png", [[0.0, 0.5], [1.0, 0.0]])
        for name in written if old else ():
            (place / name).write_text(old)
        calls = iter(range(fails))

        def full(part, target, calls=calls):
            if next(calls, None) is None:
                raise OSError(errno.ENOSPC, "No space left on device", part)
            replace(part, target)

        monkeypatch.setattr(os, "replace", full)
        assert main(command.split()) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert f"error: [Errno 28] cannot write: No space left on device: '{written[fails]}'" in error
        there = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
        assert there == set(written if old else written[:fails]) | {"photo.png"}
        assert [(place / name).read_text() == old for name in written if name in there] == [
            k >= fails for k, name in enumerate(written) if name in there
        ]


def test_a_notebook_and_its_thumbnail_are_whole_or_absent(tmp_path, monkeypatch):
    for name in ("jupytext", "nbclient"):
        pytest.importorskip(name)
    script = tmp_path / "01_toy.py"
    script.write_text("# %% [markdown]\n# # 01 Toy\n")
    (tmp_path / "notebooks").mkdir()
    tutorials.notebook(script).write_text("old")
    monkeypatch.setattr("nbclient.NotebookClient.execute", lambda client, **options: None)
    with monkeypatch.context() as full, pytest.raises(OSError, match="No space left on device"):
        full.setattr(os, "replace", lambda part, target: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        tutorials.export([script], lambda line: None)
    assert tutorials.notebook(script).read_text() == "old" and len(os.listdir(tmp_path / "notebooks")) == 1
    tutorials.export([script], lambda line: None)
    assert tutorials.stale([script]) == [] and len(os.listdir(tmp_path / "notebooks")) == 1


KILLED = """
import os, signal, sys
from stn_ref import files
from stn_ref.cli import main, tutorials
from stn_ref.conformance import table
from stn_ref.lab.experiments import page
with files.replacing(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_swept_and_what_another_writes_is_not(path):
    child = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(child, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        writer.stdout.readline()
        files.sweep(path)
        files.write(path, b"new")  # sweeps, too
        assert len(os.listdir(path.parent)) == 2
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert len(os.listdir(path.parent)) == 2
    files.write(path, b"newer")
    assert os.listdir(path.parent) == ["r.json"] and path.read_bytes() == b"newer"


def test_only_what_is_left_of_this_very_file_is_swept(path, monkeypatch):
    others = {f".r.json.{'0' * 15}.part", f".r.json2.{'0' * 16}.part", ".r.json.lock", ".rxjson.0123456789abcdef.part"}
    for name in (LEFT, *others):
        (path.parent / name).touch()
    os.mkfifo(path.parent / LEFT.replace("f.part", "e.part"))  # opening it would wait for a writer
    files.sweep(path)
    assert set(os.listdir(path.parent)) == {"r.json", LEFT.replace("f.part", "e.part")} | others


def test_nothing_is_swept_where_there_are_no_locks(path, monkeypatch):
    (path.parent / LEFT).touch()
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOLCK, "No locks available")))
    files.write(path, b"new")
    monkeypatch.setattr(files, "fcntl", None)  # Windows
    files.write(path, b"newer")
    assert sorted(os.listdir(path.parent)) == [LEFT, "r.json"] and path.read_bytes() == b"newer"


def test_a_part_file_that_a_sweep_takes_before_it_is_locked_is_made_anew(path, monkeypatch):
    flock, calls = fcntl.flock, []

    def late(file, how):
        calls.append(file)
        if len(calls) == 1:
            os.unlink(file.name)
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    files.write(path, b"new")
    assert path.read_bytes() == b"new" and len(calls) == 2


def test_a_file_set_aside_takes_the_first_free_name(path):
    assert files.set_aside(path.parent / "none") is None
    (path.parent / "r.json.1").touch()
    assert files.set_aside(path) == path.parent / "r.json.2" and not path.exists()
    assert (path.parent / "r.json.2").read_bytes() == b"old"


def test_only_one_has_a_claim_and_it_leaves_nothing_behind(tmp_path):
    path = tmp_path / "r.json"
    with files.claimed(path) as first, files.claimed(path) as second, files.claimed(tmp_path / "s.json") as other:
        assert (first, second, other) == (True, False, True)
    with files.claimed(path) as again:
        assert again
    assert os.listdir(tmp_path) == []


def test_a_lock_left_by_a_process_that_was_killed_claims_nothing(tmp_path):
    (tmp_path / ".r.json.lock").touch()
    with files.claimed(tmp_path / "r.json") as mine:
        assert mine


def test_a_lock_that_was_removed_before_it_was_ours_is_taken_anew(tmp_path, monkeypatch):
    path, flock, calls = tmp_path / "r.json", fcntl.flock, []

    def late(file, how):  # the previous holder removes it between our opening and our locking
        calls.append(how)
        if len(calls) == 1:
            (tmp_path / ".r.json.lock").unlink()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with files.claimed(path) as first, files.claimed(path) as second:
        assert (first, second, len(calls)) == (True, False, 3)


def test_where_a_disk_has_no_locks_every_claim_succeeds(tmp_path, monkeypatch):
    def none(file, how):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with files.claimed(tmp_path / "r.json") as first, files.claimed(tmp_path / "r.json") as second:
        assert first and second


@pytest.mark.parametrize(("number", "mine"), ((errno.EACCES, False), (errno.ENOLCK, True)))
def test_one_whose_lock_fails_leaves_the_lock_of_another(tmp_path, monkeypatch, number, mine):
    path, flock = tmp_path / "r.json", fcntl.flock

    def fails(file, how):
        raise OSError(number, os.strerror(number))

    with files.claimed(path) as first:
        monkeypatch.setattr(fcntl, "flock", fails)
        with files.claimed(path) as second:
            monkeypatch.setattr(fcntl, "flock", flock)
            with files.claimed(path) as third:
                assert (first, second, third) == (True, mine, False)


def test_what_goes_wrong_while_it_is_claimed_ends_the_claim(tmp_path):
    with pytest.raises(KeyboardInterrupt), files.claimed(tmp_path / "r.json"):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_a_lock_is_not_taken_through_a_planted_link_or_pipe_and_empties_no_file(path):
    lock = path.parent / ".r.json.lock"
    lock.symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"), files.claimed(path):
        pass
    lock.unlink()
    os.mkfifo(lock)
    with pytest.raises(OSError, match=r"r\.json\.lock"), files.claimed(path):
        pass
    lock.unlink()
    os.link(path, lock)
    with files.claimed(path) as mine:
        assert mine
    assert path.read_bytes() == b"old"


def test_an_error_is_not_hidden_by_that_of_removing_the_lock(tmp_path):
    with pytest.raises(ValueError, match="the real one"), files.claimed(tmp_path / "r.json"):
        (tmp_path / ".r.json.lock").unlink()
        (tmp_path / ".r.json.lock").mkdir()
        raise ValueError("the real one")


@pytest.mark.parametrize("path", ("", "folder/"))
def test_a_path_without_a_file_name_is_refused_before_the_work(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for refuse in (files.expect_writable, lambda p: files.write(p, "x")):
        with pytest.raises(OSError):
            refuse(path)
    assert not list(tmp_path.iterdir())
