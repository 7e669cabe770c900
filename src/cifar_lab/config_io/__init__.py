"""Settings in and out: strict YAML, `--set` and Python mappings to Settings, and back. No torch."""

from cifar_lab.config_io.dump import dump_settings
from cifar_lab.config_io.load import load_settings, settings_from, with_values

__all__ = ["dump_settings", "load_settings", "settings_from", "with_values"]
