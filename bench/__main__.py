"""Measures every figure of docs/performance.md, both sides of each in one run, and writes that page.

    python -m bench [--only NAME …] [--quick] [--print]

Figures of one run on one machine; ratios carry over better than absolutes.  ``--quick`` measures less and writes
nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
Rows = list[tuple[str, str, str, str]]
"""What, against what, measured, aim."""

BENCHES: dict[str, tuple[list[str], list[str]]] = {
    "startup": ([], ["--rounds", "5"]),
    "verify_snp": ([], []),
    "verify_dcap": ([], []),
    "verify_nvidia": ([], ["--rounds", "20"]),
    "verify_tees": ([], ["--rounds", "20"]),
    "collateral": ([], ["--rounds", "3"]),
    "seal_open": ([], ["--size", "64", "--rounds", "2"]),
    "channel_echo": ([], ["--requests", "200", "--rounds", "2"]),
    "serve_chat": ([], ["--tokens", "16", "--rounds", "2"]),
    "broker": ([], ["--requests", "32", "--clients", "1,4"]),
    "ledger": ([], ["--seconds", "1"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--only", nargs="*", choices=sorted(BENCHES), help="only these")
    parser.add_argument("--quick", action="store_true", help="measure less; writes nothing")
    parser.add_argument("--print", action="store_true", help="print the page and write nothing")
    options = parser.parse_args()
    names = options.only or list(BENCHES)
    results = {name: _run(name, quick=options.quick) for name in names}
    page = _page(results)
    if options.quick or options.print or options.only:
        print(page)
    else:
        PAGE.write_text(page, encoding="utf-8")
        print(f"written: {PAGE}")


def _run(name: str, *, quick: bool) -> dict[str, Any]:
    """One benchmark in a process of its own; its one JSON object."""
    print(f"measuring {name} …", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", f"bench.{name}", *BENCHES[name][1 if quick else 0]]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    return found


def _page(results: dict[str, dict[str, Any]]) -> str:
    rows = [row for name, result in results.items() for row in RENDER[name](result)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    raw = "\n\n".join(f"`python -m bench.{name}`\n\n```json\n{json.dumps(each)}\n```" for name, each in results.items())
    return f"""# Performance

Written by `make bench`, never by hand: each figure is measured together with what it stands against, in one run, and
ratios are taken within a round. They are one run's on one machine, and carry over as ratios at best.

{_machine()}

| What | Against | Measured | Aim |
|---|---|---|---|
{table}

Where an aim is missed, it is missed: nothing here is asserted in a test, and nothing is rounded in our favour.

## Raw

{raw}
"""


def _machine() -> str:
    return (
        f"Machine: {_processor()}, {os.cpu_count()} cores; {platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}. Taken {datetime.now(UTC):%Y-%m-%d}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def _startup(found: dict[str, Any]) -> Rows:
    return [
        ("`import hermetic`", "Python's own start-up", f"{found['import_over_python_ms']} ms more", "≤ 50 ms"),
        ("`hermetic --help`", "–", f"{found['help_ms']} ms (Python alone {found['python_ms']} ms)", "≤ 150 ms"),
    ]


def _verify_snp(found: dict[str, Any]) -> Rows:
    known, first = found["known"]["median"], found["first_sight"]["median"]
    return [
        ("verify an SEV-SNP report, chain seen before", "–", f"median {known:.2f} ms", "≤ 1 ms"),
        (
            "the same, first sight of the chain",
            "`cryptography` alone",
            f"median {first:.2f} ms, {found['first_sight_over_cryptography']:.2f} ×",
            "–",
        ),
    ]


def _verify_dcap(found: dict[str, Any]) -> Rows:
    known, first, other = (found[key]["median"] for key in ("known", "first_sight", "dcap_qvl"))
    said = f"median {known:.2f} ms; at first sight {first:.1f} ms (dcap-qvl {other:.2f} ms)"
    return [("verify a TDX quote, both verifiers", "`dcap-qvl` alone", said, "–")]


def _verify_nvidia(found: dict[str, Any]) -> Rows:
    what = {
        "report": "verify an NVIDIA report with its chain",
        "manifest": "verify one reference manifest (RIM)",
        "whole": "a report with both manifests",
    }
    rows: Rows = []
    for key, title in what.items():
        known, first = found[key]["known"]["median"], found[key]["first_sight"]["median"]
        rows.append((title, "–", f"median {known:.2f} ms; at first sight {first:.1f} ms", "–"))
    return rows


def _collateral(found: dict[str, Any]) -> Rows:
    rows: Rows = []
    for key, title in (("sev_snp", "an SEV-SNP report"), ("tdx", "a TDX quote"), ("gpu", "a GPU")):
        each, count = found[key], found["documents"][key]
        cold = f"cold {each['cold']:.0f} ms, of which {each['client']:.0f} ms load the system's TLS roots"
        said = f"warm {each['warm']:.1f} ms; {cold}"
        rows.append(
            (f"endorse {title} ({count} documents, local vendor)", f"verify: {each['verify']:.1f} ms", said, "–")
        )
    return rows


def _verify_tees(found: dict[str, Any]) -> Rows:
    titles = {"sev-snp": "SEV-SNP report", "tdx": "TDX quote", "sgx": "SGX quote", "nvidia": "GPU with two manifests"}
    alone, rows = found["median_ms"]["dcap_qvl"], Rows()
    for tee, title in titles.items():
        median, seconds = found["median_ms"][tee], found["thousand_s"][tee]
        said = f"median {median:.2f} ms; 1,000 on two cores in {seconds:.2f} s"
        rows.append((f"verify, {title}", f"`dcap-qvl` alone on TDX, {alone:.2f} ms", said, "–"))
    return rows


def _seal_open(found: dict[str, Any]) -> Rows:
    ratios, best = found["ratios"], found["best_gb_per_s"]
    size = f"{found['size_mib']} MiB, {found['threads']} threads"
    return [
        (
            f"open a sealed file into a fresh memfd ({size})",
            "bare ChaCha20-Poly1305, same memory and threads",
            f"{ratios['ours_to_bare_fresh']:.2f} × ({best['ours_fresh']:.2f} GB/s)",
            "≥ 0.8 ×",
        ),
        ("the same", "`age`", f"{ratios['ours_to_age']:.2f} ×", "≥ 1.5 ×"),
        ("the same", "`pyrage`", f"{ratios['ours_to_pyrage']:.2f} ×", "–"),
        ("with the bundle's digest check", "without", f"{ratios['checked_to_unchecked']:.2f} ×", "–"),
    ]


def _channel_echo(found: dict[str, Any]) -> Rows:
    rows: Rows = []
    for title, key in (("2 KiB echo, requests/s on one core", "echo_2_kib"), ("streamed events/s", "stream_events")):
        rate, ratio = found[key]["per_second"], found[key]["ratio"]
        for profile in ("strict", "ehbp"):
            said = f"{ratio[profile]:.2f} × ({rate[profile]:,} of {rate['plain']:,})"
            rows.append((f"{title}, {profile}", "without channel", said, "–"))
    return rows


def _serve_chat(found: dict[str, Any]) -> Rows:
    rows: Rows = []
    for streams in (1, 4):
        each = found[f"streams_{streams}"]
        rows.append(
            (
                f"chat tokens/s through the strict channel, {streams} stream{'s' if streams > 1 else ''}",
                "the same server in clear",
                f"{each['ratio']:.3f} × ({each['tokens_per_second']['strict']} tokens/s)",
                "≥ 0.98 ×",
            )
        )
        rows.append(
            ("the same, first token", "in clear", f"{each['first_token_added_ms']:+.2f} ms", "≤ 1.5 ms"),
        )
    return rows


def _broker(found: dict[str, Any]) -> Rows:
    return [
        (
            f"challenge + verify + release, {level['clients']} client{'s' if level['clients'] > 1 else ''}",
            "–",
            f"p50 {level['both_ms']['p50']} ms, p99 {level['both_ms']['p99']} ms, {level['releases_per_second']}/s",
            "reported",
        )
        for level in found["levels"]
    ]


def _ledger(found: dict[str, Any]) -> Rows:
    return [
        (
            f"append to the log, batches of {size}",
            "–",
            f"{each['appends_per_s']:,}/s (a sync costs {found['sync_ms']} ms here)",
            "–",
        )
        for size, each in found["append"].items()
    ]


RENDER: dict[str, Callable[[dict[str, Any]], Rows]] = {
    "startup": _startup,
    "verify_snp": _verify_snp,
    "verify_dcap": _verify_dcap,
    "verify_nvidia": _verify_nvidia,
    "verify_tees": _verify_tees,
    "collateral": _collateral,
    "seal_open": _seal_open,
    "channel_echo": _channel_echo,
    "serve_chat": _serve_chat,
    "broker": _broker,
    "ledger": _ledger,
}

if __name__ == "__main__":
    main()
