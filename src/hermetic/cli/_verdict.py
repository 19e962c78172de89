"""A verdict for a person: what was found, what to do about it, and the exit code."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hermetic.cli import EXIT_INCOMPLETE, EXIT_REFUSED
from hermetic.cli._fields import fields_table, value_text
from hermetic.cli._show import advice, checks_table, console, device_of, show_conclusion, simulated_banner

if TYPE_CHECKING:
    from rich.console import Console

    from hermetic.results import Verdict
    from hermetic.verify import Check

__all__ = ["exit_code", "fixes", "show_verdict"]


def exit_code(verdict: Verdict) -> int:
    from hermetic.results import Overall

    if verdict.overall is Overall.ACCEPTED:
        return 0
    return EXIT_REFUSED if verdict.overall is Overall.REFUSED else EXIT_INCOMPLETE


def fixes(verdict: Verdict, *, allow_simulated: bool) -> list[str]:
    """What to do about it, each once."""
    from hermetic.client.attest import SIMULATION_ADVICE, is_unknown_root
    from hermetic.results import Overall

    found = [] if verdict.refusal is None else [verdict.refusal.fix]
    if verdict.refusal is not None and is_unknown_root(verdict.refusal) and not allow_simulated:
        found.append(SIMULATION_ADVICE)
    found += advice(verdict.checks)
    if verdict.workload and verdict.nonce is None:
        found.append("a saved report proves freshness only with the nonce that was asked: --nonce HEX")
    if verdict.overall is Overall.NOT_APPRAISED:
        found.append("authentic says who made it, not that it is wanted: give --policy policy.toml")
    return list(dict.fromkeys(fix for fix in found if fix))


def show_verdict(verdict: Verdict, *, verbose: bool, fixes: list[str], claims: bool = True) -> None:
    """Every part with its claims (if ``claims``), every check with its outcome, and the verdict in words."""
    out = console()
    simulated_banner(out, verdict)
    if claims:
        _claims(out, verdict, verbose=verbose)
        out.print()
    if verdict.checks:
        out.print(checks_table(verdict.checks if verbose else _brief(verdict.checks), verbose=verbose))
    show_conclusion(out, str(verdict.overall), verdict.checks, fixes, refusal=verdict.refusal)


def _brief(checks: tuple[Check, ...]) -> list[Check]:
    """One row for all that passed of a device: a machine of eight GPUs has four hundred checks."""
    from hermetic.verify import Check, Outcome

    devices = {check: device_of(check) for check in checks if check.outcome is Outcome.PASS}
    passed = Counter(devices.values())
    shown: list[Check] = []
    for check in checks:
        if (device := devices.get(check)) is None:
            shown.append(check)
        elif count := passed.pop(device, 0):
            title, got = f"{count} checks of this device", "--verbose lists them"
            shown.append(Check(name=check.name, title=title, outcome=check.outcome, expected="", got=got, section=""))
    return shown


_BRIEF = (
    "hwmodel",
    "dbgstat",
    "snp.tcb.reported",
    "snp.measurement",
    "snp.policy",
    "tdx.mrtd",
    "sgx.mrenclave",
    "sgx.mrsigner",
    "intel.tcb.status",
    "intel.tcb.date",
    "intel.tcb.advisories",
    "events.app-id",
    "events.compose-hash",
    "nvidia.driver-version",
    "nvidia.firmware-version",
    "nvidia.mode",
    "measres",
    "ueid",
)


def _claims(out: Console, verdict: Verdict, *, verbose: bool) -> None:
    """The claims that most people look for; with ``verbose`` all of them."""
    from rich.text import Text

    for part in verdict.parts:
        out.print(Text.assemble((part.name, "bold"), f"  {part.kind}", "" if part.authentic else "  not authentic"))
        shown = {
            claim.name: f"{value_text(claim.value)}  ({claim.source})"
            for claim in part.claims
            if verbose or claim.name in _BRIEF
        }
        if shown:
            out.print(fields_table(shown))
    if verdict.workload:
        out.print(Text("workload", style="bold"))
        out.print(fields_table({claim.name.removeprefix("hermetic."): claim.value for claim in verdict.workload}))
