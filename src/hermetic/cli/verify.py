"""``hermetic verify``: is this server, or this saved report, what a policy wants?"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hermetic.cli import EXIT_INCOMPLETE, EXIT_REFUSED
from hermetic.cli._files import read_file, save_file
from hermetic.cli._show import checks_json, checks_table, console, simulated_banner, summary
from hermetic.cli._target import Target, resolve, verification_options, verifier
from hermetic.errors import Malformed, Misconfigured, Refused

if TYPE_CHECKING:
    from hermetic.client.attest import Verifier
    from hermetic.identity import AttestationReport, Claims
    from hermetic.verify import Check

__all__ = ["Result", "verify"]


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
    """Check a server, or a saved report, against a policy.

    Without URL it checks the server of the last hermetic up.  Exit code 0 means every check was performed and passed.

    \b
    Examples:
      hermetic verify https://host --policy policy.toml
      hermetic verify https://host --policy policy.toml --save report.json
      hermetic verify report.json --policy policy.toml --nonce 3f… --at 2026-11-24T12:00:00Z
    """
    saved = Path(what) if what is not None and not what.startswith(("http://", "https://")) else None
    if saved is None and (nonce is not None or at is not None):
        raise Misconfigured("--nonce and --at are for a saved report")
    if saved is not None and save is not None:
        raise Misconfigured("--save keeps what a server answers; this report is saved already")
    target = _offline(policy, allow_simulated) if saved else resolve(what, policy, allow_simulated, need_policy=False)
    judge = verifier(target)
    source = what or target.url
    try:
        report, claims = _from_file(saved, judge, nonce, at) if saved else _from_server(target, judge, save)
    except Refused as error:
        return _print(Result(source=source, checks=error.checks, error=error), as_json=as_json, verbose=verbose)
    result = Result(source=source, checks=claims.checks, report=report, claims=claims)
    if judge.policy is not None:
        from hermetic.policy import review

        result = replace(result, checks=review(claims, judge.policy), policy=judge.policy.digest)
    return _print(result, as_json=as_json, verbose=verbose)


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
        save_file(save, report.to_bytes())
        _say_saved(save, target, nonce)
    return report, judge.authenticate(report, nonce=nonce)


def _say_saved(save: Path, target: Target, nonce: bytes) -> None:
    command = f"hermetic verify {save} --nonce {nonce.hex()} --at {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    command += f" --policy {target.policy}" if target.policy else ""
    command += " --allow-simulated" if target.allow_simulated else ""
    console(stderr=True).print(f"saved; check it again, offline, with:\n  {command}", soft_wrap=True, markup=False)


def _from_file(path: Path, judge: Verifier, nonce: str | None, at: str | None) -> tuple[AttestationReport, Claims]:
    from hermetic.identity import AttestationReport

    report = AttestationReport.from_bytes(read_file(path))
    return report, judge.authenticate(report, nonce=_nonce(nonce), at=_time(at))


def _nonce(text: str | None) -> bytes | None:
    from hermetic.wire import unhex

    try:
        return None if text is None else unhex(text, what="--nonce", length=32)
    except Malformed as error:
        raise Misconfigured(error.message) from error


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise Misconfigured(f"--at {text}: expected a time such as 2026-11-24T12:00:00Z") from error
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What there is to say.  ``report`` and ``claims`` are None where ``error`` says why it is not authentic.

    ``policy`` is the digest of the policy that appraised the claims, None where none did.
    """

    source: str
    checks: tuple[Check, ...]
    report: AttestationReport | None = field(default=None, repr=False)
    claims: Claims | None = field(default=None, repr=False)
    policy: str | None = None
    error: Refused | None = None

    def verdict(self) -> tuple[str, int]:
        """In words, and the exit code.  Accepted is only what a policy appraised, with every check performed."""
        from hermetic.verify import Outcome

        outcomes = {check.outcome for check in self.checks}
        if self.claims is None or Outcome.FAIL in outcomes:
            return "refused", EXIT_REFUSED
        if self.policy is None:
            return "authentic, NOT APPRAISED", EXIT_INCOMPLETE
        return ("accepted", 0) if outcomes == {Outcome.PASS} else ("incomplete", EXIT_INCOMPLETE)

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "verdict": self.verdict()[0],
            "source": self.source,
            "checks": checks_json(self.checks),
        }
        if self.error is not None:
            document["error"] = {"code": self.error.code, "message": self.error.message, "fix": self.error.fix}
        if self.report is not None and self.claims is not None:
            document |= {
                "simulated": self.claims.simulated,
                "tee": self.claims.platform.tee,
                "product": self.claims.platform.product,
                "devices": _devices(self.claims),
                "device_link": self.claims.device_link,
                "service": self.claims.launch.service,
                "launch_digest": self.claims.binding.launch_digest,
                "keyset_digest": self.claims.binding.keyset_digest,
                "policy_digest": self.policy,
                "report_digest": self.report.digest,
            }
        return document


def _devices(claims: Claims) -> list[dict[str, Any]]:
    from hermetic.identity import name_devices

    return [
        {
            "name": name,
            "model": device.model.name,
            "ueid": device.ueid,
            "driver_version": device.driver_version,
            "firmware_version": device.firmware_version,
            "mode": device.mode,
        }
        for name, device in zip(name_devices(claims.devices), claims.devices, strict=True)
    ]


def _print(result: Result, *, as_json: bool, verbose: bool) -> int:
    from rich.text import Text

    verdict, code = result.verdict()
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=2))
        return code
    out = console()
    if result.claims is not None:
        simulated_banner(out, result.claims)
    if result.checks:
        out.print(checks_table(result.checks, verbose=verbose))
    colour = {"accepted": "bold green", "refused": "bold red"}.get(verdict, "bold yellow")
    if result.error is not None:
        said = Text.assemble((f" [{result.error.code}] ", "dim"), result.error.message)
    else:
        said = Text(f": {summary(result.checks)}")
    out.print(Text("\n").append(verdict, style=colour).append_text(said), soft_wrap=True)
    for fix in _fixes(result):
        out.print(Text.assemble(("  → ", "cyan"), fix), soft_wrap=True)
    return code


def _fixes(result: Result) -> list[str]:
    """What to do about it, each once."""
    from hermetic.verify import Outcome

    fixes = [result.error.fix] if result.error is not None else []
    fixes += [check.fix for check in result.checks if check.outcome is not Outcome.PASS]
    if result.claims is not None and not result.claims.fresh:
        fixes.append("a saved report proves freshness only with the nonce that was asked: --nonce HEX")
    return list(dict.fromkeys(fix for fix in fixes if fix))
