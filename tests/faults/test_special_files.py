"""Pipes, devices and sockets in place of files: every reader of a path that a user or a results folder names."""

from __future__ import annotations

import ast
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cifar_lab
from cifar_lab import data as images
from cifar_lab.config import Cifar10, CustomModel, ImageFolder, Settings
from cifar_lab.config.run_id import recipe
from cifar_lab.core.atomic_io import write_bytes
from cifar_lab.core.errors import DataError, EnvironmentFault, LabError
from cifar_lab.data import cache, catalog
from cifar_lab.models.weights import read_state_dict
from cifar_lab.store import locks, writers
from cifar_lab.training import checkpoint

from ..compatibility.commands import Lab
from ..data.conftest import draw_folder
from .registry import Case, case

PACKAGE = Path(cifar_lab.__file__).parent

SECONDS = 20
"""A command that takes longer waits for ever."""

SPARE_BYTES = 3 * 2**30
"""Memory that a command may take beside what the tests have."""


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_socket(path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, socket.socket(socket.AF_UNIX) as made:
        patch.chdir(path.parent)  # the name of a socket has at most 107 bytes
        made.bind(path.name)


KINDS: dict[str, Callable[[Path], None]] = {"pipe": make_pipe, "zeros": link_to_zeros, "socket": make_socket}


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """A test that blocks or takes all memory fails."""

    def stop(*_: object) -> None:
        pytest.fail(f"nothing for {SECONDS} s")

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPARE_BYTES, before[1]))
    handler = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def old(tmp_path: Path) -> Lab:
    return Lab.copied(tmp_path / "lab")


DONE, INTERRUPTED, FAILED = "13747b80a8ccfdc5", "ae49e40ad2b52e80", "8eee8ce96f1477ff"

RESULTS = (
    *(f"runs/{DONE}/{name}" for name in ("record.json", "settings.yaml", "metrics.jsonl", "predictions.npz", "lock")),
    f"runs/{DONE}/weights.safetensors",
    *(f"runs/{INTERRUPTED}/{name}" for name in ("checkpoint.bin", "checkpoint.bin.previous", "settings.yaml", "lock")),
    f"runs/{FAILED}/failure.json",
    *(f"sweeps/halving/{name}" for name in ("plan.json", "history.json", "winners.json")),
    "stopping/smooth-96ee3ade.json",
    ".writer",
    "report.md", "answers.json", "summary.csv", "report.html",
)  # fmt: skip
"""Every kind of file of a results folder."""

COMMANDS = (
    "list", "list --arms", f"show {DONE}", f"show {INTERRUPTED}", f"show {FAILED}",
    "compare Adam control --lab lab.yaml", f"compare {DONE} 6bec6d09b0ae94b4", "compare Adam halving",
    "plan --lab lab.yaml --question optimizer --effect 2", "report --lab lab.yaml --check",
    "report --lab lab.yaml --format md", "run baseline.yaml adam.yaml interrupted_small.yaml --dry-run",
    "sweep halving.yaml --dry-run", "verify",
)  # fmt: skip


def put(kind: str, path: Path) -> None:
    """Replace `path` by a special file."""
    path.unlink(missing_ok=True)
    KINDS[kind](path)


QUICK_COMMANDS = ("list", f"show {DONE}", "verify")


def check_commands(lines: tuple[str, ...], kind: str, name: str, lab: Lab) -> None:
    put(kind, lab.results / name)
    for line in lines:
        said = lab.give(line)
        assert "unforeseen" not in said.err, (line, said.err)
        assert "Traceback" not in said.err, (line, said.err)
        assert said.code in (0, 1, 2, 3, 4), line


@pytest.mark.parametrize("name", RESULTS)
def test_no_pipe_in_the_results_stops_a_command(name: str, old: Lab) -> None:
    check_commands(QUICK_COMMANDS, "pipe", name, old)


@pytest.mark.slow
@pytest.mark.parametrize(("at", "name"), [*enumerate(RESULTS)])
def test_no_file_of_the_results_stops_a_command(at: int, name: str, old: Lab) -> None:
    """Every kind and every command comes to its turn, every third command for each file."""
    check_commands(COMMANDS[at % 3 :: 3], tuple(KINDS)[at % len(KINDS)], name, old)


NAMED = (
    ("baseline.yaml", "run baseline.yaml --dry-run", 2),
    ("baseline.yaml", "check adam.yaml", 2),
    ("adam.yaml", "compare adam.yaml baseline.yaml", 2),
    ("baseline.yaml", "check baseline.yaml", 2),
    ("lab.yaml", "report --lab lab.yaml", 2),
    ("grid.yaml", "sweep grid.yaml --dry-run", 2),
    ("small.py", "check baseline.yaml", 2),
    ("weights.pt", "check baseline.yaml --set model.name=ResNet18 --set model.weights=weights.pt", 3),
    ("study.db", "sweep grid.yaml --export-optuna study.db", 2),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "line", "code"), NAMED)
def test_no_file_that_a_user_names_stops_a_command(name: str, line: str, code: int, kind: str, old: Lab) -> None:
    put(kind, old.folder / name)
    said = old.give(line)
    assert said.code == code, said.text
    assert "unforeseen" not in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("kind", KINDS)
@case(
    37, "a pipe, a device or a socket in a folder of images, as its zip or as a link in it",
    remains="nothing new", says="{path}cannot be read (it is {kind}, not a file); check {what}", code=3,
)  # fmt: skip
def test_images_from_special_files_are_refused(kind: str, tmp_path: Path, case: Case) -> None:
    root = draw_folder(tmp_path / "source")
    put(kind, root / "pics/train/ant/00.png")
    put(kind, tmp_path / "images.zip")
    for source in (root, tmp_path / "images.zip"):
        with pytest.raises(DataError) as caught:
            images.prepare(ImageFolder(dataset="imagefolder", root=str(source)))
        case.check(str(caught.value), caught.value.exit_code)


@pytest.mark.parametrize("kind", KINDS)
@case(
    37, "the same as weights, or as a file of CIFAR-10", remains="nothing new",
    says="{path}: cannot be read (it is {kind}, not a file); {what}", code=3,
)  # fmt: skip
def test_weights_and_archives_from_special_files_are_refused(kind: str, tmp_path: Path, case: Case) -> None:
    for name in ("weights.pt", "cifar-10-python.tar.gz"):
        put(kind, tmp_path / name)
    (tmp_path / "cifar-10-batches-py").mkdir()
    put(kind, tmp_path / "cifar-10-batches-py" / "data_batch_1")
    reads: tuple[Callable[[], object], ...] = (
        lambda: read_state_dict(tmp_path / "weights.pt"),
        lambda: images.prepare(Cifar10(root=str(tmp_path))),
    )
    for read in reads:
        with pytest.raises(DataError) as caught:
            read()
        case.check(str(caught.value), caught.value.exit_code)


@pytest.mark.parametrize("kind", KINDS)
@case(
    37, "the same as a model file, or beside it as a module that it imports", remains="nothing new",
    says="{path} cannot be read (it is {kind}, not a file){advice}",
)  # fmt: skip
def test_model_files_that_are_none_are_refused(kind: str, tmp_path: Path, case: Case) -> None:
    (tmp_path / "package").mkdir()
    put(kind, tmp_path / "pipe.py")
    put(kind, tmp_path / "package" / "pipe.py")
    (tmp_path / "model.py").write_text("import package\n")
    for name in ("pipe.py", "model.py"):
        with pytest.raises(LabError) as caught:
            recipe(Settings(model=CustomModel(name=f"{tmp_path / name}:Net")))
        case.check(str(caught.value).replace(": cannot", " cannot"))


@pytest.mark.parametrize("kind", KINDS)
@case(
    37, "the same as a checkpoint", remains="the file, set aside; the run begins anew or with the one before",
    says="checkpoint.bin is damaged; set aside as checkpoint.bin.damaged",
)  # fmt: skip
def test_a_checkpoint_that_is_no_file_is_set_aside(kind: str, tmp_path: Path, case: Case) -> None:
    put(kind, tmp_path / "checkpoint.bin")
    state, (note,) = checkpoint.load_newest(tmp_path / "checkpoint.bin")
    assert state is None
    case.check(note)


@pytest.mark.parametrize("kind", KINDS)
def test_prepared_images_that_are_none_are_prepared_again(kind: str, tmp_path: Path) -> None:
    source = ImageFolder(dataset="imagefolder", root=str(draw_folder(tmp_path / "source")))
    before = images.prepare(source)
    folder = cache.home() / catalog.folder_name(source)
    for name in sorted(path.name for path in folder.iterdir()):
        put(kind, folder / name)
        assert images.prepare(source) == before
        images.load_train(source)
        images.load_test(source)
        assert (folder / name).is_file()


@pytest.mark.parametrize("kind", KINDS)
@case(
    37, "a pipe or a socket in place of a lock", remains="the file as it is, and the target of a link",
    says="{path}: it is {kind}; remove it", code=4,
)  # fmt: skip
def test_a_lock_that_is_no_file_is_refused(kind: str, tmp_path: Path, case: Case) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("four years of work")
    put(kind, tmp_path / "pipe")
    (tmp_path / "link").symlink_to(precious)
    with locks.hold(tmp_path / "link"):  # a link is replaced
        assert not (tmp_path / "link").is_symlink()
    assert not (tmp_path / "link").exists()
    if kind != "zeros":
        with pytest.raises(EnvironmentFault) as caught, locks.hold(tmp_path / "pipe"):
            pass
        case.check(str(caught.value), caught.value.exit_code)
        assert not locks.is_held(tmp_path / "pipe")
        put(kind, tmp_path / writers.LOCK_NAME)
        with pytest.raises(EnvironmentFault, match="remove it"), writers.writing(tmp_path) as lock:
            lock.take()
    assert precious.read_text() == "four years of work"


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_never_written_through_a_temporary_name_of_others(kind: str, tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("four years of work")
    for make in (KINDS[kind], lambda path: path.symlink_to(precious)):
        make(tmp_path / f".file.{os.getpid()}.tmp")
        with pytest.raises(EnvironmentFault, match="cannot be written"):
            write_bytes(tmp_path / "file", b"content")
    assert precious.read_text() == "four years of work"


GUARDED = {
    "read_bytes", "read_text", "ZipFile", "load", "fromfile", "memmap", "connect", "CDLL", "open",
    "GzipFile", "BZ2File", "LZMAFile",
}  # fmt: skip
"""Names of functions that read a file by its path."""

UNGUARDED = {
    "core/": "the guard itself, what is made here, and files of the kernel",
    "training/backends/kernels/compiler": "the library that was checked, its sources, and what the compiler made",
    "training/backends/block/compiler": "its sources in the package",
    "report/html": "templates of the package",
    "execution/ray/": "the package's own files, and locks that are made here",
    "execution/local/worker": "files of the kernel",
    "cli/__init__": "the null device",
}
"""Modules with reads of another kind, and what they read."""

OPENED = {
    "analysis/predictions": {"np.load(io.BytesIO(content), allow_pickle=False)"},
    "analysis/recount_records": {"np.load(io.BytesIO(folder.read_file(record, name)), allow_pickle=False)"},
    "cli/new_lab": {"ZipFile(file)", "path.read_text(encoding='utf-8')"},
    "cli/report": {"webbrowser.open(page.resolve().as_uri())"},
    "data/archives": {
        "tarfile.open(fileobj=cast(IO[bytes], unpacked), mode='r:')", "zipfile.ZipFile(file)",
        "gzip.GzipFile(fileobj=file, mode='rb')", "bz2.BZ2File(file)", "lzma.LZMAFile(file)",
    },
    "data/array_files": {"archive.open(member)", "zipfile.ZipFile(file)"},
    "data/decoding": {"Image.open(io.BytesIO(content), formats=FORMATS)", "image.load()"},
    "data/cache": {"os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 438)"},
    "data/cifar": {"tarfile.open(fileobj=file, mode='r:gz')"},
    "data/zip_members": {"archive.open(member)"},
    "data/cifar_batches": {"_ArraysOnly(io.BytesIO(content), encoding='latin1').load()"},
    "execution/missing_runs": {"context.engine.open()"},
    "models/weights": {
        "safetensors.torch.load(content)", "torch.load(io.BytesIO(content), map_location='cpu', weights_only=True)",
    },
    "store/pack": {"zipfile.ZipFile(file)", "zipfile.ZipFile(file, 'w', zipfile.ZIP_STORED)"},
    "training/attacks/corruptions": {"Image.open(buffer)"},
    "store/locks": {"open(path, encoding='utf-8', errors='replace', opener=no_follow)", "os.open(path, flags, 438)"},
    "store/writers": {"open(self._path, encoding='utf-8', errors='replace', opener=no_follow)"},
    "studies/optuna_export": {"sqlite3.connect(f'file:{quote(str(path.absolute()))}?mode=ro', uri=True)"},
    "training/trained/export": {"torch.export.load(path)"},
    "training/checkpoint": {
        "load(candidate)", "torch.load(io.BytesIO(payload), map_location='cpu', weights_only=True)",
    },
    "training/component_trial": {
        "torch.load(io.BytesIO(buffer.getvalue()), map_location='cpu', weights_only=True)",
    },
    "training/trial_steps": {"torch.load(io.BytesIO(buffer.getvalue()), map_location='cpu', weights_only=True)"},
}  # fmt: skip
"""Calls by module whose file was opened by the guard, or is not opened by its kind."""


def test_every_reader_is_guarded() -> None:
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = str(path.relative_to(PACKAGE).with_suffix(""))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or module.startswith(tuple(UNGUARDED)):
                continue
            if ast.unparse(node.func).rpartition(".")[2] in GUARDED:
                found.setdefault(module, set()).add(ast.unparse(node))
    assert found == OPENED
