"""Length-framed transcripts: an injective encoding of several byte strings, for labels, HPKE info and AAD."""

from __future__ import annotations


def transcript(label: str, *parts: bytes) -> bytes:
    """``label`` and ``parts``, each preceded by its length as u64be.

    Framing makes it injective: no other label and parts give the same bytes, and no field slides into its neighbour.
    """
    encoded = label.encode("utf-8")
    return b"".join(len(part).to_bytes(8, "big") + part for part in (encoded, *parts))
