"""Canonical JSON (RFC 8785) out; strict JSON in.

What we sign is written by :func:`canonical`.  What we read is parsed strictly: a repeated name, NaN, an integer that
JavaScript would round, or a lone surrogate is refused, so that two readers cannot see two documents.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from hermetic.errors import Malformed

_MAX_SAFE_INTEGER = 2**53 - 1


def canonical(value: object) -> bytes:
    """``value`` as RFC 8785 canonical JSON.  Raises Malformed where it has no canonical form."""
    import rfc8785

    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise Malformed(f"no canonical JSON form: {type(error).__name__}") from error


def parse_json(data: bytes | str, *, what: str = "JSON", limit: int = 16 * 1024 * 1024) -> Any:
    """One JSON value, strictly (I-JSON, RFC 7493).  ``limit`` is in bytes.  Raises Malformed."""
    if len(data) > limit:
        raise Malformed(f"{what}: larger than {limit} bytes")
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_safe_integer, parse_float=_finite
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate has no UTF-8 form
    except (ValueError, RecursionError) as error:
        # The parser's own message quotes the document, which may hold a secret: only the kind of fault is told.
        raise Malformed(f"{what}: {_fault(error)}") from None
    return value


def parse_object(data: bytes | str, *, what: str = "JSON", limit: int = 16 * 1024 * 1024) -> dict[str, Any]:
    """Like :func:`parse_json`, and the value must be an object."""
    value = parse_json(data, what=what, limit=limit)
    if not isinstance(value, dict):
        raise Malformed(f"{what}: expected an object")
    return value


class _Strict(ValueError):
    """A fault found by our own hooks; its text never quotes the document."""


def _fault(error: Exception) -> str:
    if isinstance(error, _Strict):
        return str(error)
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON at line {error.lineno}, column {error.colno}"
    return "not UTF-8" if isinstance(error, UnicodeError) else "nested too deeply or out of range"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _Strict("a name appears twice in one object")
    return result


def _no_constant(_: str) -> NoReturn:
    raise _Strict("NaN and Infinity are not JSON")


def _safe_integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > _MAX_SAFE_INTEGER:
        raise _Strict("an integer is beyond 2**53 - 1")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _Strict("a number is out of range")
    return value
