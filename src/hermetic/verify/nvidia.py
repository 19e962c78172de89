"""Is this report of an NVIDIA device authentic, and does it run what NVIDIA published?  It ends at the first failure.

    NVIDIA 1   one signed answer to one question, exact to the byte, and the question was ours (DMTF DSP0274)
    NVIDIA 2   five certificates to the pinned Device Identity CA: uses, depths, ECDSA P-384; valid now; one model
    NVIDIA 3   the firmware that holds the key is the one that the report names (TCG DICE)
    NVIDIA 4   boot ROM, provisioner and identity were not revoked (RFC 6960; RFC 5280, 5)
    NVIDIA 5   the leaf's key signed everything but the last 96 bytes: ECDSA P-384, SHA-384
    NVIDIA 6   the manifests that the signed report names came along
    NVIDIA 7   each is NVIDIA's and for this very product and version (hermetic.verify.rim)
    NVIDIA 8   every active reference value is what the device measured, and none is claimed twice

What is *wanted* of an authentic device (versions, mode, how many) is a policy's to say.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from hermetic.errors import Misconfigured, NotAuthentic
from hermetic.evidence.nvidia import DeviceBundle, NvidiaReport
from hermetic.evidence.x509 import Certificate, load_certificate
from hermetic.verify._algorithms import ECDSA_P384
from hermetic.verify._checks import Checklist
from hermetic.verify._nvidia_claims import DeviceClaims
from hermetic.verify._nvidia_dice import leaf_fwid
from hermetic.verify._nvidia_golden import check_golden, check_no_conflict
from hermetic.verify._nvidia_machine import check_machine
from hermetic.verify._nvidia_model import Architecture, Model, RimNames, model_of, require_report_of, rim_names
from hermetic.verify._nvidia_revocation import Revocation, check_revocation
from hermetic.verify.chain import NVIDIA, require_chain, require_pinned, require_valid
from hermetic.verify.rim import RimClaims, verify_rim
from hermetic.verify.roots import NVIDIA_ROOTS, NvidiaRoots, Root, names_of, simulated_nvidia_roots

__all__ = [
    "NVIDIA_ROOTS",
    "Architecture",
    "DeviceClaims",
    "Model",
    "NvidiaRoots",
    "RimNames",
    "check_machine",
    "model_of",
    "rim_names",
    "simulated_nvidia_roots",
    "verify_device",
]

_CHAIN = ("leaf", "boot ROM", "provisioner", "identity", "root")
_REVOCABLE = {1: "brom", 2: "provisioner", 3: "identity"}
_SIGNATURE = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the caller asked for, passed on unchanged."""

    roots: NvidiaRoots
    now: datetime
    revocation: Revocation
    revocation_required: bool
    rims_required: bool


def verify_device(
    bundle: DeviceBundle,
    *,
    roots: NvidiaRoots,
    now: datetime,
    nonce: bytes | None,
    ocsp_nonce: bytes | None = None,
    revocation_required: bool = True,
    rims_required: bool = True,
) -> DeviceClaims:
    """Proves that NVIDIA stands behind ``bundle`` at ``now`` (aware, UTC), and that it answers ``nonce`` (32 bytes).

    ``nonce`` None records the comparison as not performed, for looking at evidence without judging it.  ``ocsp_nonce``
    is the one that OCSP answers must repeat, for a caller that asked anew; without it their own times bound their age.
    ``revocation_required=False`` and ``rims_required=False`` are for recorded evidence that was kept without answers or
    without manifests: what is missing is then recorded as not performed; what came along is judged all the same.

    Raises Malformed where bytes are not what they claim to be, NotAuthentic at the first check that fails (its
    ``checks`` tell how far it came), and Misconfigured for a time or nonce that cannot be meant, or without lxml.
    """
    if now.utcoffset() != timedelta(0):
        raise Misconfigured("now must be an aware datetime in UTC")
    if nonce is not None and len(nonce) != 32:
        raise Misconfigured(f"a device's nonce is 32 bytes, not {len(nonce)}")
    checks = Checklist()
    # 1. It is a report, and it comes with certificates.
    with checks.step(
        "nvidia.format",
        "The bytes are one signed report with its certificates",
        section="NVIDIA 1: DMTF DSP0274, 10.11",
        expected="an SPDM 1.1 measurement report, exact to the byte, and five certificates",
    ):
        report = NvidiaReport.from_bytes(bundle.evidence)
        chain = _load_chain(bundle.certificates)
        revocation = Revocation.load(bundle.ocsp, bundle.crls, nonce=ocsp_nonce)
    asked = _Asked(
        roots=roots,
        now=now,
        revocation=revocation,
        revocation_required=revocation_required,
        rims_required=rims_required,
    )
    _check_nonce(checks, report, nonce)  # 1
    root, model = _check_chain(checks, chain, report, asked)  # 2
    _check_fwid(checks, report, chain[0])  # 3
    check_revocation(  # 4
        checks,
        revocation,
        chain,
        _REVOCABLE,
        now,
        required=revocation_required,
        name="nvidia.revocation",
        section="NVIDIA 4: RFC 6960; RFC 5280, 5",
    )
    _check_signature(checks, report, chain[0], bundle.evidence)  # 5
    names = rim_names(model, report)
    driver, firmware = _verify_manifests(checks, bundle, report, model, names, asked)  # 6 and 7
    _check_measurements(checks, report, model, driver, firmware)  # 8
    manifests = tuple(made for made in (driver, firmware) if made is not None)
    own_dates = tuple(certificate.not_before for certificate in chain)
    return DeviceClaims(
        device=bundle.device,
        root=root,
        manifest_roots=tuple(made.root for made in manifests),
        model=model,
        ueid=str(chain[0].serial_number),
        report=report,
        rim_names=names,
        dates=(*own_dates, *(date for made in manifests for date in made.dates)),
        checks=checks.made,
    )


def _load_chain(certificates: tuple[bytes, ...]) -> tuple[Certificate, ...]:
    if len(certificates) != len(_CHAIN):
        raise NotAuthentic(f"{len(certificates)} certificates", fix="ask the device for its whole chain")
    return tuple(load_certificate(der, f"{what} certificate") for der, what in zip(certificates, _CHAIN, strict=True))


def _check_nonce(checks: Checklist, report: NvidiaReport, nonce: bytes | None) -> None:
    # 1. Freshness first: nothing else in an answer to somebody else's question is worth looking at.
    name, title, section = "nvidia.nonce", "The report answers our question", "NVIDIA 1: DMTF DSP0274, 10.11"
    if nonce is None:
        checks.not_performed(
            name,
            title,
            section=section,
            expected="a nonce of the caller's own",
            got=report.nonce.hex(),
            fix="compare with your own nonce",
        )
        return
    with checks.step(name, title, section=section, expected=nonce.hex()):
        if not hmac.compare_digest(report.nonce, nonce):
            raise NotAuthentic(report.nonce.hex(), fix="it answers another question: ask for a report over a new nonce")


def _check_chain(
    checks: Checklist, chain: tuple[Certificate, ...], report: NvidiaReport, asked: _Asked
) -> tuple[Root, Model]:
    # 2. The leaf leads to a root that the caller pinned.  The root that came along only says which one that could be.
    section = "NVIDIA 2: RFC 5280, 6.1"
    last = chain[-1]
    with checks.step(
        "nvidia.chain.root",
        "The chain ends at a root that we pinned",
        section=section,
        expected=names_of(asked.roots.device),
        got=f"{last.common_name} {last.digest[:19]}…",
    ):
        root = require_pinned(last, asked.roots.device)
    with checks.step(
        "nvidia.chain",
        "Each authority on the way was entitled to name the next, and did",
        section=section,
        expected="authorities of sufficient depth, ECDSA P-384 with SHA-384",
        got=" ← ".join(certificate.common_name for certificate in chain),
    ):
        require_chain(chain, NVIDIA)
    with checks.step(
        "nvidia.validity",
        "Every certificate is valid at this time",
        section=section,
        expected=f"valid at {asked.now:%Y-%m-%d %H:%M} UTC",
        fix="check the clock",
    ):
        require_valid(asked.now, *chain)
    with checks.step(
        "nvidia.model",
        "The report is one of the model that the certificates name",
        section="NVIDIA 2: NVIDIA local verifier",
        expected="a known model, and a report with its fields",
        got=chain[1].common_name,
    ):
        model = model_of(chain)
        require_report_of(model, report)
    return root, model


def _check_fwid(checks: Checklist, report: NvidiaReport, leaf: Certificate) -> None:
    # 3. The boot ROM certified the key together with the firmware that it loaded; the report names that firmware too.
    name, title = "nvidia.fwid", "The key belongs to the firmware that the report names"
    section, expected = "NVIDIA 3: TCG DICE Attestation Architecture", "the digest in the certificate of the key"
    if report.opaque.fwid is None:
        checks.not_performed(
            name,
            title,
            section=section,
            expected=expected,
            got="a driver that does not report it",
            fix="run a driver from 2024 or later",
        )
        return
    with checks.step(name, title, section=section, expected=expected):
        if not hmac.compare_digest(leaf_fwid(leaf.extensions), report.opaque.fwid):
            raise NotAuthentic("another firmware's")


def _check_signature(checks: Checklist, report: NvidiaReport, leaf: Certificate, evidence: bytes) -> None:
    # 5. Over the bytes as they were received, the question included.
    with checks.step(
        "nvidia.signature",
        "That key signed exactly these bytes",
        section="NVIDIA 5: DMTF DSP0274, 10.11",
        expected="ECDSA P-384 with SHA-384 over everything before the signature",
    ):
        ECDSA_P384.require_raw(leaf.public_key, evidence[:-_SIGNATURE], report.signature)


def _verify_manifests(
    checks: Checklist, bundle: DeviceBundle, report: NvidiaReport, model: Model, names: RimNames, asked: _Asked
) -> tuple[RimClaims | None, RimClaims | None]:
    # 6 and 7.  Which manifests count is what the signed report says, never what came along.
    driver = None
    if names.driver is not None:
        version = report.opaque.driver_version or ""
        driver = _verify_manifest(checks, bundle, names.driver, "driver", model.product, version, asked)
    version = report.opaque.firmware_version
    firmware = _verify_manifest(checks, bundle, names.firmware, "firmware", model.product, version, asked)
    return driver, firmware


def _verify_manifest(
    checks: Checklist, bundle: DeviceBundle, rim: str, what: str, product: str, version: str, asked: _Asked
) -> RimClaims | None:
    name, title = f"nvidia.{what}-rim", f"The manifest for the {what} that runs came along"
    section, fix = "NVIDIA 6: NVIDIA RIM service", f"fetch https://rim.attestation.nvidia.com/v1/rim/{rim}"
    document = bundle.rims.get(rim)
    if document is None and not asked.rims_required:
        checks.not_performed(name, title, section=section, expected=rim, got="no manifest of this name", fix=fix)
        return None
    with checks.step(name, title, section=section, expected=rim, fix=fix):
        if document is None:
            raise NotAuthentic("no manifest of this name")
    assert document is not None  # noqa: S101 - the step above refused
    return verify_rim(
        document,
        roots=asked.roots.manifest,
        now=asked.now,
        product=product,
        version=version,
        revocation=asked.revocation,
        revocation_required=asked.revocation_required,
        checks=checks,
        name=name,
    )


def _check_measurements(
    checks: Checklist, report: NvidiaReport, model: Model, driver: RimClaims | None, firmware: RimClaims | None
) -> None:
    # 8. Each manifest stands for itself; both together must not speak of the same measurement.
    if driver is not None and firmware is not None:
        check_no_conflict(checks, driver.manifest.golden, firmware.manifest.golden)
    wanted = {"firmware": firmware} if model.is_switch else {"driver": driver, "firmware": firmware}
    for what, made in wanted.items():
        if made is not None:
            check_golden(checks, report, made.manifest.golden, what)
            continue
        checks.not_performed(
            f"nvidia.measurements.{what}",
            f"The device measured what NVIDIA published for this {what}",
            section="NVIDIA 8: NVIDIA local verifier",
            expected="reference values",
            got="no manifest to compare with",
            fix="verify with the manifest",
        )
