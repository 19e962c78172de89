"""The claims in a boot log that the registers agree with.

Its digests are measured; types and data are not.  So secure boot and its keys are read from events whose digest is that
of their whole data, which names the variable, and from before the first *digest* of a separator in RTMR0: until then
only the firmware can have extended it.  RTMR2 has no such mark, so what is read there is the loader's word.

The firmware also measures, before that separator, what the host hands it (tables, blobs), so a host can have the bytes
of any variable measured and call the true one something else.  Secure boot that was off has one of two digests, and
under whatever name one of them stands, it was not on.  Keys have no such mark: they are as good as a pinned RTMR0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any
from uuid import UUID

from hermetic.errors import NotAuthentic
from hermetic.evidence import DstackEvent, TcgAlgorithm, TcgEvent
from hermetic.evidence._tcg_log import EV_EFI_VARIABLE_DRIVER_CONFIG, EV_EVENT_TAG, EV_IPL, EV_NO_ACTION
from hermetic.verify._measured import LoaderEvents

_FIRMWARE, _LOADER = 0, 2  # RTMR0, RTMR2
_SEPARATOR = TcgAlgorithm.SHA384.digest(bytes(4))
_VARIABLE = struct.Struct("<16sQQ")
_GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c").bytes_le
_IMAGE_SECURITY = UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f").bytes_le
_SECURE_BOOT = "SecureBoot"
_OFF = {
    TcgAlgorithm.SHA384.digest(
        _VARIABLE.pack(_GLOBAL, len(_SECURE_BOOT), len(value)) + _SECURE_BOOT.encode("utf-16-le") + value
    )
    for value in (b"", b"\0")
}
_VARIABLES = {
    (_GLOBAL, _SECURE_BOOT),
    (_GLOBAL, "PK"),
    (_GLOBAL, "KEK"),
    (_IMAGE_SECURITY, "db"),
    (_IMAGE_SECURITY, "dbx"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BootEvent:
    """One event of a boot log: RTMR ``register`` (-1: of none), its SHA-384 digest, and what the log says of it."""

    register: int
    type: int
    digest: bytes
    data: bytes = field(repr=False)

    @classmethod
    def from_ccel(cls, event: TcgEvent, digest: bytes) -> BootEvent:
        register = -1 if event.type == EV_NO_ACTION else event.register - 1
        return cls(register=register, type=event.type, digest=digest, data=event.data)

    @classmethod
    def from_dstack(cls, event: DstackEvent) -> BootEvent:
        return cls(register=event.register, type=event.type, digest=event.digest, data=event.payload)

    def covers(self, data: bytes) -> bool:
        """Whether it is ``data`` that was measured."""
        return TcgAlgorithm.SHA384.digest(data) == self.digest


def boot_claims(events: tuple[BootEvent, ...]) -> dict[str, Any]:
    """The members of :class:`MeasuredEvents` that a boot log tells.  It has been replayed.

    Raises NotAuthentic where a variable is measured twice before the separator, or secure boot is neither on nor off,
    or both.
    """
    firmware = _before_separator(event for event in events if event.register == _FIRMWARE)
    variables = _variables(firmware)
    loader = _loader([event for event in events if event.register == _LOADER])
    claims: dict[str, Any] = {"loader": loader} if loader != LoaderEvents() else {}
    if _SECURE_BOOT in variables:
        value = _variable(variables.pop(_SECURE_BOOT).data)[2]
        if value not in (b"", b"\0", b"\1"):
            raise NotAuthentic("the measured variable SecureBoot is neither on nor off")
        claims["secure_boot"] = value == b"\1"
        if claims["secure_boot"] and any(event.digest in _OFF for event in firmware):
            raise NotAuthentic("the variable SecureBoot was measured on, and off under another name")
    keys = MappingProxyType({name: event.digest for name, event in variables.items()})
    return {**claims, "secure_boot_keys": keys}


def _before_separator(firmware: Iterable[BootEvent]) -> tuple[BootEvent, ...]:
    """What the firmware measured; nothing where no separator ends it, because then nobody knows who spoke."""
    said: list[BootEvent] = []
    for event in firmware:
        if event.digest == _SEPARATOR:
            return tuple(said)
        said.append(event)
    return ()


def _variables(firmware: Iterable[BootEvent]) -> dict[str, BootEvent]:
    """Those of secure boot."""
    found: dict[str, BootEvent] = {}
    for event in firmware:
        if event.type != EV_EFI_VARIABLE_DRIVER_CONFIG or not event.covers(event.data):
            continue
        vendor, name, _ = _variable(event.data)
        if (vendor, name) in _VARIABLES:
            if name in found:
                raise NotAuthentic(f"the variable {name} was measured twice before the separator")
            found[name] = event
    return found


def _variable(data: bytes) -> tuple[bytes, str, bytes]:
    """UEFI_VARIABLE_DATA: vendor 16 · name length 8, in characters · data length 8 · name, UTF-16 · data."""
    if len(data) < _VARIABLE.size:
        raise NotAuthentic("a measured variable is cut short")
    vendor, characters, length = _VARIABLE.unpack_from(data)
    name, value = data[_VARIABLE.size :][: 2 * characters], data[_VARIABLE.size + 2 * characters :]
    if len(value) != length or len(name) != 2 * characters:
        raise NotAuthentic("a measured variable has not the length that it states")
    return vendor, name.decode("utf-16-le", errors="replace"), value


def _loader(events: list[BootEvent]) -> LoaderEvents:
    found: dict[str, set[str | bytes]] = {}
    for part, value in (*_systemd_stub(events), *_grub(events), *_linux_stub(events)):
        found.setdefault(part, set()).add(value)
    # Told twice and differently: nothing says which of the two was booted.
    told: dict[str, Any] = {part: next(iter(values)) for part, values in found.items() if len(values) == 1}
    return LoaderEvents(**told)


def _systemd_stub(events: list[BootEvent]) -> Iterator[tuple[str, bytes]]:
    """Each section of a unified kernel image: its name, measured with a final zero, then its content."""
    sections = {".linux": "kernel", ".initrd": "initrd", ".cmdline": "command_line_digest"}
    for name, content in pairwise(events):
        for section, part in sections.items():
            if name.type == EV_IPL and name.covers(section.encode() + b"\0"):
                yield part, content.digest


def _grub(events: list[BootEvent]) -> Iterator[tuple[str, str | bytes]]:
    """The command line, after its label and without the final zero; before it, the file of the kernel that it names."""
    label = b"kernel_cmdline: "
    for before, event in zip((None, *events), events, strict=False):
        line = event.data[len(label) : -1]
        if event.type == EV_IPL and event.data == label + line + b"\0" and event.covers(line):
            yield "command_line", line.decode(errors="replace")
            yield "command_line_digest", event.digest
            if before is not None and before.data == line.partition(b" ")[0] + b"\0":
                yield "kernel", before.digest


def _linux_stub(events: list[BootEvent]) -> Iterator[tuple[str, bytes]]:
    """Linux's EFI stub: tagged events (tag 4 · length 4 · text) of the load options and the initrd."""
    tags = {0x8F3B22ED: "command_line_digest", 0x8F3B22EC: "initrd"}
    for event in events:
        tag = int.from_bytes(event.data[:4], "little")
        if event.type == EV_EVENT_TAG and tag in tags:
            yield tags[tag], event.digest
