"""Conceptual message wrappers in JSON (draft-ietf-rats-msg-wrap): records, tunnels and collections of them.

What is wrapped is told by its own content, never by the media type on the wrapper, which nobody signed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from hermetic.errors import Malformed
from hermetic.evidence.parts import Recognised

Inner = Callable[[bytes], Recognised]
"""How to recognise what a wrapper holds."""

_COLLECTION_TYPE = "__cmwc_t"
_TUNNEL = "#cmw-c2j-tunnel"
_DEPTH = 3
"""Collections in each other."""


def is_record(value: object) -> bool:
    """``[type, value]`` or ``[type, value, indicator]``; a tunnel has the same shape."""
    if not isinstance(value, list) or not 2 <= len(value) <= 3:
        return False
    kind, content, *indicator = value
    labelled = isinstance(kind, str) and ("/" in kind or kind == _TUNNEL)
    return labelled and isinstance(content, str) and all(type(each) is int for each in indicator)


def record(value: list[Any], inner: Inner) -> Recognised:
    kind, content = value[0], value[1]
    found = inner(bytes_of(content, what="CMW record"))
    what = "CMW tunnel" if kind == _TUNNEL else "CMW record"
    return Recognised(form=f"{what} (JSON) around {found.form}", parts=found.parts)


def is_collection(value: dict[str, Any], depth: int = _DEPTH) -> bool:
    """An object whose every member is a record or a collection, up to ``depth`` of these in each other."""
    members = [member for label, member in value.items() if label != _COLLECTION_TYPE]
    return bool(members and depth) and all(
        is_record(member) or (isinstance(member, dict) and is_collection(member, depth - 1)) for member in members
    )


def collection(value: dict[str, Any], inner: Inner) -> Recognised:
    found = [
        record(member, inner) if isinstance(member, list) else collection(member, inner)
        for label, member in value.items()
        if label != _COLLECTION_TYPE
    ]
    form = f"CMW collection (JSON) of {', '.join(member.form for member in found)}"
    return Recognised(form=form, parts=tuple(part for member in found for part in member.parts))


def bytes_of(text: object, *, what: str) -> bytes:
    """Base64 of either alphabet, padded or not: other people's files have all four.  Raises Malformed."""
    if not isinstance(text, str):
        raise Malformed(f"{what}: expected base64 text")
    plain = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"{what}: not base64") from error
