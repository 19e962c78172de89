"""Names and values of any kind, as a terminal shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hermetic.cli._visible import on_one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["fields_table", "value_text"]

_SHORT = 40
"""Characters; a list with longer entries gets a line for each."""
_LONGEST = 20
"""Entries of a list that are shown; ``--json`` has them all."""


def fields_table(fields: Mapping[str, Any]) -> RenderableType:
    """Names and values side by side, each on a line of its own; long lists below each other."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in _rows(fields):
        table.add_row(Text(on_one_line(name)), Text(on_one_line(value)))
    return table


def _rows(fields: Mapping[str, Any], indent: str = "") -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield f"{indent}{name}", ""
            yield from _rows(value, indent + "  ")
        elif isinstance(value, list | tuple) and any(len(str(each)) > _SHORT for each in value):
            for number, each in enumerate(value[:_LONGEST]):
                yield "" if number else f"{indent}{name}", str(each)
            if len(value) > _LONGEST:
                yield "", f"… and {len(value) - _LONGEST} more"
        else:
            yield f"{indent}{name}", value_text(value)


def value_text(value: object) -> str:
    """On one line."""
    if isinstance(value, list | tuple):
        more = f" … and {len(value) - _LONGEST} more" if len(value) > _LONGEST else ""
        return (", ".join(map(str, value[:_LONGEST])) or "none") + more
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    # Rows of zeros say that a field is not in use, and are easily taken for one that is.
    return "zero" if len(text) >= 32 and not text.strip("0") else text
