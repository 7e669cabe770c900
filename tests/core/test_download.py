"""Faults of a transfer, from a server of our own."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cifar_lab.core import download
from cifar_lab.core.download import NotFetched, fetch
from cifar_lab.core.errors import EnvironmentFault

CONTENT = bytes(range(256)) * 4_000  # 1 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Answers(BaseHTTPRequestHandler):
    """One way to answer a path."""

    def do_GET(self) -> None:
        getattr(self, self.path.strip("/"))()

    def head(self, code: int = 200, length: int = len(CONTENT), **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def good(self) -> None:
        self.head()
        self.wfile.write(CONTENT)

    def half(self) -> None:
        self.head()
        self.wfile.write(CONTENT[:500_000])

    def page(self) -> None:
        self.head(length=15)
        self.wfile.write(b"<html>no</html>")

    def gone(self) -> None:
        self.head(404, 0)

    def moved(self) -> None:
        self.head(302, 0, Location="/good")

    def moved_elsewhere(self) -> None:
        self.head(302, 0, Location="ftp://127.0.0.1/good")

    def silent(self) -> None:
        self.server.done.wait(20)

    def stalls(self) -> None:
        self.head()
        self.wfile.write(CONTENT[:500_000])
        self.server.done.wait(20)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "SCHEMES", ("http",))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.done = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.done.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(download, "STALL_SECONDS", 0.5)


@pytest.mark.parametrize("way", ["good", "moved"])
def test_a_good_transfer(server, tmp_path, way):
    calls = []
    fetch(f"{server}/{way}", tmp_path / "new" / "file", SHA256, lambda *call: calls.append(call))
    assert (tmp_path / "new" / "file").read_bytes() == CONTENT
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["file"]
    assert calls[-1] == ("downloading file", len(CONTENT), len(CONTENT))


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("half", "the transfer (ended|broke) after 500,000 of 1,024,000 bytes.*"),
        (
            "page",
            f"the downloaded file has SHA-256 {hashlib.sha256(b'<html>no</html>').hexdigest()}, expected {SHA256}",
        ),
        ("gone", "the server answered 404 Not Found"),
        ("moved_elsewhere", "refused to download ftp://127.0.0.1/good: only http is accepted"),
        ("silent", "no answer within 0.5 s"),
        ("stalls", "the transfer stalled for 0.5 s after [0-9,]+ of 1,024,000 bytes"),
    ],
)
def test_a_bad_transfer_says_why_and_keeps_what_was_there(server, impatient, tmp_path, way, reason):
    (tmp_path / "file").write_bytes(b"before")
    with pytest.raises(NotFetched, match=f"^{reason}$"):
        fetch(f"{server}/{way}", tmp_path / "file", SHA256, lambda *call: None)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir() if p.is_file()] == [("file", b"before")]


def test_only_https_is_spoken(tmp_path):
    assert download.SCHEMES == ("https",)
    with pytest.raises(NotFetched, match=r"^refused to download http://127.0.0.1/x: only https is accepted$"):
        fetch("http://127.0.0.1/x", tmp_path / "file", SHA256, lambda *call: None)


def test_a_closed_port(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(NotFetched, match=r"^no connection \(\[Errno 111\] Connection refused\)$"):
        fetch(f"https://127.0.0.1:{port}/x", tmp_path / "file", SHA256, lambda *call: None)


def test_a_name_look_up_that_hangs_ends_in_time(tmp_path, monkeypatch):
    assert download.CONNECT_SECONDS <= 8
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.2)
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: time.sleep(2) or [])
    started = time.perf_counter()
    with pytest.raises(NotFetched, match=r"^no answer within 0.2 s$"):
        fetch("https://example.invalid/x", tmp_path / "file", SHA256, lambda *call: None)
    assert time.perf_counter() - started < 1


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(EnvironmentFault) as caught:
        fetch(f"{server}/good", tmp_path / "file" / "x", SHA256, lambda *call: None)
    assert str(caught.value).startswith(f"{tmp_path / 'file'}: ")


def test_parts_of_killed_processes_are_swept(server, tmp_path):
    old, live = tmp_path / ".file.1.part", tmp_path / ".file.2.part"
    for part in (old, live):
        part.write_bytes(b"part")
    os.utime(old, (1, 1))
    fetch(f"{server}/good", tmp_path / "file", SHA256, lambda *call: None)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".file.2.part", "file"]
