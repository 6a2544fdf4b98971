"""Download a file whose length and checksum are known, from the first mirror that has it.

Nothing is read beyond the known length. A broken download continues where it stopped, at the same mirror or at the
next. A mirror that is too slow is given up. An address that begins with https is never redirected to another scheme.

Read next: download.py.
"""

import contextlib
import hashlib
import http.client
import io
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

LEAST_RATE = 10_000  # bytes/s, measured over WINDOW
WINDOW = 30.0  # seconds; also the longest wait for a byte
PATIENCE = 60.0  # seconds for a file of any length, besides length / LEAST_RATE
TRIES = 3  # attempts at one mirror; each but the first continues the one before
PIECE = 1 << 16  # bytes read at once


class NotReceived(Exception):
    """A mirror did not send the file; the message says why."""


def receive(
    urls: Iterable[str], file: BinaryIO, size: int, sha256: str, *, progress: Callable[[int], None] = lambda n: None
) -> None:
    """Write a file that several addresses may have.

    Args:
        urls: the addresses, tried in this order.
        file: an open file, empty, for reading and writing.
        size: the length of its content, bytes.
        sha256: the checksum of its content, in hexadecimal.
        progress: called with the number of bytes that the file has.

    Raises:
        NotReceived: no address sent this content; the message has the answer of each.
        OSError: the file cannot be written.
    """
    answers, end = {}, time.monotonic() + PATIENCE + size / LEAST_RATE
    for url in urls:
        for _ in range(TRIES):
            start = file.tell()
            try:
                _append(url, file, size, end, progress)
                if _sha256(file) == sha256:
                    return
                answers[url] = "wrong SHA-256"
                _empty(file)
            except NotReceived as error:
                answers[url] = str(error)
            if file.tell() == start:
                break  # nothing came, or all of a wrong content came from this address
    raise NotReceived("; ".join(f"{url}: {answer}" for url, answer in answers.items()))


def _append(url: str, file: BinaryIO, size: int, end: float, progress: Callable[[int], None]) -> None:
    """Append the rest of the content to the file; raise NotReceived unless the file then has `size` bytes."""
    start = file.tell()
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with _network():
        answer = _opener(end).open(request, timeout=WINDOW)
    with answer:
        if answer.status != 206:  # the whole content
            start = 0
            _empty(file)
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise NotReceived(f"sent another range than bytes {start}-")
        if answer.length not in (None, size - start):
            raise NotReceived(f"{start + answer.length} bytes, expected {size}")
        while True:
            with _network():
                piece = answer.read1(PIECE)
            if file.tell() + len(piece) > size:
                raise NotReceived(f"more than {size} bytes")
            if not piece:
                break
            file.write(piece)
            progress(file.tell())
    if file.tell() < size:
        raise NotReceived(f"ended after {file.tell()} of {size} bytes")


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _sha256(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        digest.update(piece)
    return digest.hexdigest()


@contextlib.contextmanager
def _network() -> Iterator[None]:
    """Replace every error of the network by NotReceived; an error of the file is another one."""
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # its body is not read
        raise NotReceived(f"HTTP status {error.code}, {reason}" if hasattr(error, "code") else reason) from None


class _Watched(io.RawIOBase):
    """The answer of a server, header included: TimeoutError if it comes too slowly or after `end`."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, end: float):
        self.raw, self.sock, self.end = raw, sock, end
        self.since, self.count = time.monotonic(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        now = time.monotonic()
        if now >= self.end:
            raise TimeoutError("the time for this file is over")
        if now - self.since > WINDOW:
            if self.count < LEAST_RATE * WINDOW:
                raise TimeoutError(f"slower than {LEAST_RATE:,} bytes/s")
            self.since, self.count = now, 0
        self.sock.settimeout(min(WINDOW, self.end - now))
        received = self.raw.readinto(buffer)
        self.count += received or 0
        return received

    def close(self) -> None:
        self.raw.close()
        super().close()


def _opener(end: float) -> urllib.request.OpenerDirector:
    """Return an opener for http and https whose answers are watched; it uses the proxies of the environment."""

    class Response(http.client.HTTPResponse):
        def __init__(self, sock, *args, **options):
            super().__init__(sock, *args, **options)
            self.fp = io.BufferedReader(_Watched(self.fp.detach(), sock, end))

    class Http(http.client.HTTPConnection):
        response_class = Response

    class Https(http.client.HTTPSConnection):
        response_class = Response

    class Handler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
        def http_open(self, request):
            return self.do_open(Http, request)

        def https_open(self, request):
            return self.do_open(Https, request)

    return urllib.request.build_opener(Handler(), _Redirects())


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to another scheme."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if not newurl.startswith("https://" if req.full_url.startswith("https://") else ("http://", "https://")):
            fp.close()
            raise urllib.error.URLError(f"redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
