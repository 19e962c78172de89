"""NVIDIA reports and manifests: recorded ones of tests/verify/expect_nvidia.toml, and a simulated vendor's.

No answer about revocation was ever recorded, so the recorded ones are judged without; the simulated ones have theirs.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import nvidia_support
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.sources.simulator.nvidia import SimulatedNvidia
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.verify.nvidia import NVIDIA_ROOTS, Architecture, NvidiaRoots, verify_device
from hermetic.verify.rim import verify_rim
from proof import ROOT
from proof.specimens._specimen import ASKED, AT, Parts, Specimen, kind_of, timed
from snp_support import CREATED, NOW, SEED

EXPECT = ROOT / "tests" / "verify" / "expect_nvidia.toml"
NVIDIA = "nvidia"


def _expected(kind: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = tomllib.loads(EXPECT.read_text(encoding="utf-8"))[kind]
    return [entry for entry in entries if "error" not in entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    roots: NvidiaRoots
    revocation: bool
    rims: bool


def recorded() -> Iterator[Specimen]:
    """Reports of real devices, with the manifests that were recorded."""
    for entry in _expected("report"):
        folder = entry["report"].split("/")[1]
        bundle = nvidia_support.recorded(folder, entry["rims"])
        asked = _Asked(roots=NVIDIA_ROOTS, revocation=False, rims=bool(entry["rims"]) and _complete(entry))
        yield _device(f"nvidia/{folder}", bundle, bytes.fromhex(entry["nonce"]), entry["at"], asked, recorded=True)
    for entry in _expected("nvat"):
        bundle, nonce = nvidia_support.stated(entry["file"])
        asked = _Asked(roots=NVIDIA_ROOTS, revocation=False, rims=False)
        yield _device(entry["file"], bundle, nonce, entry["at"], asked, recorded=True)


def simulated() -> Iterator[Specimen]:
    """A GPU of each kind and a switch, with manifests and answers about revocation, which nobody recorded."""
    vendor = SimulatedNvidia.create(created=CREATED, seed=SEED)
    asked, nonce = _Asked(roots=vendor.roots, revocation=True, rims=True), bytes(range(32))
    hopper, switch = vendor.issue(nonce, now=NOW, machine=NvidiaMachine(gpus=1, switches=1))
    (blackwell,) = vendor.issue(nonce, now=NOW, machine=NvidiaMachine(architecture=Architecture.BLACKWELL))
    for name, whole in (("hopper", hopper), ("switch", switch), ("blackwell", blackwell)):
        yield _device(f"simulated/{name}", whole, nonce, NOW, asked, recorded=False)


def manifests() -> Iterator[Specimen]:
    """Every genuine manifest, by itself, in its first second."""
    for entry in _expected("rim"):
        parts = {"rim": nvidia_support.read(entry["file"]), AT: timed(entry["valid"][0])}
        name = entry["file"].removeprefix("nvidia/")
        judge = partial(_judge_manifest, entry["product"], entry["version"])
        yield Specimen(name=name, tee=NVIDIA, recorded=True, evidence="rim", parts=parts, judge=judge)


def _complete(entry: dict[str, Any]) -> bool:
    """Whether every manifest that the report names was recorded."""
    return set(entry["not_performed"]) <= {"nvidia.fwid"}


def _device(name: str, bundle: DeviceBundle, nonce: bytes, at: datetime, asked: _Asked, *, recorded: bool) -> Specimen:
    parts = {"report": bundle.evidence, ASKED: nonce, AT: timed(at)}
    parts |= {f"certificate {place}": der for place, der in enumerate(bundle.certificates)}
    parts |= {f"rim {name}": document for name, document in bundle.rims.items()}
    parts |= {f"ocsp {place}": der for place, der in enumerate(bundle.ocsp)}
    judge = partial(_judge, asked)
    return Specimen(name=name, tee=NVIDIA, recorded=recorded, evidence="report", parts=parts, judge=judge)


def _judge(asked: _Asked, parts: Parts) -> object:
    by_kind: dict[str, list[str]] = {}
    for part in sorted(parts):
        by_kind.setdefault(kind_of(part), []).append(part)
    bundle = DeviceBundle(
        evidence=parts["report"],
        certificates=tuple(parts[part] for part in by_kind.get("certificate", ())),
        rims={part.partition(" ")[2]: parts[part] for part in by_kind.get("rim", ())},
        ocsp=tuple(parts[part] for part in by_kind.get("ocsp", ())),
    )
    claims = verify_device(
        bundle,
        roots=asked.roots,
        now=datetime.fromisoformat(parts[AT].decode()),
        nonce=parts.get(ASKED),
        revocation_required=asked.revocation,
        rims_required=asked.rims,
    )
    report = claims.report
    said = {name: getattr(report, name) for name in report.__dataclass_fields__ if name != "signature"}
    checks = [(check.name, check.outcome) for check in claims.checks]
    return (said, claims.root, claims.manifest_roots, claims.model, claims.ueid, claims.rim_names, checks)


def _judge_manifest(product: str, version: str, parts: Parts) -> object:
    now = datetime.fromisoformat(parts[AT].decode())
    claims = verify_rim(
        parts["rim"],
        roots=NVIDIA_ROOTS.manifest,
        now=now,
        product=product,
        version=version,
        revocation_required=False,
    )
    return (claims.manifest, claims.root, [(check.name, check.outcome) for check in claims.checks])
