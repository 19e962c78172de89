"""A claim: one thing that verified evidence says, by name, with who says it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Value = str | int | bool | tuple[str, ...]
"""What JSON can hold as it is.  Bytes are lowercase hex; several flags or identifiers are a tuple."""


class Source(StrEnum):
    """Whose word a claim is.  All of them are authentic; they are not equally near to the hardware."""

    EVIDENCE = "evidence"
    """What the attested thing says, signed by the key that the vendor certified."""
    CERTIFICATE = "certificate"
    """What the vendor certified of the chip, the platform or the key."""
    COLLATERAL = "collateral"
    """What the vendor says today of this line of platforms: statuses and advisories."""
    EVENT_LOG = "event log"
    """What a log says that the signed registers agree with: the word of the measured software."""
    MANIFEST = "manifest"
    """What the vendor published as reference values, compared with what was measured."""
    POLICY = "policy"
    """What the relying party's own policy says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """``name`` is that of EAT (RFC 9711) where there is one (``oemid``, ``hwmodel``, ``dbgstat``, ``ueid``,
    ``measres``, ``secboot``), and otherwise the specification's own, under a prefix for the TEE ("tdx.mrtd").
    """

    name: str
    value: Value
    source: Source
