"""TDX and SGX quotes with the collateral of a time and the logs that came along: recorded, and a simulated Intel's."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import event_log_support
from hermetic.evidence import SGX, TDX, EvidenceBundle
from hermetic.sources.simulator.intel import SimulatedIntel
from hermetic.verify import INTEL_ROOTS, IntelClaims, Root, simulated_root, verify
from intel_forge import NOW as FORGED_AT
from intel_forge import Intel
from intel_support import bundle_of
from proof import ROOT
from proof.specimens._specimen import ASKED, AT, Parts, Specimen, kind_of, timed
from snp_support import CREATED, NOW, RECORDED, REPORT_DATA, SEED

_EXPECTED = ROOT / "tests" / "verify"


def recorded() -> Iterator[Specimen]:
    """What real machines signed, at every time for which Intel's collateral was recorded; then those with a log."""
    for entry in _expected("expect_intel.toml")["verdict"]:
        folder, collateral = entry["file"].rsplit("/", 1)
        name = f"{folder}@{entry['at']:%Y-%m-%d}"
        yield _specimen(name, bundle_of(folder, collateral), INTEL_ROOTS, entry["at"], recorded=True)
    logs = _expected("expect_eventlogs.toml")
    times = {entry["file"]: entry["at"] for entry in _expected("expect_intel.toml")["verdict"]}
    for name in ("ccel", "dstack"):
        for entry in (entry for entry in logs[name] if "quote" in entry):
            data = (RECORDED / entry["file"]).read_bytes()
            # The area that firmware gives to its log is a quarter of a megabyte; a little of what is unused is kept.
            used = data[: entry.get("length", 0) + 64]
            log = used if name == "ccel" else json.loads(data)["event_log"].encode()
            whole = replace(bundle_of(entry["quote"], entry["collateral"]), event_logs={name: log})
            at = times[f"{entry['quote']}/{entry['collateral']}"]
            yield _specimen(f"{entry['file']} with its quote", whole, INTEL_ROOTS, at, recorded=True)


def simulated() -> Iterator[Specimen]:
    """One of each kind, and a domain with both kinds of log."""
    vendor = SimulatedIntel.create(created=CREATED, seed=SEED)
    pinned = (simulated_root(vendor.root_digest),)
    for tee in (TDX, SGX):
        bundle = vendor.issue(REPORT_DATA, tee=tee, launch_digest=bytes(32), now=NOW)
        yield _specimen(f"simulated/{tee}", bundle, pinned, NOW, recorded=False)
    boot, runtime = (
        event_log_support.ccel(*event_log_support.BOOT),
        event_log_support.dstack(*event_log_support.RUNTIME),
    )
    yield _specimen(
        "simulated/tdx-logs", event_log_support.bundle(boot, runtime), Intel().roots, FORGED_AT, recorded=False
    )


def _expected(name: str) -> dict[str, Any]:
    return tomllib.loads((_EXPECTED / name).read_text(encoding="utf-8"))


def _specimen(name: str, bundle: EvidenceBundle, pinned: tuple[Root, ...], at: datetime, *, recorded: bool) -> Specimen:
    asked = verify(bundle, roots=pinned, now=at, report_data=None).report_data
    logs = {f"log {name}": log for name, log in bundle.event_logs.items()}
    return Specimen(
        name=name,
        tee=bundle.tee,
        recorded=recorded,
        evidence="quote",
        parts={"quote": bundle.evidence, **bundle.endorsements, **logs, ASKED: asked, AT: timed(at)},
        judge=partial(_judge, bundle.tee, pinned),
    )


def _judge(tee: str, pinned: tuple[Root, ...], parts: Parts) -> object:
    rest: Mapping[str, bytes] = {name: data for name, data in parts.items() if name not in ("quote", ASKED, AT)}
    bundle = EvidenceBundle(
        tee=tee,
        evidence=parts["quote"],
        endorsements={name: data for name, data in rest.items() if kind_of(name) != "log"},
        event_logs={name.partition(" ")[2]: data for name, data in rest.items() if kind_of(name) == "log"},
    )
    now = datetime.fromisoformat(parts[AT].decode())
    claims = verify(bundle, roots=pinned, now=now, report_data=parts.get(ASKED))
    assert isinstance(claims, IntelClaims)
    quote = claims.report
    checks = [(check.name, check.outcome) for check in claims.checks]
    events = {} if claims.events is None else dict(_said("events", claims.events))
    return (quote.header, quote.body, claims.root, claims.product, claims.pck, claims.tcb, events, checks)


def _said(name: str, value: object) -> Iterator[tuple[str, object]]:
    """What the logs say, flat, by dotted name; nothing for what they do not say."""
    if isinstance(value, Mapping):
        for inner, each in value.items():
            yield from _said(f"{name}.{inner}", each)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _said(f"{name}.{field.name}", getattr(value, field.name))
    elif value is not None:
        yield name, value
