"""How recognised evidence looks in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hermetic.cli._fields import fields_table
from hermetic.cli._show import console

__all__ = ["show_description"]

_UNVERIFIED = "[black on yellow] NOT VERIFIED [/] this is what the file says of itself; nothing here is proven"


def show_description(path: str, described: Mapping[str, Any]) -> None:
    """What a file says, part by part, under a banner that it is not verified."""
    from rich.text import Text

    out = console()
    out.print(Text.assemble((path, "bold"), f": {described['form']}"), soft_wrap=True)
    out.print(_UNVERIFIED, soft_wrap=True)
    for part in described["parts"]:
        out.print()
        out.print(Text(part["what"], style="bold"))
        if part["fields"]:
            out.print(fields_table(part["fields"]))
        if part["endorsements"]:
            out.print(Text("  endorsements that came along", style="bold dim"))
            out.print(fields_table(part["endorsements"]))
