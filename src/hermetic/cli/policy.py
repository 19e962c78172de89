"""``hermetic policy``: write and check policies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hermetic.cli import EXIT_INCOMPLETE
from hermetic.cli._files import read_file
from hermetic.cli._machine import machine_options
from hermetic.cli._policy_release import release
from hermetic.cli._show import console
from hermetic.errors import Misconfigured

if TYPE_CHECKING:
    from hermetic.identity import LaunchDocument
    from hermetic.policy import PlatformPolicy, Policy

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

    from hermetic.policy import beside, lint, parse_any

    parsed = parse_any(read_file(file), name=str(file), files=beside(file))
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
@click.option("--product", "products", multiple=True, help="With --launch: AMD processors to allow, such as Genoa.")
@click.option("--measurement", "measurements", multiple=True, help="With --launch: what their images measure, in hex.")
@click.option(
    "--evidence",
    "evidence",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Pin the platform and devices of this evidence, of any TEE; without --launch, whatever runs there.",
)
@click.option("--at", help="With --evidence: the time to judge it for, as 2026-11-24T12:00:00Z.  [now]")
@click.option("--simulated-root", help="With --launch: the simulator to trust (hermetic simulator root).")
@click.option("--log-key", "log_keys", multiple=True, metavar="VKEY", help="Logs to look for receipts in.")
@click.option(
    "--allow-simulated",
    is_flag=True,
    help="Pin the simulated platform: the one that answers at URL or, with --launch, this machine's.",
)
@click.option("--profile", type=click.Choice(["development", "production"]), default="development", show_default=True)
@machine_options
def new(
    url: str | None,
    launch: Path | None,
    products: tuple[str, ...],
    measurements: tuple[str, ...],
    evidence: tuple[Path, ...],
    at: str | None,
    simulated_root: str | None,
    log_keys: tuple[str, ...],
    allow_simulated: bool,
    profile: str,
    tee: str,
    gpus: int,
    switches: int,
) -> int:
    """Write a policy: from a launch document you computed, or from what a server says now.

    What it may run on is given (--product and --measurement), seen in evidence of a machine that you trust
    (--evidence), or this machine's simulator (--allow-simulated, with --tee, --gpus and --switches).

    From URL it is trust on first use, for development only: whoever answers today is pinned.  A production policy may
    need more, such as floors for the firmware, which you add by hand: exit code 3 and a message say so.

    \b
    Examples:
      hermetic measure server.toml --output launch.json
      hermetic policy new --launch launch.json --product Genoa --measurement 9c… > policy.toml
      hermetic policy new --launch launch.json --evidence bundle.json > policy.toml
      hermetic policy new --evidence quote.bin --evidence collateral.json > platforms.toml
      hermetic policy new --launch launch.json --allow-simulated --tee tdx > policy.toml
      hermetic policy new http://127.0.0.1:8480 --allow-simulated > policy.toml
    """
    from hermetic.cli._policy_sources import Given, evidence_tables, first_use, simulator_tables
    from hermetic.policy import draft_policy, parse_any

    if (url is not None and launch is not None) or not (url or launch or evidence):
        raise Misconfigured("give either URL or --launch FILE", fix="--evidence alone pins the platform")
    given = Given(products=products, measurements=measurements)
    if url is not None:
        if profile == "production":
            raise Misconfigured(
                "trust on first use never makes a production policy",
                fix="compute the launch document with hermetic measure, and give --launch",
            )
        text = first_use(url, allow_simulated=allow_simulated, log_keys=log_keys)
    else:
        if allow_simulated:
            if given.anything or evidence or simulated_root:
                raise Misconfigured("--allow-simulated pins this machine's simulator: leave out what it runs on")
            tables, simulated_root = simulator_tables(tee, gpus, switches)
        elif evidence:
            if given.anything:
                raise Misconfigured("--evidence says what it runs on: leave out --product and --measurement")
            tables = evidence_tables(evidence, at)
        else:
            tables = given.tables()
        text = draft_policy(
            None if launch is None else _read_launch(launch),
            profile="production" if profile == "production" else "development",
            tables=tables,
            simulated_root=simulated_root,
            log_keys=log_keys,
        )
    # Before anything is written: what was given may be no measurement.
    parsed = parse_any(text.encode())
    click.echo(text, nl=False)
    return _say_missing(parsed)


def _say_missing(parsed: Policy | PlatformPolicy) -> int:
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


policy.add_command(release)
