"""Downloads from servers that break off, drip, never end, redirect or lie: bounded, resumed, and never half."""

import contextlib
import hashlib
import http.server
import io
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from stn_ref import files
from stn_ref.cli import main
from stn_ref.data import download, transfer

CONTENT = bytes(range(256)) * 800  # 204,800 bytes
SUM = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Answers /NAME/... with the method NAME; `asked` collects (name, first byte asked for)."""

    protocol_version = "HTTP/1.1"
    asked = ()

    def log_message(self, *_):
        pass

    def do_GET(self):
        name = self.path.split("/")[1]
        span = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")
        self.start, self.close_connection = int(span[0]), True
        type(self).asked += ((name, self.start),)
        with contextlib.suppress(OSError):  # the client has gone
            getattr(self, name)()

    def head(self, status=200, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), str(value))
        self.end_headers()

    def rest(self, content=CONTENT):
        """Answer the range that was asked for."""
        if self.start:
            span = f"bytes {self.start}-{len(content) - 1}/{len(content)}"
            self.head(206, Content_Length=len(content) - self.start, Content_Range=span)
        else:
            self.head(Content_Length=len(content))

    def good(self):
        self.rest()
        self.wfile.write(CONTENT[self.start :])

    def half(self):
        self.rest()
        self.wfile.write(CONTENT[self.start : self.start + 70_000])

    def half_of_another(self):
        self.head(Content_Length=len(CONTENT))
        self.wfile.write(b"x" * 70_000)

    def another(self):
        self.head(Content_Length=len(CONTENT))
        self.wfile.write(b"x" * len(CONTENT))

    def no_ranges(self):
        self.head(Content_Length=len(CONTENT))
        self.wfile.write(CONTENT if self.start else CONTENT[:70_000])

    def wrong_range(self):
        if not self.start:
            return self.half()
        self.head(206, Content_Length=len(CONTENT) - self.start, Content_Range=f"bytes 5-{len(CONTENT)}/*")

    def announced(self):
        self.head(Content_Length=10**12)
        self.endless()

    def endless(self):
        self.head()
        while True:
            self.wfile.write(CONTENT)

    def chunks(self):
        self.head(Transfer_Encoding="chunked")
        while True:
            self.wfile.write(b"10000\r\n" + CONTENT[:65536] + b"\r\n")

    def drip(self):
        self.head(Content_Length=len(CONTENT))
        for k in itertools.count():
            self.wfile.write(CONTENT[k : k + 1])
            time.sleep(0.01)

    def drip_header(self):
        while True:
            self.wfile.write(b"H")
            time.sleep(0.01)

    def silent(self):
        time.sleep(2)

    def redirect(self):
        self.head(302, Location=f"http://{self.headers['Host']}/good/x")

    def circle(self):
        self.head(302, Location=f"http://{self.headers['Host']}/circle/x")

    def to_file(self):
        self.head(302, Location="file:///etc/passwd")

    def nonsense(self):
        self.wfile.write(b"\0\xff\r\n\r\n")

    def missing(self):
        self.head(404)


@pytest.fixture
def server(monkeypatch):
    """The address of the server; the limits of time are short."""
    monkeypatch.setattr(transfer, "WINDOW", 0.3)
    handler = type("Handler", (Server,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.daemon_threads, running.block_on_close = True, False
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        running.address, running.handler = f"http://127.0.0.1:{running.server_port}/", handler
        yield running
        running.shutdown()


def received(server, path, *names):
    """Receive from these mirrors; return (the content, what was asked for)."""
    server.handler.asked = ()
    with files.replacing(path) as file:
        transfer.receive([f"{server.address}{name}/x" for name in names], file, len(CONTENT), SUM)
    return path.read_bytes(), server.handler.asked


def test_a_broken_download_continues_where_it_stopped(server, tmp_path):
    thirds = (("half", 0), ("half", 70_000), ("half", 140_000))
    for names, asked in (
        (["good"], (("good", 0),)),
        (["half"], thirds),
        (["missing", "half"], (("missing", 0), *thirds)),
        (["no_ranges"], (("no_ranges", 0), ("no_ranges", 70_000))),
        (["wrong_range", "good"], (("wrong_range", 0), ("wrong_range", 70_000), ("good", 70_000))),
        (["redirect"], (("redirect", 0), ("good", 0))),
        (["another", "good"], (("another", 0), ("good", 0))),
    ):
        assert received(server, tmp_path / "x", *names) == (CONTENT, asked), names
    content, asked = received(server, tmp_path / "x", "half_of_another", "good")  # one half is not that of the other
    assert content == CONTENT and asked[-1] == ("good", 0)


def test_every_other_server_is_given_up_and_leaves_nothing(server, tmp_path):
    for name, why in (
        ("announced", "1000000000000 bytes, expected 204800"),
        ("endless", "more than 204800 bytes"),
        ("chunks", "more than 204800 bytes"),
        ("drip", "slower than 10,000 bytes/s"),
        ("drip_header", "slower than 10,000 bytes/s"),
        ("silent", "timed out"),
        ("circle", "infinite loop"),
        ("to_file", "Redirection to url 'file:///etc/passwd' is not allowed"),
        ("nonsense", ""),
        ("missing", "HTTP status 404"),
        ("another", "wrong SHA-256"),
    ):
        began = time.monotonic()
        with pytest.raises(transfer.NotReceived, match=f"^{server.address}{name}/x: .*{why}") as error:
            received(server, tmp_path / "x", name)
        assert time.monotonic() - began < 5 and "\n" not in str(error.value), name
        assert os.listdir(tmp_path) == [], name


def test_all_mirrors_together_have_one_limit_of_time(server, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "PATIENCE", 0.1 - len(CONTENT) / transfer.LEAST_RATE)
    with pytest.raises(transfer.NotReceived, match=r"drip/x: .*; .*good/x: the time for this file is over"):
        received(server, tmp_path / "x", "drip", "good")


def test_a_full_disk_is_no_answer_of_a_mirror(server, tmp_path):
    class Full:
        def write(self, piece):
            raise OSError(28, "No space left on device")

        tell = seek = truncate = lambda *_: 0

    with pytest.raises(OSError, match="No space left on device"):
        transfer.receive([f"{server.address}good/x"] * 2, Full(), len(CONTENT), SUM)
    assert server.handler.asked == (("good", 0),)


def test_https_stays_https():
    for old, new, allowed in (
        ("https://a/x", "https://b/x", True),
        ("https://a/x", "http://b/x", False),
        ("https://a/x", "ftp://b/x", False),
        ("http://a/x", "http://b/x", True),
        ("http://a/x", "https://b/x", True),
        ("http://a/x", "ftp://b/x", False),
    ):
        answer = io.BytesIO()
        arguments = urllib.request.Request(old), answer, 302, "Found", {}, new
        if allowed:
            assert transfer._Redirects().redirect_request(*arguments).full_url == new
        else:
            with pytest.raises(urllib.error.URLError, match=f"redirects to {new}"):
                transfer._Redirects().redirect_request(*arguments)
            assert answer.closed


@pytest.fixture
def tiny(server, monkeypatch):
    """The set 'tiny', whose only known mirror has moved."""
    known = (download.KnownFile("x", len(CONTENT), SUM),)
    holds = lambda path: "bytes"  # noqa: E731
    monkeypatch.setitem(download.SETS, "tiny", download.KnownSet("tiny", known, (f"{server.address}missing/",), holds))
    return server


def test_the_command_fetches_from_the_readers_mirror_and_sweeps_what_a_kill_left(tiny, tmp_path, capsys):
    left = tmp_path / ".x.0123456789abcdef.part"
    for end in ("", "/"):
        left.touch()
        assert main(["data", "fetch", "tiny", "--dir", str(tmp_path), "--mirror", f"{tiny.address}good{end}"]) == 0
        assert (tmp_path / "x").read_bytes() == CONTENT and os.listdir(tmp_path) == ["x"]
        (tmp_path / "x").unlink()
    capsys.readouterr()
    for mirror, why in (
        (f"{tiny.address}drip", "x could not be fetched: http://127.0.0.1:"),
        ("ftp://a/", "a mirror must begin with http:// or https://; got 'ftp://a/'"),
        ("/a/folder", "a mirror must begin with http:// or https://; got '/a/folder'"),
        ("http://", "x could not be fetched: http:/"),
        ("http://a b/", "x could not be fetched: http://a b/x: "),
    ):
        assert main(["data", "fetch", "tiny", "--dir", str(tmp_path), "--mirror", mirror]) == 2
        error = capsys.readouterr().err
        assert why in error and error.count("\n") == 1 and os.listdir(tmp_path) == []
    assert main(["data", "verify", "tiny", "--mirror", "http://a"]) == 2
    assert "leave --mirror out of `data verify NAME`, or write `data fetch NAME`" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(signal, "SIGTERM") or os.name != "posix", reason="needs SIGTERM")
def test_sigterm_leaves_no_part(tiny, tmp_path):
    script = f"""if True:
        import sys
        from stn_ref.__main__ import main
        from stn_ref.data import download
        known = (download.KnownFile("x", {len(CONTENT)}, "{SUM}"),)
        download.SETS["tiny"] = download.KnownSet("tiny", known, ("{tiny.address}drip/",))
        sys.argv = ["stn-ref", "data", "fetch", "tiny", "--dir", "."]
        sys.exit(main())"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stderr=subprocess.PIPE) as running:
        deadline = time.monotonic() + 60
        while not tiny.handler.asked and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
        time.sleep(0.5)  # into the answer: if it ends while http.client makes the answer, Python 3.13 prints a note
        running.terminate()
        error = running.communicate(timeout=60)[1]
    assert (running.returncode, error, os.listdir(tmp_path)) == (128 + signal.SIGTERM, b"", [])
