"""Where a platform was told what to launch: the one place for each TEE that its evidence signs.

    SEV-SNP   HOST_DATA, 32 bytes: the digest
    TDX       the measured event ``hermetic-launch-digest`` where the guest's image extended one (RTMR3), else
              MRCONFIGID, 48 bytes: the digest and 16 zeros
    SGX       CONFIGID, 64 bytes: the digest and 32 zeros

The host chooses HOST_DATA, MRCONFIGID and CONFIGID.  They mean something only under a pinned image (or enclave) that
compares them with the launch document before it executes anything (ADR 2).  An event before the boundary was measured
by the image itself.  Which of the two a TDX image does is not in the evidence, and whoever shows evidence can leave
the log out: so the place is a claim, and a policy pins it together with the image.
"""

from __future__ import annotations

import enum

from hermetic.evidence import SEV_SNP, SGX, TDX
from hermetic.verify import IntelClaims, PlatformClaims

__all__ = ["LaunchPlace", "find_launch_digest"]


class LaunchPlace(enum.StrEnum):
    """Where the launch digest stands in evidence."""

    HOST_DATA = "host-data"
    MRCONFIGID = "mrconfigid"
    EVENT = "event"
    CONFIGID = "configid"

    @property
    def length(self) -> int:
        """Bytes that the platform signs there: the digest's 32, then zeros."""
        return {LaunchPlace.MRCONFIGID: 48, LaunchPlace.CONFIGID: 64}.get(self, 32)


_OF_TEE = {SEV_SNP: LaunchPlace.HOST_DATA, TDX: LaunchPlace.MRCONFIGID, SGX: LaunchPlace.CONFIGID}


def find_launch_digest(platform: PlatformClaims) -> tuple[LaunchPlace, bytes]:
    """The place, and what the platform signed there."""
    if isinstance(platform, IntelClaims) and platform.events is not None and platform.events.launch_digest is not None:
        return LaunchPlace.EVENT, platform.events.launch_digest
    return _OF_TEE[platform.tee], platform.host_data
