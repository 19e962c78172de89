"""What event logs say, once the signed registers agree with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderEvents:
    """What a boot loader says it booted (RTMR2): a command line, and SHA-384 of command line, kernel and initrd.

    The digests are measured; that one of them is the kernel's is for the loader to say, and anything that runs later
    may extend the same register.  It is worth what RTMR1 is worth, which names the loader: pin both, or neither.
    A part that the log does not tell, or tells twice and differently, is None.
    """

    command_line: str | None = None
    command_line_digest: bytes | None = None
    kernel: bytes | None = None
    initrd: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredEvents:
    """Events of a trust domain whose digests the quote's registers prove, each from before its boundary.

    dstack's, of RTMR3 before ``system-ready``: after it the application can say what it likes.  ``app_id`` (20 bytes),
    ``compose_hash`` (32), ``instance_id`` (20), ``key_provider`` (JSON, as dstack writes it), ``os_image_hash`` (32, as
    dstack's key server told it) and ``launch_digest`` (32, of our own event ``hermetic-launch-digest``).

    The firmware's, of RTMR0 before its first separator: ``secure_boot``, and ``secure_boot_keys``: SHA-384 of the
    variables PK, KEK, db and dbx as measured.

    None, or no key, is "the log does not say".  All of it is the word of the firmware and system that MRTD, RTMR1 and
    RTMR2 name: it means nothing to whoever does not pin those.
    """

    app_id: bytes | None = None
    compose_hash: bytes | None = None
    instance_id: bytes | None = None
    key_provider: bytes | None = None
    os_image_hash: bytes | None = None
    launch_digest: bytes | None = None
    secure_boot: bool | None = None
    secure_boot_keys: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    loader: LoaderEvents | None = None
