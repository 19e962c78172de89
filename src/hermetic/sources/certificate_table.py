"""The certificate table of a host (GHCB specification 56421, §4.1.8.1, MSG_REPORT_REQ): what it offers with a report.

The host wrote it, so nothing in it is believed; :mod:`hermetic.verify` builds a chain from it or refuses.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

from hermetic.errors import Malformed

__all__ = ["read_certificate_table"]

# The GUIDs that AMD gave to entries, and the names that evidence bundles use.
_NAMES: Mapping[UUID, str] = MappingProxyType(
    {
        UUID("63da758d-e664-4564-adc5-f4b93be8accd"): "leaf",  # VCEK
        UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1"): "leaf",  # VLEK
        UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782"): "intermediate",  # ASK or ASVK
        UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae"): "root",  # ARK
        UUID("92f81bc3-5811-4d3d-97ff-d19f88dc67ea"): "crl",
    }
)
_ENTRY = struct.Struct("<16sII")  # GUID as RFC 4122 writes it, offset and length in bytes from the table's start
_END = bytes(16)


def read_certificate_table(table: bytes) -> dict[str, bytes]:
    """The endorsements in ``table``, by name; entries of other GUIDs are skipped.  An empty table offers none.

    Raises Malformed on a table without an end, on an entry that lies outside it, and on two entries of one name.
    """
    found: dict[str, bytes] = {}
    if not table:
        return found
    for guid, offset, length in _entries(table):
        if offset + length > len(table):
            raise Malformed("certificate table: an entry lies outside the table")
        name = _NAMES.get(UUID(bytes=guid))
        if name is None:
            continue
        if name in found:
            raise Malformed(f"certificate table: two entries are a {name}")
        found[name] = table[offset : offset + length]
    return found


def _entries(table: bytes) -> list[tuple[bytes, int, int]]:
    entries: list[tuple[bytes, int, int]] = []
    for position in range(0, len(table) - _ENTRY.size + 1, _ENTRY.size):
        guid, offset, length = _ENTRY.unpack_from(table, position)
        if guid == _END:
            return entries
        entries.append((guid, offset, length))
    raise Malformed("certificate table: it does not end")
