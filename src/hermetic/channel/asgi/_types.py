"""ASGI's own types, spelt out so that nothing here needs a framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

Headers = tuple[tuple[bytes, bytes], ...]
"""Names in lower case."""


def values(headers: Headers, name: str) -> list[str]:
    """Every value of a field, as text."""
    wanted = name.lower().encode("ascii")
    return [value.decode("latin-1") for field, value in headers if field == wanted]


def single(headers: Headers, name: str) -> str | None:
    """The one value of a field.  None where it is absent or given twice: neither says what was meant."""
    found = values(headers, name)
    return found[0] if len(found) == 1 else None
