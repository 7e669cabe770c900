"""CIFAR archives: what is believed, what is fetched, and what is said when neither works."""

from __future__ import annotations

import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from cifar_lab import data as images
from cifar_lab.config import Cifar10
from cifar_lab.core import download
from cifar_lab.core.errors import DataError
from cifar_lab.data import cifar


@pytest.fixture
def no_network(monkeypatch):
    """Nothing listens at the archive's address."""
    monkeypatch.setattr(download, "SCHEMES", ("http",))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server(fake_cifar10, monkeypatch):
    """The fake archive's address answers; `server.requests` counts."""

    class Archive(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.requests += 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(fake_cifar10.archive)))
            self.end_headers()
            self.wfile.write(fake_cifar10.archive)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Archive)
    server.requests = 0
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/x"
    monkeypatch.setitem(cifar.ARCHIVES, "cifar10", replace(cifar.ARCHIVES["cifar10"], url=url))
    monkeypatch.setattr(download, "SCHEMES", ("http",))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_constants_are_those_of_torchvision():
    from torchvision.datasets import CIFAR10, CIFAR100

    for name, kind in (("cifar10", CIFAR10), ("cifar100", CIFAR100)):
        archive = cifar.ARCHIVES[name]
        members = [*(m for m, _ in kind.train_list), *(m for m, _ in kind.test_list), kind.meta["filename"]]
        assert (archive.url, archive.file_name, archive.folder) == (kind.url, kind.filename, kind.base_folder)
        assert list(archive.members) == members


def test_missing_data_is_fetched_once(fake_cifar10, server, cache_home):
    data = Cifar10()
    info = images.prepare(data)
    train = images.load_train(data)
    np.testing.assert_array_equal(train.images, fake_cifar10.train_images)
    assert train.labels.tolist() == fake_cifar10.train_labels
    assert info.classes[3] == "cifar10 class 3"
    assert (cache_home / "downloads" / "cifar-10-python.tar.gz").read_bytes() == fake_cifar10.archive
    assert sorted(p.suffix for p in cache_home.iterdir()) == ["", "", ".lock"]  # nothing unpacked is left
    images.prepare(data)
    assert server.requests == 1


@pytest.mark.parametrize("left", [0, 1000, -1])
def test_a_half_archive_is_named_and_fetched_again(fake_cifar10, server, cache_home, caplog, left):
    path = cache_home / "downloads" / "cifar-10-python.tar.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(fake_cifar10.archive[:left])
    images.prepare(Cifar10())
    found = hashlib.sha256(fake_cifar10.archive[:left]).hexdigest()
    expected = hashlib.sha256(fake_cifar10.archive).hexdigest()
    assert [r.message for r in caplog.records] == [
        f"{path}: SHA-256 is {found}, expected {expected}; it is downloaded again"
    ]
    assert path.read_bytes() == fake_cifar10.archive


def test_no_data_and_no_network_names_the_place_and_the_ways_on(no_network, fake_cifar10, tmp_path):
    sha256 = hashlib.sha256(fake_cifar10.archive).hexdigest()
    with pytest.raises(DataError) as caught:
        images.prepare(Cifar10(root=str(tmp_path / "mine")))
    assert str(caught.value) == (
        f"{tmp_path}/mine/cifar-10-python.tar.gz: missing, and http://127.0.0.1:9/none could not be downloaded: "
        "no connection ([Errno 111] Connection refused). "
        f"Put cifar-10-python.tar.gz (SHA-256 {sha256}) into {tmp_path}/mine, "
        "or use other images: --set data.dataset=imagefolder --set data.root=PATH (your folder or zip file) "
        "or --set data.dataset=synthetic (synthetic images)"
    )
    assert caught.value.exit_code == 3


def test_a_broken_archive_without_network_is_named_with_both_hashes(no_network, fake_cifar10, tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"half")
    found, expected = (hashlib.sha256(content).hexdigest() for content in (b"half", fake_cifar10.archive))
    with pytest.raises(DataError) as caught:
        images.prepare(Cifar10(root=str(tmp_path)))
    assert str(caught.value).startswith(
        f"{tmp_path}/cifar-10-python.tar.gz: SHA-256 is {found}, expected {expected}, and http://127.0.0.1:9/none "
    )


def unpack(archive: bytes, root: Path) -> Path:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar.getmembers():
            path = root / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tar.extractfile(member).read())
    return root / "cifar-10-batches-py"


def test_an_unpacked_folder_is_enough(no_network, fake_cifar10, tmp_path):
    unpack(fake_cifar10.archive, tmp_path)
    train = images.load_train(Cifar10(root=str(tmp_path)))
    np.testing.assert_array_equal(train.images, fake_cifar10.train_images)


class Bomb:
    """A pickle that leaves a file behind when it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_pickle_of_another_checksum_is_never_loaded(no_network, fake_cifar10, tmp_path, caplog):
    folder = unpack(fake_cifar10.archive, tmp_path)
    trap = tmp_path / "loaded"
    for member in folder.iterdir():
        member.write_bytes(pickle.dumps(Bomb(str(trap))))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(folder, "cifar-10-batches-py")
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(buffer.getvalue())
    with pytest.raises(DataError):
        images.prepare(Cifar10(root=str(tmp_path)))
    assert not trap.exists()
    assert caplog.records[0].message.startswith(f"{folder}: a file is missing or its MD5 ")


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.4.0", reason="numpy warns since 2.4")
def test_old_pickles_load_without_a_warning(fake_cifar10, tmp_path, monkeypatch):
    """Integers for dtype's flags, as in the published batches: 0 and 1 warn in numpy 2.4.0 to 2.4.4, 0 and 2 since."""
    from torchvision.datasets import CIFAR10

    folder = unpack(fake_cifar10.archive, tmp_path)
    for member in folder.iterdir():
        member.write_bytes(member.read_bytes().replace(b"\x89\x88\x87", b"K\x00K\x02\x87"))
    sums = {m.name: hashlib.md5(m.read_bytes()).hexdigest() for m in folder.iterdir()}
    with pytest.warns(np.exceptions.VisibleDeprecationWarning, match="align"):
        pickle.loads((folder / "data_batch_1").read_bytes())
    monkeypatch.setattr(CIFAR10, "train_list", [[m, sums[m]] for m, _ in CIFAR10.train_list])
    monkeypatch.setattr(CIFAR10, "test_list", [[m, sums[m]] for m, _ in CIFAR10.test_list])
    np.testing.assert_array_equal(images.load_train(Cifar10(root=str(tmp_path))).images, fake_cifar10.train_images)


def test_a_second_use_imports_no_torch(fake_cifar10, tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(fake_cifar10.archive)
    info = images.prepare(Cifar10(root=str(tmp_path)))
    sha256 = cifar.ARCHIVES["cifar10"].sha256
    program = f"""
import sys
from dataclasses import replace
from cifar_lab import data
from cifar_lab.config import Cifar10
from cifar_lab.data import cifar
cifar.ARCHIVES["cifar10"] = replace(cifar.ARCHIVES["cifar10"], sha256={sha256!r})
assert data.known(Cifar10()).fingerprint == {info.fingerprint!r}
data.load_train(Cifar10()), data.load_test(Cifar10())
print("torch" in sys.modules, "torchvision" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False False\n"
