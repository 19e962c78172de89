"""Evidence of a device and what its vendor says about it, travelling together.  A device is not a platform.

A platform (SEV-SNP, TDX) vouches for itself and for the workload in it; a device vouches for itself alone.  So it has
a bundle of its own kind, and what verifies it makes claims of its own kind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hermetic.errors import Malformed
from hermetic.evidence._nvidia_report import MAX_REPORT
from hermetic.evidence.pem import MAX_CERTIFICATE, certificates_from_pem
from hermetic.wire import b64decode, b64encode, unhex

NVIDIA = "nvidia"

MAX_CERTIFICATES = 8
MAX_RIM, MAX_RIMS = 262144, 4
MAX_STATUS, MAX_STATUSES = 65536, 16

_RIM_NAME = re.compile(r"NV_[A-Za-z0-9_.]{1,120}")
_MEMBERS = {"device", "evidence", "certificates", "rims", "ocsp", "crls"}
_ARCHITECTURES = ("HOPPER", "BLACKWELL", "LS10")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceBundle:
    """Raw evidence of one GPU or NVSwitch with its endorsements.  Nothing in it is believed yet.

    ``evidence`` is the report, ``certificates`` the device's chain in DER, its own first and the root last.  ``rims``
    are reference integrity manifests by NVIDIA's names for them ("NV_GPU_DRIVER_GH100_550.144.03"); ``ocsp`` and
    ``crls`` say what was revoked, in DER, in any order.  Raises Malformed for an unknown kind of device, an impossible
    name, or anything longer than its kind can be.
    """

    device: str = NVIDIA
    evidence: bytes = field(repr=False)
    certificates: tuple[bytes, ...] = field(repr=False)
    rims: Mapping[str, bytes] = field(repr=False, default_factory=dict)
    ocsp: tuple[bytes, ...] = field(repr=False, default=())
    crls: tuple[bytes, ...] = field(repr=False, default=())

    def __post_init__(self) -> None:
        if self.device != NVIDIA:
            raise Malformed(f"device evidence: this version knows {NVIDIA} only")
        if not all(_RIM_NAME.fullmatch(name) for name in self.rims):
            raise Malformed("device evidence: a manifest's name is not one of NVIDIA's")
        _bounded("a report", (self.evidence,), MAX_REPORT, 1)
        _bounded("certificates", self.certificates, MAX_CERTIFICATE, MAX_CERTIFICATES)
        _bounded("manifests", tuple(self.rims.values()), MAX_RIM, MAX_RIMS)
        _bounded("OCSP responses", self.ocsp, MAX_STATUS, MAX_STATUSES)
        _bounded("revocation lists", self.crls, MAX_STATUS, MAX_STATUSES)
        object.__setattr__(self, "rims", MappingProxyType(dict(self.rims)))

    def to_json(self) -> dict[str, object]:
        """``{"device", "evidence", "certificates", "rims": {name: …}, "ocsp", "crls"}``, bytes in base64."""
        return {
            "device": self.device,
            "evidence": b64encode(self.evidence),
            "certificates": [b64encode(der) for der in self.certificates],
            "rims": {name: b64encode(document) for name, document in sorted(self.rims.items())},
            "ocsp": [b64encode(der) for der in self.ocsp],
            "crls": [b64encode(der) for der in self.crls],
        }

    @classmethod
    def from_json(cls, value: object) -> DeviceBundle:
        """The inverse of :meth:`to_json`, from parsed JSON.  Raises Malformed on an unknown or a missing member."""
        if not isinstance(value, dict) or value.keys() != _MEMBERS:
            raise Malformed(
                f"device evidence: expected an object with exactly the members {', '.join(sorted(_MEMBERS))}"
            )
        rims = value["rims"]
        if not isinstance(rims, dict):
            raise Malformed("device evidence: expected an object of manifests")
        return cls(
            device=value["device"],
            evidence=b64decode(value["evidence"], what="evidence"),
            certificates=_list(value["certificates"], "certificates"),
            rims={name: b64decode(text, what="manifest") for name, text in rims.items()},
            ocsp=_list(value["ocsp"], "ocsp"),
            crls=_list(value["crls"], "crls"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedEvidence:
    """One entry of NVIDIA's own evidence file: a bundle, and the nonce that whoever wrote the file says was asked.

    The statement is for looking at recorded evidence; a verifier compares the report with its own nonce.
    """

    bundle: DeviceBundle
    nonce: bytes


def nvat_evidence(value: object) -> tuple[StatedEvidence, ...]:
    """The entries of a file that NVIDIA's attestation tools wrote (NVAT JSON), from parsed JSON.

    Each has ``arch``, ``nonce`` (hex), ``evidence`` and ``certificate`` (base64, of the report and of a PEM chain);
    newer tools add ``version`` and what the host says of driver and VBIOS.  That is
    ignored: the report says it, signed.  Raises Malformed.
    """
    if not isinstance(value, list) or not 1 <= len(value) <= 64:
        raise Malformed("NVAT evidence: expected a list of 1 to 64 entries")
    return tuple(_nvat_entry(entry) for entry in value)


def _nvat_entry(entry: object) -> StatedEvidence:
    if not isinstance(entry, dict) or entry.get("arch") not in _ARCHITECTURES:
        raise Malformed(f"NVAT evidence: expected an entry of architecture {', '.join(_ARCHITECTURES)}")
    bundle = DeviceBundle(
        evidence=b64decode(entry.get("evidence"), what="NVAT evidence"),
        certificates=certificates_from_pem(b64decode(entry.get("certificate"), what="NVAT certificate")),
    )
    return StatedEvidence(bundle=bundle, nonce=unhex(entry.get("nonce"), what="NVAT nonce", length=32))


def _list(value: object, what: str) -> tuple[bytes, ...]:
    if not isinstance(value, list):
        raise Malformed(f"device evidence: expected a list of {what}")
    return tuple(b64decode(text, what=what) for text in value)


def _bounded(what: str, values: tuple[bytes, ...], size: int, count: int) -> None:
    if len(values) > count or any(len(value) > size for value in values):
        raise Malformed(f"device evidence: at most {count} {what} of {size} bytes each")
