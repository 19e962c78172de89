"""Strict readers for the fields of a JSON object, so that each document's parser is a list of its fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hermetic.errors import Malformed
from hermetic.wire import Digest, is_digest

T = TypeVar("T")


def exactly(obj: object, names: frozenset[str], *, what: str) -> Mapping[str, Any]:
    """``obj`` as an object with these names, no more and no fewer.  Raises Malformed and names the difference."""
    if not isinstance(obj, dict):
        raise Malformed(f"{what}: expected an object")
    if missing := names - obj.keys():
        raise Malformed(f"{what}: lacks {', '.join(sorted(missing))}")
    if unknown := obj.keys() - names:
        raise Malformed(f"{what}: holds unknown {', '.join(sorted(map(str, unknown)))}")
    return obj


def text(value: object, *, what: str, limit: int = 1024) -> str:
    """A non-empty string without control characters, at most ``limit`` characters."""
    if not isinstance(value, str) or not value or len(value) > limit or not value.isprintable():
        raise Malformed(f"{what}: expected 1 to {limit} printable characters")
    return value


def digest(value: object, *, what: str) -> Digest:
    """A ``sha256:…`` digest."""
    if not is_digest(value):
        raise Malformed(f"{what}: expected sha256: and 64 lowercase hex digits")
    return Digest(str(value))


def integer(value: object, *, what: str, low: int, high: int) -> int:
    """An integer in ``low..high``; a boolean is not one."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Malformed(f"{what}: expected an integer from {low} to {high}")
    return value


def items(value: object, parse: Callable[[object], T], *, what: str, limit: int = 64) -> tuple[T, ...]:
    """A list of at most ``limit`` entries, each read by ``parse``."""
    if not isinstance(value, list) or len(value) > limit:
        raise Malformed(f"{what}: expected a list of at most {limit}")
    return tuple(parse(entry) for entry in value)
