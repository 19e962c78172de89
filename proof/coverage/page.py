"""Writes docs/coverage.md."""

from __future__ import annotations

import json
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from proof import ROOT
from proof.coverage.campaign import mutants_page
from proof.coverage.emitted import fold, passed
from proof.coverage.refusals import Seen, seen
from proof.mutants.run import RESULTS

PAGE = ROOT / "docs" / "coverage.md"
GAP = "**Gap**"
_EXPECTED = ("expect.toml", "expect_intel.toml", "expect_nvidia.toml", "expect_eventlogs.toml")
_ALIKE = {"sev-snp": ("snp.",), "tdx": ("tdx.", "dcap."), "sgx": ("sgx.", "dcap."), "nvidia": ("nvidia.", "rim.")}
_TITLES = {
    "sev-snp": "AMD SEV-SNP",
    "tdx": "Intel TDX",
    "sgx": "Intel SGX",
    "nvidia": "NVIDIA GPUs, NVSwitches and manifests",
    "attestation report": "Attestation reports",
}
_INTRODUCTION = """# What is covered

Written by `make coverage` on {date}, from what verifiers say of every specimen, from a run of the tests, and from the
last run of `make mutants`; never by hand. One row is one check, by the name that a verdict gives it.

- *Passes on*: evidence recorded on real hardware that passes; {gap} where there is only the simulator's, or none.
- *Refuses recorded*: recorded evidence that must be refused and is, by this check.
- *Refused in test*: a test in which this very check refuses; {gap} where there is none.
- *Mutants*: how many changed specimens it refused. A check behind another that sees the same change first has none.
"""


def write() -> int:
    """The whole page.  Needs the shared vectors and minutes: it runs tests."""
    mutants = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else None
    PAGE.write_text(page(passed(), seen(), mutants), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")
    return 0


def page(emitted: Mapping[str, Mapping[str, list[str]]], tests: Seen, mutants: Mapping[str, Any] | None) -> str:
    """The text of it."""
    parts = [_INTRODUCTION.format(date=f"{datetime.now(UTC):%Y-%m-%d}", gap=GAP)]
    refused = {tee: _folded(counts) for tee, counts in (mutants or {}).get("refused", {}).items()}
    for tee, title in _TITLES.items():
        names = _names(tee, emitted, tests)
        rows = (_row(name, emitted.get(tee, {}), tests, refused.get(tee, {})) for name in names)
        parts.append(f"## {title}\n\n{_table(rows)}\n")
    policy = sorted(name for name in {*tests.passed, *tests.refused} if name.startswith("policy."))
    parts.append(
        f"## Policy\n\nNo recorded evidence refuses here: a policy is the reader's own.\n\n{_policy(policy, tests)}\n"
    )
    parts.append(mutants_page(mutants) if mutants else f"## Mutants\n\n{GAP}: `make mutants` has not been run.\n")
    return "\n".join(parts)


def names_on(text: str) -> set[str]:
    """The names of checks that stand on a page."""
    return {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}


def _names(tee: str, emitted: Mapping[str, Mapping[str, list[str]]], tests: Seen) -> list[str]:
    """Of one TEE: in the order in which they are made, then those that only tests have seen."""
    foreign = tuple(prefix for other, prefixes in _ALIKE.items() if other != tee for prefix in prefixes)
    known = _ALIKE.get(tee, ("\0",))
    ordered = dict.fromkeys(n for n in emitted.get(tee, {}) if n.startswith(known) or not n.startswith(foreign))
    others = {name for name in {*tests.passed, *tests.refused} if name.startswith(known)}
    return [*ordered, *sorted(others - ordered.keys())]


def _row(name: str, on: Mapping[str, list[str]], tests: Seen, mutants: Mapping[str, int]) -> tuple[str, ...]:
    specimens = [each for each in on.get(name, ()) if not each.startswith("simulated/")]
    nowhere = f"{GAP}: the simulator's only" if on.get(name) else GAP
    recorded = _recorded_refusals().get(name, [])
    return (
        f"`{name}`",
        _first_of(specimens) or nowhere,
        _first_of(recorded) or "–",
        _test(tests.refused.get(name, ()), tests) or GAP,
        f"{mutants.get(name, 0):,}",
    )


def _folded(counts: Mapping[str, int]) -> Mapping[str, int]:
    folded: Counter[str] = Counter()
    for name, count in counts.items():
        folded[fold(name)] += count
    return folded


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    head = "| Check | Passes on | Refuses recorded | Refused in test | Mutants |\n|---|---|---|---|---|\n"
    return head + "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _policy(names: list[str], tests: Seen) -> str:
    rows = []
    for name in names:
        accepts = _test(tests.passed.get(name, ()), tests) or GAP
        rows.append(f"| `{name}` | {accepts} | {_test(tests.refused.get(name, ()), tests) or GAP} |")
    return "\n".join(("| Check | Passes in test | Refused in test |", "|---|---|---|", *rows))


def _test(found: Iterable[str], tests: Seen) -> str:
    """The test that sees the fewest other checks refuse, and how many others see this one."""
    counts = _refusals_of(tests)
    ordered = sorted(found, key=lambda test: (counts.get(test, 0), test))
    return _first_of([test.replace("::", " ") for test in ordered])


def _refusals_of(tests: Seen) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for found in tests.refused.values():
        for test in found:
            counts[test] += 1
    return counts


def _first_of(names: list[str]) -> str:
    if not names:
        return ""
    return f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}"


def _recorded_refusals() -> dict[str, list[str]]:
    """Check → the recorded files that it must refuse, from what the tests expect."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in _EXPECTED:
        path = ROOT / "tests" / "verify" / name
        if path.exists():
            for entry in _entries(tomllib.loads(path.read_text(encoding="utf-8"))):
                if "check" in entry:
                    found[fold(entry["check"])].append(str(entry.get("file", entry.get("report", "?"))))
    return found


def _entries(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for value in document.values():
        yield from value if isinstance(value, list) else ()
