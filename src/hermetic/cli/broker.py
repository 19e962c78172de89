"""``hermetic broker``: release keys to attested workloads only, and show who got them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hermetic.cli._show import console

if TYPE_CHECKING:
    from rich.console import Console

    from hermetic.broker import Seen

__all__ = ["broker"]

_config = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default="broker.toml",
    show_default=True,
    help="The broker's configuration.",
)
_json = click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")


@click.group()
def broker() -> None:
    """Release keys to attested workloads only.

    \b
    Examples:
      hermetic broker init --config broker.toml        make its keys; print what to seal for
      hermetic broker serve --config broker.toml       answer challenges and releases
      hermetic broker releases                         who got my keys, and why others did not
    """


@broker.command("init", short_help="Make the broker's keys and its log.")
@_config
@_json
def init(config_path: Path, as_json: bool) -> None:
    """Make the broker's keys, its log, and every resource that is not there yet.

    Running it again makes what is new and changes nothing else.

    \b
    Example:
      hermetic broker init --config broker.toml
    """
    from hermetic.broker import OUTSIDE_TEE, initialise, load_config

    made = initialise(load_config(config_path))
    if as_json:
        document = {
            "broker_key": made.broker_key,
            "log_key": made.log_key,
            "recipients": dict(made.recipients),
            "made": list(made.made),
            "outside_tee": True,
            "notice": OUTSIDE_TEE,
        }
        click.echo(json.dumps(document, indent=2))
        return
    out = console()
    _notice(out)
    out.print("broker key, for launch documents and policies:")
    out.print(f"  [bold]{made.broker_key}[/]", soft_wrap=True)
    out.print("log key, for whoever reads the log:")
    out.print(f"  [bold]{made.log_key}[/]", soft_wrap=True)
    for name, recipient in made.recipients.items():
        fresh = "[green]made[/]" if name in made.made else "[dim]there already[/]"
        out.print(f"{name} ({fresh}), {recipient[:20]}…; seal for it with:")
        out.print(f"  hermetic seal MODEL --resource {name} --version 1 --sign owner.key \\", soft_wrap=True)
        out.print(f'    --recipient "$(hermetic broker recipient {name} --config {config_path})"', soft_wrap=True)


@broker.command("serve")
@_config
@_json
def serve(config_path: Path, as_json: bool) -> None:
    """Answer challenges and releases until stopped.  SIGHUP reads policies and versions again.

    With --json, one line when it is ready: url, broker_key, log_key.

    \b
    Example:
      hermetic broker serve --config broker.toml
    """
    from hermetic.broker import OUTSIDE_TEE, BrokerServer, harden

    harden()
    server = BrokerServer.open(config_path)
    if as_json:
        ready = {
            "url": server.url,
            "broker_key": server.broker.broker_key,
            "log_key": server.broker.log_key,
            "outside_tee": True,
            "notice": OUTSIDE_TEE,
        }
        click.echo(json.dumps(ready))
    else:
        out = console()
        _notice(out)
        out.print(f"broker {server.broker.config.name} on [bold]{server.url}[/]", soft_wrap=True)
        out.print(f"  key {server.broker.broker_key}", soft_wrap=True)
        out.print(f"  {len(server.broker.config.resources)} resource(s); stop with Ctrl-C")
    server.run()


@broker.command("recipient")
@click.argument("name")
@_config
@_json
def recipient_(name: str, config_path: Path, as_json: bool) -> None:
    """Print what to seal to for the resource NAME.

    \b
    Example:
      hermetic seal model.gguf -r "$(hermetic broker recipient broker/hospital/triage)" …
    """
    from hermetic.broker import load_config, recipient

    found = recipient(load_config(config_path), name)
    click.echo(json.dumps({"resource": name, "recipient": found}) if as_json else found)


@broker.command("releases", short_help="Show who got keys, and why others did not.")
@click.option("--resource", help="Only decisions about this resource.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many, newest first.")
@_config
@_json
def releases_(resource: str | None, limit: int, config_path: Path, as_json: bool) -> None:
    """Show who asked for keys, when, on what machine, under which policy, and what was decided.

    A denial lists each check that failed, what was expected, what came, and what to change.

    \b
    Examples:
      hermetic broker releases
      hermetic broker releases --resource broker/hospital/triage --json
    """
    from hermetic.broker import OUTSIDE_TEE, load_config, releases

    config = load_config(config_path)
    if resource is not None:
        config.resource(resource)
    seen = releases(config, resource=resource, limit=limit)
    if as_json:
        rows = [each.to_json() for each in seen]
        click.echo(json.dumps({"outside_tee": True, "notice": OUTSIDE_TEE, "releases": rows}, indent=2))
        return
    out = console()
    _notice(out)
    if not seen:
        out.print("nobody has asked yet")
    for each in reversed(seen):
        _print_release(out, each)


def _print_release(out: Console, seen: Seen) -> None:
    from rich.markup import escape

    decision = seen.decision
    granted = decision.outcome == "granted"
    word = "[bold green]granted[/]" if granted else "[bold red]denied [/]"
    machine = decision.machine
    place = "no machine was proven" if machine is None else f"{machine.product} chip {machine.chip_id[:16] or 'masked'}"
    if machine is not None and machine.simulated:
        place = f"[black on yellow] SIMULATED [/] {place}"
    out.print(f"{seen.at:%Y-%m-%d %H:%M:%S} {word} [bold]{escape(decision.service)}[/] on {place}", soft_wrap=True)
    for want in decision.wants:
        out.print(f"    {escape(want.resource)} {escape(want.version)}, {len(want.headers)} file(s)", soft_wrap=True)
        out.print(f"    [dim]policy {want.policy_digest or 'none'}[/]", soft_wrap=True)
    out.print(f"    [dim]launch {decision.launch_digest}[/]", soft_wrap=True)
    out.print(f"    [dim]log entry {seen.log_index}, decision {decision.decision_id}[/]", soft_wrap=True)
    for finding in seen.findings:
        out.print(f"    [red]✗[/] {escape(finding.title)} [dim]\\[{finding.check}][/]", soft_wrap=True)
        if finding.expected or finding.got:
            out.print(f"        expected {escape(finding.expected)}", soft_wrap=True)
            out.print(f"        got      {escape(finding.got)}", soft_wrap=True)
        if finding.fix:
            out.print(f"        [cyan]→[/] {escape(finding.fix)}", soft_wrap=True)


def _notice(out: Console) -> None:
    from hermetic.broker import OUTSIDE_TEE

    out.print(f"[yellow]{OUTSIDE_TEE}[/]", soft_wrap=True)
