"""TOML in: files that people write."""

from __future__ import annotations

import tomllib
from typing import Any

from hermetic.errors import Malformed


def parse_toml(data: bytes, *, what: str = "TOML") -> dict[str, Any]:
    """The tables of one document, in TOML's own types.  Raises Malformed, whatever makes it unreadable."""
    try:
        return tomllib.loads(data.decode("utf-8"))
    except RecursionError:
        raise Malformed(f"{what}: nested too deeply") from None
    except ValueError as error:  # not UTF-8, not TOML, or a number of more digits than Python reads
        raise Malformed(f"{what}: {error}") from None
