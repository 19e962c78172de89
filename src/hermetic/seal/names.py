"""Names of files in a bundle: plain, relative, and the same file on every system.

A name comes from whoever made the bundle and ends up as a path on the machine that opens it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from hermetic.errors import Malformed

MAX_NAME = 512
"""Bytes of UTF-8 in a whole name."""

_MAX_PART = 200
_MAX_DEPTH = 16
_FORBIDDEN = re.compile(r'[\\:*?"<>|]')
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³")})


def check_name(name: str) -> str:
    """``name`` if it is a plain relative path with ``/`` between its parts.  Raises Malformed.

    Refuses absolute paths, ``.`` and ``..``, empty parts, drive letters and streams, device names, control characters,
    leading or trailing spaces, trailing dots, and what is not in Unicode's normal form C.
    """
    if len(name.encode("utf-8", "replace")) > MAX_NAME:
        raise Malformed(f"file name: longer than {MAX_NAME} bytes")
    if unicodedata.normalize("NFC", name) != name or not name.isprintable() or _FORBIDDEN.search(name):
        raise Malformed(f"file name {name!r}: holds a character that not every system can store")
    parts = name.split("/")
    if len(parts) > _MAX_DEPTH:
        raise Malformed(f"file name {name!r}: more than {_MAX_DEPTH} folders deep")
    for part in parts:
        _check_part(part, name)
    return name


def check_names(names: Iterable[str]) -> None:
    """Checks that ``names``, each of them checked already, can stand in one folder on every system.

    Raises Malformed when two differ only in case, or one is a folder of another.
    """
    taken: set[str] = set()
    folders: set[str] = set()
    for name in names:
        key = unicodedata.normalize("NFC", name.casefold())
        if key in taken:
            raise Malformed(f"file name {name!r}: two names differ in nothing but case")
        taken.add(key)
        parts = key.split("/")
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    if both := taken & folders:
        raise Malformed(f"file name {min(both)!r}: is a file and a folder")


def _check_part(part: str, name: str) -> None:
    if part in ("", ".", ".."):
        raise Malformed(f"file name {name!r}: not a plain relative path")
    if part != part.strip(" ") or part.endswith("."):
        raise Malformed(f"file name {name!r}: a part begins or ends with a space, or ends with a dot")
    if part.partition(".")[0].strip(" ").casefold() in _DEVICES:
        raise Malformed(f"file name {name!r}: a part is the name of a device")
    if len(part.encode("utf-8", "replace")) > _MAX_PART:
        raise Malformed(f"file name {name!r}: a part is longer than {_MAX_PART} bytes")
