"""The inside of a launch: what a workload asks first, before it makes a key or opens a file.

    guest = enter()
    config = parse(guest.config, folder=guest.folder)
    Attester(guest.source, keyset=…, launch=guest.launch, devices=guest.devices)

The configuration is never read from a path: what was measured is what is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hermetic.errors import Misconfigured, NotAuthentic
from hermetic.evidence import DeviceSource, EvidenceSource
from hermetic.guest.launch import describe_config
from hermetic.identity import LaunchDocument
from hermetic.sources.platform import detect
from hermetic.sources.simulator.device import inherited_device

__all__ = ["Guest", "enter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """Where this process finds itself: the platform's evidence, its launch document, and its configuration by content.

    ``devices`` are the machine's GPUs and switches, None where it has none.  ``folder`` is where relative paths in the
    configuration start; it is not measured.
    """

    source: EvidenceSource = field(repr=False)
    launch: LaunchDocument
    config: bytes = field(repr=False)
    folder: Path
    devices: DeviceSource | None = field(default=None, repr=False)


def enter() -> Guest:
    """The launch that this process is.  From here on it dies with its platform.

    Raises Misconfigured where nothing attestable launched it: there is no unattested mode to fall back to.  Raises
    NotAuthentic where the launch document does not describe the configuration that came with it.
    """
    device = inherited_device()
    if device is None:
        raise Misconfigured(
            f"this process was not launched by a platform that can attest it ({detect().summary})",
            code="not_launched",
            fix="hermetic simulator run -- hermetic serve --config server.toml",
        )
    given = device.handover()
    launch = given.launch
    described = describe_config(given.config, program_digest=launch.program_digest, argv=launch.argv, name="config")
    if described != launch:
        raise NotAuthentic("the launch document does not describe the configuration that it was handed over with")
    return Guest(source=device, launch=launch, config=given.config, folder=given.folder, devices=device.devices)
