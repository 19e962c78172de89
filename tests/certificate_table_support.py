"""The certificate table that a host hands to an SEV-SNP guest, as a host lays it out."""

from __future__ import annotations

from uuid import UUID

__all__ = ["GUIDS", "certificate_table"]

GUIDS = {
    "leaf": "63da758d-e664-4564-adc5-f4b93be8accd",
    "vlek": "a8074bc2-a25a-483e-aae6-39c045a0b8a1",
    "intermediate": "4ab7b379-bbac-4fe4-a02f-05aef327c782",
    "root": "c0b406a4-a803-4952-9743-3fb6014cd0ae",
    "crl": "92f81bc3-5811-4d3d-97ff-d19f88dc67ea",
}


def certificate_table(*entries: tuple[str, bytes]) -> bytes:
    """The table of (GUID, content): headers, an empty one to end them, then the contents one after another."""
    offset, header, content = 24 * (len(entries) + 1), b"", b""
    for guid, data in entries:
        header += UUID(guid).bytes + (offset + len(content)).to_bytes(4, "little") + len(data).to_bytes(4, "little")
        content += data
    return header + bytes(24) + content
