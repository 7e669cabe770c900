"""Names from inside the package that these tests need: a module that moves is followed here and nowhere else."""

from cifar_lab import errors
from cifar_lab.cli import app
from cifar_lab.identity import recipe, run_id
from cifar_lab.runtime import stream, stream_seed

__all__ = ["app", "errors", "recipe", "run_id", "stream", "stream_seed"]
