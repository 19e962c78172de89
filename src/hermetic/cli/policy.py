"""``hermetic policy``: write and check policies."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hermetic.cli import EXIT_INCOMPLETE
from hermetic.cli._files import read_file
from hermetic.cli._show import console
from hermetic.errors import Malformed, Misconfigured, NotAuthentic

if TYPE_CHECKING:
    from hermetic.identity import AttestationReport, Claims, LaunchDocument
    from hermetic.policy import Policy
    from hermetic.verify import Root

__all__ = ["policy"]


@click.group()
def policy() -> None:
    """Write and check policies.

    \b
    Examples:
      hermetic policy lint policy.toml
      hermetic policy new --launch launch.json --product Genoa --measurement 9c… > policy.toml
      hermetic policy new https://host > policy.toml       (trust on first use: development only)
    """


@policy.command("lint")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Findings as JSON.")
def lint_(file: Path, as_json: bool) -> int:
    """Say what is wrong with a policy.  Exit code 1 if it would be refused.

    \b
    Example:
      hermetic policy lint policy.toml
    """
    from rich.markup import escape

    from hermetic.policy import Policy, lint

    parsed = Policy.parse_unlinted(read_file(file), name=str(file))
    findings = lint(parsed)
    refused = any(finding.refuses for finding in findings)
    if as_json:
        rows = [{"code": f.code, "message": f.message, "fix": f.fix, "refuses": f.refuses} for f in findings]
        click.echo(json.dumps({"policy_digest": parsed.digest, "refused": refused, "findings": rows}, indent=2))
        return int(refused)
    out = console()
    for finding in findings:
        mark = "[bold red]refused[/]" if finding.refuses else "[yellow]advice[/] "
        out.print(f"{mark} [dim]{finding.code}[/]  {escape(finding.message)}", soft_wrap=True)
        if finding.fix:
            out.print(f"         [cyan]→[/] {escape(finding.fix)}", soft_wrap=True)
    out.print(
        f"{parsed.profile} policy {parsed.digest}: " + ("[bold red]refused[/]" if refused else "[green]loads[/]"),
        soft_wrap=True,
    )
    return int(refused)


@policy.command("new", short_help="Write a policy for a launch, or for a server.")
@click.argument("url", required=False)
@click.option("--launch", type=click.Path(path_type=Path, dir_okay=False), help="Pin this launch document instead.")
@click.option("--product", "products", multiple=True, help="With --launch: processors to allow, such as Genoa.")
@click.option("--measurement", "measurements", multiple=True, help="With --launch: measurements of the image, in hex.")
@click.option("--simulated-root", help="With --launch: the simulator to trust (hermetic simulator root).")
@click.option("--log-key", "log_keys", multiple=True, metavar="VKEY", help="Logs to look for receipts in.")
@click.option(
    "--allow-simulated",
    is_flag=True,
    help="Pin the simulated platform: the one that answers at URL or, with --launch, this machine's.",
)
@click.option("--profile", type=click.Choice(["development", "production"]), default="development", show_default=True)
def new(
    url: str | None,
    launch: Path | None,
    products: tuple[str, ...],
    measurements: tuple[str, ...],
    simulated_root: str | None,
    log_keys: tuple[str, ...],
    allow_simulated: bool,
    profile: str,
) -> int:
    """Write a policy: from a launch document you computed, or from what a server says now.

    From URL it is trust on first use, for development only: whoever answers today is pinned.  A production policy needs
    floors for the firmware too, which you add by hand: exit code 3 and a message say so.

    \b
    Examples:
      hermetic measure server.toml --output launch.json
      hermetic policy new --launch launch.json --product Genoa --measurement 9c… > policy.toml
      hermetic policy new --launch launch.json --allow-simulated > policy.toml
      hermetic policy new http://127.0.0.1:8480 --allow-simulated > policy.toml
    """
    from hermetic.policy import Policy, draft_policy

    if (url is None) == (launch is None):
        raise Misconfigured("give either URL or --launch FILE")
    if launch is not None:
        if allow_simulated:
            if products or measurements or simulated_root:
                raise Misconfigured("--allow-simulated pins this machine's simulator: leave out what it runs on")
            products, measurements, simulated_root = _simulator()
        if not products or not measurements:
            raise Misconfigured(
                "--launch needs --product and --measurement too: on what may it run?",
                fix="to try things on the simulator of this machine: --allow-simulated",
            )
        _check_measurements(measurements)
        text = draft_policy(
            _read_launch(launch),
            profile="production" if profile == "production" else "development",
            products=products,
            measurements=measurements,
            simulated_root=simulated_root,
            log_keys=log_keys,
        )
    else:
        if profile == "production":
            raise Misconfigured(
                "trust on first use never makes a production policy",
                fix="compute the launch document with hermetic measure, and give --launch",
            )
        text = _first_use(str(url), allow_simulated, log_keys)
    parsed = Policy.parse_unlinted(text.encode())  # before anything is written: what was given may be no measurement
    click.echo(text, nl=False)
    return _say_missing(parsed)


def _check_measurements(measurements: tuple[str, ...]) -> None:
    """Raises Misconfigured for one that no SNP report could hold."""
    from hermetic.wire import unhex

    for text in measurements:
        try:
            unhex(text, what="--measurement", length=48)
        except Malformed as error:
            raise Misconfigured(
                error.message,
                fix="the image's launch measurement is 96 hex digits; this machine's simulator: --allow-simulated",
            ) from error


def _simulator() -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Products, measurements and root of this machine's simulator, whose keys are made the first time."""
    from hermetic.sources.simulator.amd import SIMULATED_MEASUREMENT
    from hermetic.sources.simulator.state import default_state, open_vendor

    vendor = open_vendor(default_state(), now=datetime.now(UTC))
    return (str(vendor.product),), (SIMULATED_MEASUREMENT.hex(),), vendor.root_digest


def _say_missing(parsed: Policy) -> int:
    """What must still be written by hand before the policy loads, on standard error; the exit code."""
    from hermetic.policy import lint

    missing = [finding for finding in lint(parsed) if finding.refuses]
    for finding in missing:
        click.echo(f"not complete [{finding.code}]: {finding.message}\n  → {finding.fix}", err=True)
    return EXIT_INCOMPLETE if missing else 0


def _read_launch(path: Path) -> LaunchDocument:
    from hermetic.identity import LaunchDocument
    from hermetic.wire import parse_object

    return LaunchDocument.from_json(parse_object(read_file(path), what=str(path)))


def _first_use(url: str, allow_simulated: bool, log_keys: tuple[str, ...]) -> str:
    """A development policy that pins whatever answers at ``url``, if that much is authentic."""
    import secrets

    from hermetic.client.attest import fetch_report
    from hermetic.identity import AttestationReport, Purpose, verify_report
    from hermetic.policy import draft_policy

    nonce = secrets.token_bytes(32)
    report = AttestationReport.from_bytes(fetch_report(url, nonce=nonce))
    roots = _roots_of(report, allow_simulated)
    now = datetime.now(UTC)
    try:
        claims: Claims = verify_report(report, roots=roots, now=now, purpose=Purpose.SESSION, nonce=nonce)
    except NotAuthentic as error:
        if allow_simulated or "root" not in error.code:
            raise
        raise NotAuthentic(
            error.message, code=error.code, fix="a SIMULATED platform is pinned only with --allow-simulated"
        ) from error
    note = (
        f"Trust on first use: pinned from what {url} said at {now:%Y-%m-%d %H:%M} UTC.\n"
        "Nobody compared it with anything.  Development only."
    )
    return draft_policy(
        claims.launch,
        profile="development",
        products=(claims.platform.product,),
        measurements=(claims.platform.measurement.hex(),),
        simulated_root=claims.platform.root.sha256 if claims.simulated else None,
        log_keys=log_keys,
        note=note,
    )


def _roots_of(report: AttestationReport, allow_simulated: bool) -> tuple[Root, ...]:
    """AMD's roots and, if the caller said so, whatever root this evidence brings, as a simulated one."""
    from hermetic.verify import AMD_ROOTS, simulated_root
    from hermetic.wire import sha256_digest

    brought = report.evidence.endorsements.get("root")
    if not allow_simulated or brought is None:
        return AMD_ROOTS
    digest = sha256_digest(brought)
    return AMD_ROOTS if any(root.sha256 == digest for root in AMD_ROOTS) else (*AMD_ROOTS, simulated_root(digest))
