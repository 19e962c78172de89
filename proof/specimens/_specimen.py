"""What a specimen is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

Parts = Mapping[str, bytes]

ASKED = "asked"
"""The part that is the caller's own question: report data or nonce.  Without it the comparison is not performed."""
AT = "at"
"""The part that is the caller's time, in ISO 8601."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Specimen:
    """Genuine evidence of one device or platform, with everything that is needed to verify it.

    ``judge`` raises a HermeticError, or returns what the evidence *means*: everything that a relying party could learn
    from it, and nothing of how it was spelled.  ``evidence`` names the part that the device itself signed.
    """

    name: str
    tee: str
    recorded: bool
    evidence: str
    parts: Parts = field(repr=False)
    judge: Callable[[Parts], object] = field(repr=False)

    def changed(self, **parts: bytes | None) -> Parts:
        """The parts with some replaced, or left out where the value is None."""
        changed = {**self.parts, **{name.replace("__", "-"): value for name, value in parts.items()}}
        return {name: value for name, value in changed.items() if value is not None}

    def with_part(self, part: str, value: bytes | None) -> Parts:
        """The parts with one replaced.

        Whoever changes the evidence is not asked for the question too: report data that differs would be noticed by
        comparison alone, and the signature has to notice it by itself.
        """
        changed = {name: data for name, data in self.parts.items() if name != ASKED or part in (ASKED, AT)}
        if value is None:
            changed.pop(part)
        else:
            changed[part] = value
        return changed


def timed(at: datetime) -> bytes:
    """The part ``AT`` for a time."""
    return at.isoformat().encode()


def kind_of(part: str) -> str:
    """``rim NV_GPU_…`` → ``rim``, ``certificate 3`` → ``certificate``: parts of one kind, for counting."""
    return re.split(r"[ ]", part)[0]
