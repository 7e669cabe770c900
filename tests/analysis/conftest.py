"""The records that tests of this folder are made of."""

from __future__ import annotations

from ..record_fixtures import make_record, module_record, save_records

__all__ = ["make_record", "module_record", "save_records"]
