"""The simulated NVIDIA's formats with keys of tests' own: a knob for each thing that can be wrong.

It signs what it is told to.  The verifier is the one that judges hardware; only the pinned roots differ.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from hermetic.evidence.nvidia import DeviceBundle, Measurement, NvidiaReport, OpaqueData, OpaqueField, OpaqueType
from hermetic.sources.simulator import nvidia_pki, nvidia_rim, nvidia_status
from hermetic.sources.simulator.ec import EcKeys, raw_signature
from hermetic.sources.simulator.nvidia_pki import Issued as Entry
from hermetic.sources.simulator.nvidia_pki import NvidiaCertificate
from hermetic.sources.simulator.nvidia_rim import C14N, DS, signature_of
from hermetic.verify.nvidia import NvidiaRoots, simulated_nvidia_roots
from hermetic.wire import sha256_digest

NOW = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
DAY, YEAR = timedelta(days=1), timedelta(days=365)
NONCE = bytes(range(32))
FWID = b"f" * 48
KEYS = EcKeys(vendor="tests", seed=b"a seed that is fixed in tests...."[:32])
DEVICE = (
    "GH100 A01 GSP FMC LF",
    "GH100 A01 GSP BROM",
    "NVIDIA GH100 Provisioner ICA 1",
    "NVIDIA GH100 Identity",
    "Test Device Identity CA",
)
SIGNER = ("Test RIM L4 Signer", "Test L3", "Test L2", "Test CoRIM Root")

__all__ = [
    "C14N",
    "DEVICE",
    "DRIVER",
    "DS",
    "FIRMWARE",
    "FWID",
    "NONCE",
    "NOW",
    "RIM_NAMES",
    "YEAR",
    "Entry",
    "Rim",
    "Template",
    "all_good",
    "answer",
    "bundle",
    "certify",
    "chain",
    "device_chain",
    "device_templates",
    "fwid_extension",
    "gpu_fields",
    "measured",
    "report",
    "responder",
    "revocation_list",
    "roots",
    "sign",
    "sign_rim",
    "signature_of",
    "signer_chain",
    "signer_templates",
]


# Certificates


@dataclass(frozen=True, slots=True, kw_only=True)
class Template(NvidiaCertificate):
    """What a certificate should say; the defaults are right at NOW."""

    first: datetime = NOW - YEAR
    last: datetime = NOW + YEAR


def certify(template: NvidiaCertificate, issuer: Entry | None = None, serial: int = 0x1234) -> Entry:
    """A certificate by ``issuer``, or by itself, with the key of its name."""
    return replace(template, serial=serial).issue(KEYS, issuer)


def fwid_extension(fwid: bytes = FWID, oid: str = nvidia_pki.COMPOSITE) -> tuple[str, bytes]:
    """The firmware's identity as Hopper writes it, or Blackwell."""
    return nvidia_pki.fwid_extension(fwid, oid)


def device_templates(names: Sequence[str] = DEVICE) -> tuple[Template, ...]:
    """Leaf first, root last."""
    leaf = Template(name=names[0], ca=None, usage=("digital_signature",), extensions=(fwid_extension(),))
    return (leaf, *(Template(name=name) for name in names[1:]))


def signer_templates() -> tuple[Template, ...]:
    leaf = Template(name=SIGNER[0], ca=False, usage=("digital_signature",))
    return (leaf, Template(name=SIGNER[1], path_length=0), Template(name=SIGNER[2]), Template(name=SIGNER[3]))


def chain(templates: Sequence[Template]) -> tuple[Entry, ...]:
    """The certificates of ``templates``, each issued by the one after it, leaf first."""
    numbered = [replace(template, serial=100 + at) for at, template in enumerate(reversed(templates))]
    return nvidia_pki.issue_chain(numbered[::-1], KEYS)


@cache
def device_chain() -> tuple[Entry, ...]:
    return chain(device_templates())


@cache
def signer_chain() -> tuple[Entry, ...]:
    return chain(signer_templates())


def roots(device: Entry | None = None, manifest: Entry | None = None) -> NvidiaRoots:
    pinned = (device or device_chain()[-1], manifest or signer_chain()[-1])
    return simulated_nvidia_roots(*(sha256_digest(entry.der) for entry in pinned))


# Reports


def gpu_fields(**changes: bytes | None) -> OpaqueData:
    """The fields of a GPU that is well; None leaves one out."""
    usual: dict[str, bytes | None] = {
        "FIRMWARE_VERSION": bytes.fromhex("005e009601000000"),
        "CHIP_SKU": b"882\0",
        "PROJECT": b"1010\0",
        "PROJECT_SKU": b"0200\0",
        "DRIVER_VERSION": b"550.144.03\0",
        "NVDEC0_STATUS": b"\xaa",
        "FWID": FWID,
        "FEATURE_FLAG": b"\0\0",
    }
    values = usual | changes
    return OpaqueData(
        fields=tuple(
            OpaqueField(type=OpaqueType[name], value=value) for name, value in values.items() if value is not None
        )
    )


def measured(index: int) -> bytes:
    """What the test device measures at ``index``, counted from 0 as manifests do."""
    return hashlib.sha384(b"measured" + bytes((index,))).digest()


def sign(report: NvidiaReport, leaf: Entry) -> bytes:
    return report.signed_bytes() + raw_signature(leaf.key, report.signed_bytes(), "sha384")


def report(opaque: OpaqueData | None = None, blocks: int = 64) -> NvidiaReport:
    return NvidiaReport(
        nonce=NONCE,
        slot=0,
        measurements=tuple(Measurement(index=n + 1, type=1, value=measured(n)) for n in range(blocks)),
        responder_nonce=os.urandom(32),  # no two answers are the same, as of real devices
        opaque=opaque or gpu_fields(),
        signature=bytes(96),
    )


# Manifests


@dataclass(frozen=True, slots=True, kw_only=True)
class Rim(nvidia_rim.Rim):
    """What a manifest should say; the defaults are those of the driver."""

    product: str = "GH100"
    version: str = "550.144.03"
    golden: dict[int, tuple[bytes, ...]] = field(default_factory=dict)


DRIVER = Rim(golden={n: (measured(n),) for n in (7, 21, 35)})
FIRMWARE = Rim(version="96.00.5E.00.01", golden={n: (bytes(48), measured(n)) for n in (1, 2, 9)})


def sign_rim(rim: Rim | str, signer: tuple[Entry, ...] | None = None) -> bytes:
    content = rim if isinstance(rim, str) else rim.content()
    return nvidia_rim.sign_manifest(content, signer or signer_chain())


# Answers about revocation


def answer(subject: Entry, issuer: Entry, **changes: Any) -> bytes:
    """What ``issuer`` says about ``subject`` at NOW: it is good."""
    return nvidia_status.answer(subject, issuer, **({"first": NOW - DAY, "last": NOW + DAY} | changes))


def responder(issuer: Entry, **changes: Any) -> Entry:
    """A delegate that ``issuer`` named for answering."""
    template = nvidia_status.responder_template(issuer, first=NOW - YEAR, last=NOW + YEAR)
    return replace(template, **changes).issue(KEYS, issuer)


def revocation_list(issuer: Entry, *revoked: Entry, **changes: Any) -> bytes:
    """What ``issuer`` revoked, as of NOW."""
    return nvidia_pki.revocation_list(issuer, *revoked, **({"first": NOW - DAY, "last": NOW + DAY} | changes))


def good_answers(entries: Sequence[Entry], subjects: range) -> tuple[bytes, ...]:
    return tuple(answer(entries[at], entries[at + 1]) for at in subjects)


@cache
def all_good() -> tuple[bytes, ...]:
    """About everybody in both chains."""
    return good_answers(device_chain(), range(1, 4)) + good_answers(signer_chain(), range(3))


RIM_NAMES = ("NV_GPU_DRIVER_GH100_550.144.03", "NV_GPU_VBIOS_1010_0200_882_96005E0001")


def bundle(
    made: NvidiaReport | None = None,
    device: tuple[Entry, ...] | None = None,
    driver: Rim = DRIVER,
    firmware: Rim = FIRMWARE,
    names: tuple[str, str] = RIM_NAMES,
    **changes: Any,
) -> DeviceBundle:
    """Evidence of a GPU that is well in every respect but those that are given."""
    entries = device or device_chain()
    whole = DeviceBundle(
        evidence=sign(made or report(), entries[0]),
        certificates=tuple(entry.der for entry in entries),
        rims={names[0]: sign_rim(driver), names[1]: sign_rim(firmware)},
        ocsp=all_good(),
    )
    return replace(whole, **changes)
