"""``hermetic verify``: is this server, or this saved report, what a policy wants?"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hermetic.cli._show import checks_json, checks_table, console, simulated_banner, summary
from hermetic.cli._target import Target, resolve, verification_options, verifier
from hermetic.errors import Misconfigured, NotAcceptable, NotAuthentic

if TYPE_CHECKING:
    from hermetic.client.attest import Verifier
    from hermetic.identity import AttestationReport, Claims
    from hermetic.verify import Check

__all__ = ["verify"]


@click.command()
@click.argument("what", required=False, metavar="[URL|REPORT]")
@verification_options
@click.option(
    "--save", type=click.Path(path_type=Path, dir_okay=False), help="Keep the report, to verify it offline later."
)
@click.option("--nonce", help="For a saved report: the nonce that was asked, in hex.")
@click.option("--at", help="For a saved report: the time to judge it for, as 2026-11-24T12:00:00Z.")
@click.option("--verbose", "-v", is_flag=True, help="Show the evidence of each check in full.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def verify(
    what: str | None,
    policy: Path | None,
    allow_simulated: bool,
    save: Path | None,
    nonce: str | None,
    at: str | None,
    verbose: bool,
    as_json: bool,
) -> int:
    """Check a server, or a report that was saved, against a policy.

    Without URL it checks the server of the last hermetic up.  Exit code 0 means every check was performed and passed.

    \b
    Examples:
      hermetic verify https://host --policy policy.toml
      hermetic verify https://host --policy policy.toml --save report.json
      hermetic verify report.json --policy policy.toml --nonce 3f… --at 2026-11-24T12:00:00Z
    """
    saved = Path(what) if what is not None and not what.startswith(("http://", "https://")) else None
    if saved is None and (nonce or at):
        raise Misconfigured("--nonce and --at are for a saved report")
    target = _offline(policy, allow_simulated) if saved else resolve(what, policy, allow_simulated, need_policy=False)
    judge = verifier(target)
    try:
        report, claims = _from_file(saved, judge, nonce, at) if saved else _from_server(target, judge, save)
    except NotAuthentic as error:
        _print(as_json, verbose, {"source": what or target.url, "error": error}, tuple(error.checks), None)
        return 1
    from hermetic.policy import review

    checks = review(claims, judge.policy) if judge.policy else claims.checks
    facts = {
        "source": what or target.url,
        "report": report,
        "policy": judge.policy.digest if judge.policy else None,
    }
    return _print(as_json, verbose, facts, checks, claims)


def _offline(policy: Path | None, allow_simulated: bool) -> Target:
    if policy is None and allow_simulated:
        return resolve(None, None, allow_simulated)  # a simulated root is pinned by a policy, or it is not trusted
    return Target(url="", policy=policy, allow_simulated=allow_simulated)


def _from_server(target: Target, judge: Verifier, save: Path | None) -> tuple[AttestationReport, Claims]:
    from hermetic.client.attest import fetch_report
    from hermetic.identity import AttestationReport

    nonce = judge.ask()
    answer = fetch_report(target.url, nonce=nonce)
    report = AttestationReport.from_bytes(answer)
    if save is not None:
        save.write_bytes(report.to_bytes())
        command = f"hermetic verify {save} --policy {target.policy} --nonce {nonce.hex()}"
        when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        console(stderr=True).print(f"saved; check it again, offline, with:\n  {command} --at {when}", soft_wrap=True)
    return report, judge.authenticate(report, nonce=nonce)


def _from_file(path: Path, judge: Verifier, nonce: str | None, at: str | None) -> tuple[AttestationReport, Claims]:
    from hermetic.identity import AttestationReport
    from hermetic.wire import unhex

    try:
        report = AttestationReport.from_bytes(path.read_bytes())
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from error
    asked = unhex(nonce, what="--nonce", length=32) if nonce is not None else None
    return report, judge.authenticate(report, nonce=asked, at=_time(at))


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise Misconfigured(f"--at {text}: expected a time such as 2026-11-24T12:00:00Z") from error
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)


def _print(
    as_json: bool, verbose: bool, facts: dict[str, Any], checks: tuple[Check, ...], claims: Claims | None
) -> int:
    from hermetic.verify import Outcome

    outcomes = {check.outcome for check in checks}
    verdict, code = "accepted", 0
    if claims is None or Outcome.FAIL in outcomes:
        verdict, code = "refused", 1
    elif facts["policy"] is None:
        verdict, code = "authentic, NOT APPRAISED", 3
    elif Outcome.NOT_PERFORMED in outcomes:
        verdict, code = "incomplete", 3
    if as_json:
        click.echo(json.dumps(_document(verdict, facts, checks, claims), indent=2))
        return code
    out = console()
    if claims is not None:
        simulated_banner(out, claims)
    out.print(checks_table(checks, verbose=verbose))
    _print_verdict(verdict, facts, checks, claims)
    return code


def _print_verdict(verdict: str, facts: dict[str, Any], checks: tuple[Check, ...], claims: Claims | None) -> None:
    out = console()
    error = facts.get("error")
    if isinstance(error, NotAuthentic | NotAcceptable):
        out.print(f"\n[bold red]refused[/] [dim]\\[{error.code}][/] {error.message}", soft_wrap=True)
        if error.fix:
            out.print(f"  [cyan]→[/] {error.fix}", soft_wrap=True)
        return
    colour = {"accepted": "bold green", "refused": "bold red", "incomplete": "bold yellow"}.get(verdict, "bold yellow")
    out.print(f"\n[{colour}]{verdict}[/]: {summary(checks)}")
    for check in checks:
        if check.fix and check.outcome is not check.outcome.PASS:
            out.print(f"  [cyan]→[/] {check.fix}", soft_wrap=True)
    if claims is not None and not claims.fresh:
        out.print("  [cyan]→[/] a saved report proves freshness only with the nonce that was asked: --nonce HEX")


def _document(verdict: str, facts: dict[str, Any], checks: tuple[Check, ...], claims: Claims | None) -> dict[str, Any]:
    document: dict[str, Any] = {"verdict": verdict, "source": facts["source"], "checks": checks_json(checks)}
    error = facts.get("error")
    if isinstance(error, NotAuthentic | NotAcceptable):
        document["error"] = {"code": error.code, "message": error.message, "fix": error.fix}
    if claims is not None:
        document |= {
            "simulated": claims.simulated,
            "tee": claims.platform.tee,
            "product": claims.platform.product,
            "service": claims.launch.service,
            "launch_digest": claims.binding.launch_digest,
            "keyset_digest": claims.binding.keyset_digest,
            "policy_digest": facts["policy"],
            "report_digest": facts["report"].digest,
        }
    return document
