"""SEV-SNP reports: the recorded ones of tests/verify/expect.toml, and a simulated AMD's."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import datetime
from functools import partial

from hermetic.evidence import SEV_SNP, EvidenceBundle, Product, SigningKey
from hermetic.sources.simulator.snp_platform import SnpPlatform
from hermetic.verify import AMD_ROOTS, Root, SnpClaims, verify
from proof import ROOT
from proof.specimens._specimen import ASKED, AT, Parts, Specimen, timed
from snp_support import NOW, RECORDED, REPORT_DATA, issue, roots
from snp_support import recorded as recorded_bundle
from snp_support import simulated as simulated_amd

EXPECT = ROOT / "tests" / "verify" / "expect.toml"
_ENDORSEMENTS = ("leaf", "intermediate", "root", "crl")


def recorded() -> Iterator[Specimen]:
    """What real machines signed, with AMD's chains, and AMD's lists where one is recorded."""
    for entry in tomllib.loads(EXPECT.read_text(encoding="utf-8"))["evidence"]:
        report, leaf = ((RECORDED / entry[field]).read_bytes() for field in ("report", "leaf"))
        bundle = recorded_bundle(report, leaf, Product(entry["product"]), SigningKey[entry["key"]])
        name = entry["report"].rsplit("/", 1)[0]
        yield _specimen(name, bundle, AMD_ROOTS, entry["at"], recorded=True)


def simulated() -> Iterator[Specimen]:
    """One of each product, and a provider's key."""
    kinds = [(product, SigningKey.VCEK) for product in (Product.MILAN, Product.GENOA, Product.TURIN)]
    for product, kind in (*kinds, (Product.GENOA, SigningKey.VLEK)):
        amd = simulated_amd(product)
        bundle = issue(amd, platform=SnpPlatform(signing_key=kind))
        name = f"simulated/{product}-{kind.name}".lower()
        yield _specimen(name, bundle, roots(amd), NOW, recorded=False)


def _specimen(name: str, bundle: EvidenceBundle, pinned: tuple[Root, ...], at: datetime, *, recorded: bool) -> Specimen:
    required = "crl" in bundle.endorsements
    asked = REPORT_DATA
    if recorded:
        asked = verify(bundle, roots=pinned, now=at, report_data=None, crl_required=required).report_data
    return Specimen(
        name=name,
        tee=SEV_SNP,
        recorded=recorded,
        evidence="report",
        parts={"report": bundle.evidence, **bundle.endorsements, ASKED: asked, AT: timed(at)},
        judge=partial(_judge, pinned, required),
    )


def _judge(pinned: tuple[Root, ...], crl_required: bool, parts: Parts) -> object:
    bundle = EvidenceBundle(
        tee=SEV_SNP,
        evidence=parts["report"],
        endorsements={name: parts[name] for name in _ENDORSEMENTS if name in parts},
    )
    now = datetime.fromisoformat(parts[AT].decode())
    claims = verify(bundle, roots=pinned, now=now, report_data=parts.get(ASKED), crl_required=crl_required)
    assert isinstance(claims, SnpClaims)
    return meaning(claims)


def meaning(claims: SnpClaims) -> object:
    """Every field of the report but its signature; who stands behind it; what was checked."""
    report = {name: getattr(claims.report, name) for name in claims.report.__dataclass_fields__ if name != "signature"}
    checks = [(check.name, check.outcome) for check in claims.checks]
    return (report, claims.root, claims.product, claims.chip_id, claims.provider, checks)
