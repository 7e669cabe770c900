"""Settings to YAML for people."""

from __future__ import annotations

from typing import Any

import yaml

from cifar_lab.config import SECTION_CHOICES, Settings
from cifar_lab.config.io.scalars import resolve


def dump_settings(settings: Settings) -> str:
    """Every setting, defaults too, as YAML; `load_settings` reads the same settings back.

    The choice of a section comes first, and paths are absolute.
    """
    values = settings.model_dump(mode="json")
    for section, (key, _) in SECTION_CHOICES.items():
        values[section] = {key: values[section].pop(key), **values[section]}
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    """Lists on one line; a text that our reader would take for a number in quotes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if not text.isprintable() else None if resolve(text) is text else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
