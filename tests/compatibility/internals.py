"""Names from inside the package that these tests need: a module that moves is followed here and nowhere else."""

from cifar_lab.cli import app
from cifar_lab.config.run_id import recipe, run_id
from cifar_lab.core import errors
from cifar_lab.data.random_streams import stream, stream_seed

__all__ = ["app", "errors", "recipe", "run_id", "stream", "stream_seed"]
