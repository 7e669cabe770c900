"""Settings in and out: strict YAML, `--set` and Python mappings to Settings, and back. No torch."""

from cifar_lab.config.io.load import Variations, dump_settings, load_settings, settings_from, with_values
from cifar_lab.config.io.schema import json_schema, sheet_schema
from cifar_lab.config.io.sheet_files import load_sheet, sheet_file

__all__ = [
    "Variations",
    "dump_settings",
    "json_schema",
    "load_settings",
    "load_sheet",
    "settings_from",
    "sheet_file",
    "sheet_schema",
    "with_values",
]
