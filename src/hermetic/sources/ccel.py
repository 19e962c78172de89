"""The firmware's event log of a confidential machine (ACPI table CCEL), as the kernel shows it.

It is the host's and the firmware's word until it is replayed: :mod:`hermetic.verify` extends registers with it and
compares them with what the quote signs.
"""

from __future__ import annotations

from pathlib import Path

from hermetic.errors import Unavailable
from hermetic.evidence import EventLog

__all__ = ["CCEL", "read_ccel"]

CCEL = Path("/sys/firmware/acpi/tables/data/CCEL")

_LIMIT = 1024 * 1024


def read_ccel(path: Path | None) -> dict[str, bytes]:
    """``{"ccel": log}``, or nothing where the firmware keeps none, or None was passed for ``path``.

    The padding of the area is left out: it says nothing and is most of it, and it would travel with every attestation.
    A log that is there and cannot be read is an error and no absence: without it, what was booted is not known.
    Raises Unavailable for one larger than a mebibyte, Malformed for what is no log, and OSError.
    """
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            area = file.read(_LIMIT + 1)
    except FileNotFoundError:
        return {}
    if len(area) > _LIMIT:
        raise Unavailable(f"the event log is larger than {_LIMIT} bytes ({path})")
    return {"ccel": EventLog.from_ccel(area).to_bytes()} if area else {}
