"""``hermetic verify``: is this server, or this saved report, what a policy wants?"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hermetic.cli._evidence_judge import unhex_option
from hermetic.cli._files import read_file, save_file
from hermetic.cli._show import console
from hermetic.cli._target import Target, resolve, verification_options, verifier
from hermetic.cli._time import time_at
from hermetic.cli._verdict import exit_code, fixes, show_verdict
from hermetic.errors import Misconfigured, Refused

if TYPE_CHECKING:
    from hermetic.client.attest import Verifier
    from hermetic.identity import AttestationReport, Claims
    from hermetic.results import Verdict

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
    if saved is None:
        asked: bytes | None = (question := judge.ask())
        obtain = partial(_from_server, target, question, save)
    else:
        asked, obtain = unhex_option(nonce, "--nonce", 32), partial(_from_file, saved)
    verdict, details = _judge(obtain, judge, nonce=asked, at=None if at is None else time_at(at))
    if as_json:
        document = verdict.to_json() | {"source": what or target.url} | details
        click.echo(json.dumps(document, indent=2))
    else:
        advice = fixes(verdict, allow_simulated=target.allow_simulated)
        show_verdict(verdict, verbose=verbose, fixes=advice, claims=verbose)
    return exit_code(verdict)


def _offline(policy: Path | None, allow_simulated: bool) -> Target:
    if policy is None and allow_simulated:
        return resolve(None, None, allow_simulated)  # a simulated root is pinned by a policy, or it is not trusted
    return Target(url="", policy=policy, allow_simulated=allow_simulated)


def _from_server(target: Target, nonce: bytes, save: Path | None) -> AttestationReport:
    from hermetic.client.attest import fetch_report
    from hermetic.identity import AttestationReport

    report = AttestationReport.from_bytes(fetch_report(target.url, nonce=nonce))
    if save is not None:
        save_file(save, report.to_bytes())
        _say_saved(save, target, nonce)
    return report


def _say_saved(save: Path, target: Target, nonce: bytes) -> None:
    command = f"hermetic verify {save} --nonce {nonce.hex()} --at {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    command += f" --policy {target.policy}" if target.policy else ""
    command += " --allow-simulated" if target.allow_simulated else ""
    console(stderr=True).print(f"saved; check it again, offline, with:\n  {command}", soft_wrap=True, markup=False)


def _from_file(path: Path) -> AttestationReport:
    from hermetic.identity import AttestationReport

    return AttestationReport.from_bytes(read_file(path))


def _judge(
    obtain: Callable[[], AttestationReport], judge: Verifier, *, nonce: bytes | None, at: datetime | None
) -> tuple[Verdict, dict[str, Any]]:
    """The verdict, and what programs are told beside it where the report is authentic."""
    from hermetic.results import refused_report, report_verdict

    report = None
    try:
        report = obtain()
        claims = judge.authenticate(report, nonce=nonce, at=at)
    except Refused as error:
        now = at or judge.clock.now()
        return refused_report(error, report=report, at=now, nonce=nonce, policy=judge.policy), {}
    return report_verdict(claims, policy=judge.policy), _details(report, claims)


def _details(report: AttestationReport, claims: Claims) -> dict[str, Any]:
    return {
        "tee": claims.platform.tee,
        "product": claims.platform.product,
        "devices": _devices(claims),
        "device_link": claims.device_link,
        "service": claims.launch.service,
        "launch_digest": claims.binding.launch_digest,
        "keyset_digest": claims.binding.keyset_digest,
        "report_digest": report.digest,
    }


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
