"""TDX and SGX quotes with the collateral of a time: the verdicts of tests/verify/expect_intel.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import datetime
from functools import partial

from hermetic.evidence import EvidenceBundle
from hermetic.verify import INTEL_ROOTS, IntelClaims, Root, verify
from intel_support import bundle_of
from proof import ROOT
from proof.specimens._specimen import ASKED, AT, Parts, Specimen, timed

EXPECT = ROOT / "tests" / "verify" / "expect_intel.toml"


def recorded() -> Iterator[Specimen]:
    """What real machines signed, at every time for which Intel's collateral was recorded."""
    for entry in tomllib.loads(EXPECT.read_text(encoding="utf-8"))["verdict"]:
        folder, collateral = entry["file"].rsplit("/", 1)
        name = f"{folder}@{entry['at']:%Y-%m-%d}"
        yield specimen(name, bundle_of(folder, collateral), INTEL_ROOTS, entry["at"], recorded=True)


def specimen(name: str, bundle: EvidenceBundle, pinned: tuple[Root, ...], at: datetime, *, recorded: bool) -> Specimen:
    asked = verify(bundle, roots=pinned, now=at, report_data=None).report_data
    return Specimen(
        name=name,
        tee=bundle.tee,
        recorded=recorded,
        evidence="quote",
        parts={"quote": bundle.evidence, **bundle.endorsements, ASKED: asked, AT: timed(at)},
        judge=partial(_judge, bundle.tee, pinned),
    )


def _judge(tee: str, pinned: tuple[Root, ...], parts: Parts) -> object:
    endorsements = {name: data for name, data in parts.items() if name not in ("quote", ASKED, AT)}
    bundle = EvidenceBundle(tee=tee, evidence=parts["quote"], endorsements=endorsements)
    now = datetime.fromisoformat(parts[AT].decode())
    claims = verify(bundle, roots=pinned, now=now, report_data=parts.get(ASKED))
    assert isinstance(claims, IntelClaims)
    quote = claims.report
    checks = [(check.name, check.outcome) for check in claims.checks]
    return (quote.header, quote.body, claims.root, claims.product, claims.pck, claims.tcb, checks)
