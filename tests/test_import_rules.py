"""Who may import whom, read from the source: imports run one way, and what is no training never imports torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cifar_lab

PACKAGE = Path(cifar_lab.__file__).parent

RANKS: tuple[tuple[str, ...], ...] = (
    ("core",),
    ("config", "store"),
    ("data", "models"),
    ("training",),
    ("execution",),
    ("analysis", "progress"),
    ("report", "studies"),
    ("api", "cli"),
    ("__main__",),
)
"""The packages, lowest first. A package imports from packages of lower ranks, and from itself."""

RANK = {package: rank for rank, packages in enumerate(RANKS) for package in packages}

MAX_ROOT_ENTRIES = 15
"""Files and folders at the root of the package, py.typed apart."""

MAX_RANKS = 12

MAX_CHAIN = 12
"""Modules in the longest chain of imports at import time."""

TORCH_FREE = (
    "analysis", "api", "cli", "config", "core", "execution", "progress", "report", "store", "studies",
    "training.events", "training.job", "training.threads",
)  # fmt: skip
"""Packages and modules that a command needs before, after or without training."""

HEAVY = {"torch", "torchvision"}


def modules() -> dict[str, ast.Module]:
    """Dotted name below the package → its source, parsed; a package stands under its own name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def runs_at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements outside functions and outside `if TYPE_CHECKING`, those of classes and branches included."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        statement = waiting.pop()
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            continue
        yield statement
        waiting += [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt)]


def imported(statements: Iterator[ast.AST]) -> set[str]:
    """Dotted names of the modules that the statements import; our own without `cifar_lab.`, the root as ``."""
    names = set()
    for statement in statements:
        if isinstance(statement, ast.Import):
            names |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, "imports are absolute"
            module = statement.module or ""
            for alias in statement.names:
                whole = f"{module}.{alias.name}"
                names.add(whole if whole.removeprefix("cifar_lab.") in MODULES else module)
    return {re.sub(r"^cifar_lab(\.|$)", "", name) for name in names}


ALWAYS = {name: imported(runs_at_import(tree)) for name, tree in MODULES.items()}
"""Module → what importing it imports."""

ANYWHERE = {name: imported(ast.walk(tree)) for name, tree in MODULES.items()}
"""Module → what it imports at any time, in a function too."""


def package_of(module: str) -> str:
    return module.partition(".")[0]


def test_every_package_has_a_rank() -> None:
    assert {package_of(name) for name in MODULES if name} == set(RANK)


def test_imports_are_seen() -> None:
    assert {"torch", "store.records", "training.backends.base", "training.cohort"} <= ALWAYS["training.loop"]
    worker = "execution.local.worker"
    assert "training.concurrent" in ANYWHERE[worker] - ALWAYS[worker]
    assert "config.io.load" in ANYWHERE[""] - ALWAYS[""]


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_imports_run_one_way(name: str) -> None:
    wrong = {
        other
        for other in ANYWHERE[name]
        if other in MODULES
        and other
        and package_of(other) != package_of(name)
        and RANK[package_of(other)] >= RANK[package_of(name)]
    }
    assert wrong == set(), f"{name} imports from its own rank or above"


def test_the_package_itself_imports_nothing_of_its_own() -> None:
    assert ALWAYS[""] & set(MODULES) == set()


def test_no_module_imports_itself_through_others() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for other in sorted(ANYWHERE[name] & set(MODULES) - {""}):
                visit(other, (*path, name))
            done.add(name)

    for name in MODULES:
        if name:
            visit(name, ())


def test_the_tree_is_flat() -> None:
    entries = {path.name for path in PACKAGE.iterdir()} - {"__pycache__", "py.typed"}
    assert len(entries) <= MAX_ROOT_ENTRIES, sorted(entries)
    assert len(RANKS) <= MAX_RANKS


def test_chains_of_imports_are_short() -> None:
    longest: dict[str, tuple[str, ...]] = {}

    def chain(name: str) -> tuple[str, ...]:
        if name not in longest:
            below = [chain(other) for other in sorted(ALWAYS[name] & set(MODULES) - {name, ""})]
            longest[name] = (name, *max(below, key=len, default=()))
        return longest[name]

    found = max(map(chain, MODULES), key=len)
    assert len(found) <= MAX_CHAIN, " -> ".join(found)


def test_nothing_below_imports_from_the_root() -> None:
    assert {name for name in MODULES if name and "" in ANYWHERE[name]} == set()


FILES_OF_RESULTS = {
    ".previous", ".writer", "checkpoint.bin", "failure.json", "history.json", "metrics.jsonl", "plan.json",
    "predictions.npz", "record.json", "settings.yaml", "stopping", "sweeps", "weights.safetensors", "winners.json",
}  # fmt: skip


def test_the_store_alone_spells_the_names_of_its_files() -> None:
    """In code: a docstring, a help text or a template may name them."""
    for name, tree in MODULES.items():
        if package_of(name) != "store":
            texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            assert not texts & FILES_OF_RESULTS, name


def is_torch_free(name: str) -> bool:
    return any(name == free or name.startswith(free + ".") for free in TORCH_FREE)


def test_what_is_no_training_imports_no_torch_through_anything() -> None:
    def visit(name: str, path: tuple[str, ...], seen: set[str]) -> None:
        heavy = {other for other in ALWAYS[name] if other.partition(".")[0] in HEAVY}
        assert not heavy, " -> ".join((*path, name, *heavy))
        parents = {name[:dot] for dot in range(len(name)) if name[dot] == "."}
        for other in (ALWAYS[name] | parents) & set(MODULES) - seen:
            seen.add(other)
            visit(other, (*path, name), seen)

    for name in filter(is_torch_free, MODULES):
        visit(name, (), set())


def test_importing_what_is_no_training_imports_no_torch() -> None:
    names = [f"cifar_lab.{name}" for name in MODULES if is_torch_free(name)]
    code = (
        f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\n"
        f"print(sorted({{name.partition('.')[0] for name in sys.modules}} & {HEAVY}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_ray_is_imported_when_a_cluster_is_connected_to_and_by_nothing_else() -> None:
    assert {name for name in MODULES if any(package_of(other) == "ray" for other in ANYWHERE[name])} == {
        "execution.ray.connect"
    }
    assert not any(package_of(other) == "ray" for other in ALWAYS["execution.ray.connect"])


def test_importing_the_package_imports_almost_nothing() -> None:
    code = "import sys; before = set(sys.modules); import cifar_lab; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    ours = [name for name in ast.literal_eval(done.stdout) if name.startswith("cifar_lab")]
    assert ours == ["cifar_lab"]
    assert not HEAVY & set(ast.literal_eval(done.stdout))


def test_the_command_line_imports_the_settings_only_inside_commands() -> None:
    code = "import sys, cifar_lab.cli; print(sorted({'numpy', 'pydantic', 'yaml', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_nothing_is_unpickled_without_a_checked_format() -> None:
    """A checkpoint or a weights file may come from anywhere; `weights_only` is the one safe way to read it."""
    for name, tree in MODULES.items():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if ast.unparse(call.func) == "torch.load":
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
                assert given.get("weights_only") == "True", name
        assert not {"pickle", "dill", "cloudpickle", "joblib"} & ANYWHERE[name] or name.startswith("data."), name


ACTS_ON_DISK = {
    "fsync", "makedirs", "mkdir", "move", "rename", "replace", "rmdir", "rmtree", "touch", "unlink", "write_bytes",
    "write_text",
}  # fmt: skip
"""Names of methods that change a disk; `replace` with one argument, as a path has it and a text has not."""

NOT_DURABLE = {
    "data.cache": {"mkdir", "rmtree"},  # the folder of the lock; a half folder after a refusal
    "data.cifar": {"mkdir", "rmtree", "write_bytes"},  # an archive unpacked for as long as it is read
    "core.download": {"mkdir", "unlink"},  # the folder of downloads; parts that nobody will read
    "data.shipping": {"unlink"},  # parts that nobody will read
    "execution.ray.scratch": {"rmtree"},  # a node's own copies
    "execution.local.worker": {"write_text"},  # a file of /proc
    "progress.sinks.mlflow": {"mkdir"},  # a mirror may fail
    "progress.sinks.tensorboard": {"rmtree"},
    "progress.sinks.wandb": {"mkdir"},
    "store.locks": {"unlink"},  # lock files
    "store.writers": {"rmdir", "unlink"},  # a lock file, and a results folder that stayed empty
}
"""Module → what it does by itself, because nothing is lost with it."""


def test_every_durable_act_goes_through_one_module() -> None:
    for name, tree in MODULES.items():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
        found = {
            call.func.attr
            for call in calls
            if isinstance(call.func, ast.Attribute) and call.func.attr in ACTS_ON_DISK
            and (call.func.attr != "replace" or (len(call.args) == 1 and not call.keywords))
        }  # fmt: skip
        assert name == "core.atomic_io" or found <= NOT_DURABLE.get(name, set()), name
