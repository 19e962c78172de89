"""The claims in a dstack log that the registers agree with: from before ``system-ready``, each at most once.

dstack measures, in this order: system-preparing, app-id, compose-hash, instance-id, boot-mr-done, (mr-kms,
os-image-hash,) key-provider, (storage-fs,) system-ready; then containers start, and may extend RTMR3 themselves.
"""

from __future__ import annotations

import hmac

from hermetic.errors import NotAuthentic
from hermetic.evidence import DstackEvent, DstackLog
from hermetic.evidence._dstack_log import RUNTIME_EVENT, RUNTIME_REGISTER, runtime_digest

BOUNDARY = "system-ready"
LAUNCH_DIGEST = "hermetic-launch-digest"

# Event → claim, and the lengths that its payload may have; None where it is text.
_CLAIMS: dict[str, tuple[str, tuple[int, ...] | None]] = {
    "app-id": ("app_id", (20,)),
    "compose-hash": ("compose_hash", (32,)),
    "instance-id": ("instance_id", (0, 20)),  # empty: the application asked for none
    "key-provider": ("key_provider", None),
    "os-image-hash": ("os_image_hash", (32,)),
    LAUNCH_DIGEST: ("launch_digest", (32,)),
}


def dstack_claims(log: DstackLog) -> dict[str, bytes]:
    """Claim → payload.  The log has been replayed: its digests are those of RTMR3, in their order.

    Raises NotAuthentic where a digest of RTMR3 does not cover name and payload, and where a claim comes twice before
    the boundary or with a length that it cannot have.  Without a boundary there are no claims: nobody knows who spoke.
    """
    events = [event for event in log.events if event.register == RUNTIME_REGISTER]
    for event in events:
        _require_covered(event)
    names = [event.name for event in events]
    claims: dict[str, bytes] = {}
    for event in events[: names.index(BOUNDARY)] if BOUNDARY in names else ():
        name, lengths = _CLAIMS.get(event.name, (None, None))
        if name is None:
            continue
        if name in claims:
            raise NotAuthentic(f"dstack: {event.name} was measured twice before {BOUNDARY}")
        if lengths is not None and len(event.payload) not in lengths:
            raise NotAuthentic(f"dstack: {event.name} is {len(event.payload)} bytes long")
        claims[name] = event.payload
    return {name: payload for name, payload in claims.items() if payload}


def _require_covered(event: DstackEvent) -> None:
    if event.type != RUNTIME_EVENT:
        raise NotAuthentic(f"dstack: an event of type 0x{event.type:x} in RTMR3, where only dstack's own belong")
    if not hmac.compare_digest(event.digest, runtime_digest(event.name, event.payload)):
        raise NotAuthentic(f"dstack: the digest of {_shown(event.name)} is not that of its payload")


def _shown(name: str) -> str:
    """A stranger's text, short and printable, for a message."""
    return ascii(name[:40])
