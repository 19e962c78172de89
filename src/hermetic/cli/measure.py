"""``hermetic measure``: the launch document, before anything runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hermetic.errors import Misconfigured

if TYPE_CHECKING:
    from hermetic.identity import LaunchDocument

__all__ = ["measure"]


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The launch document and its digest as JSON.")
@click.option("--output", type=click.Path(path_type=Path), help="Also write the launch document here, as JSON.")
def measure(config: Path, as_json: bool, output: Path | None) -> None:
    """The launch document, before anything runs.

    What `hermetic serve --config CONFIG` will be, were it launched now from this installation.  Read it, then pin what
    it says in a policy.  Nothing is started.

    \b
    Examples:
      hermetic measure server.toml
      hermetic measure server.toml --output launch.json
      hermetic measure server.toml --json | jq -r .launch.program_digest
    """
    from hermetic.guest.launch import measure as measure_launch

    launch = measure_launch(config)
    if output is not None:
        _write(output, launch)
    if as_json:
        click.echo(json.dumps({"launch_digest": launch.digest, "launch": launch.to_json()}, indent=2))
    else:
        _show(launch)


def _write(output: Path, launch: LaunchDocument) -> None:
    from hermetic.seal.place import new_file
    from hermetic.wire import canonical

    try:
        with new_file(output, replace=True, mode=0o644) as descriptor:
            os.write(descriptor, canonical(launch.to_json()))
    except OSError as error:
        raise Misconfigured(f"cannot write {output}: {error.strerror}") from error


def _show(launch: LaunchDocument) -> None:
    from rich.text import Text

    from hermetic.cli._show import console

    out = console()
    for name, value, meaning in _rows(launch):
        # One value a line and never folded, so that it can be copied.
        out.print(Text.assemble((f"{name:<14}", "bold"), (meaning, "dim")), soft_wrap=True)
        out.print(Text(f"  {value}"), soft_wrap=True)


def _rows(launch: LaunchDocument) -> Iterator[tuple[str, str, str]]:
    yield "service", launch.service, "the name that clients know it by"
    yield "program", launch.program_digest, "our code, its dependencies, the interpreter and the system's libraries"
    yield "command", " ".join(launch.argv), "the configuration goes by its content, wherever it lies"
    yield "environment", _pairs(launch.environment) or "empty", "no variable reaches the workload unless named here"
    yield "config", launch.config_digest, "the exact bytes of the configuration"
    for model in launch.models:
        yield "model", f"{model.name}  {model.manifest_digest}", "the manifest of the sealed bundle"
    yield "broker", launch.broker_key or "none", "the only one that it takes keys from"
    yield "outbound", _pairs(launch.outbound) or "nobody", "whom else it trusts"
    yield "launch digest", launch.digest, "what the platform signs (HOST_DATA); policies pin the fields above"


def _pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
