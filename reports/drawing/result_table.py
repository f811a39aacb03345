"""Any result file as tables: the plain metrics, and one table for each metric that is a list of records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """A title, column names, and rows of as many cells."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def result_tables(command: str, metrics: Mapping[str, Any]) -> list[Table]:
    """Tables of a result file's metrics, the plain ones first."""
    plain = [(name, cell(value)) for name, value in metrics.items() if not _is_records(value)]
    tables = [Table(command, ("metric", "value"), plain)] if plain else []
    for name, records in metrics.items():
        if _is_records(records):
            columns = tuple(dict.fromkeys(key for record in records for key in record))
            tables.append(Table(name, columns, [tuple(cell(record.get(key)) for key in columns) for record in records]))
    return tables


def cell(value: Any) -> str:
    """A value as text: floats to four significant digits, large whole numbers in groups of three digits."""
    if value is None:
        return ""
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10000 else f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {cell(entry)}" for key, entry in value.items())
    return ", ".join(cell(entry) for entry in value)


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, Mapping) for entry in value)
