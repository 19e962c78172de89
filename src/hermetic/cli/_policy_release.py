"""``hermetic policy release``: reference values that a vendor signs, and whoever pins its key need not copy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hermetic.cli._files import read_file
from hermetic.cli._show import console
from hermetic.errors import Malformed

if TYPE_CHECKING:
    from hermetic.policy import ReferenceValues, SignedReferenceValues

__all__ = ["release"]

_FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
_KEYS = click.option(
    "--key",
    "keys",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A signing key (hermetic keygen --owner).  More than once for more signatures.",
)


@click.group()
def release() -> None:
    """Sign reference values, and show what a signed file states.

    \b
    Examples:
      hermetic policy release sign values.toml --key owner.key > release.json
      hermetic policy release show release.json
    """


@release.command()
@_FILE
@_KEYS
def sign(file: Path, keys: tuple[Path, ...]) -> None:
    """Sign the values in a TOML file: name, version, issued, not_after, and tables as policies have them.

    \b
    Example:
      hermetic policy release sign values.toml --key owner.key > release.json
    """
    from hermetic.cli._keys import read_owner_key
    from hermetic.policy import ReferenceValues, SignedReferenceValues
    from hermetic.wire import parse_toml

    values = ReferenceValues.convert(parse_toml(read_file(file), what=str(file)), what=str(file))
    _write(SignedReferenceValues.sign(values, *map(read_owner_key, keys)))


@release.command()
@_FILE
@_KEYS
def cosign(file: Path, keys: tuple[Path, ...]) -> None:
    """Add signatures to a release that others have signed.

    \b
    Example:
      hermetic policy release cosign release.json --key other.key > both.json
    """
    from hermetic.cli._keys import read_owner_key

    signed = _read(file)
    signed.stated()  # nobody signs what no policy could read
    for key in map(read_owner_key, keys):
        signed = signed.with_signature(key)
    _write(signed)


@release.command()
@_FILE
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(file: Path, as_json: bool) -> None:
    """Say what a release states and whose signatures hold.  Whether anybody wants them is for a policy to say.

    \b
    Example:
      hermetic policy release show release.json
    """
    from rich.markup import escape

    signed = _read(file)
    values, signers = signed.stated(), signed.signers()
    if as_json:
        click.echo(json.dumps({"document": values.to_json(), "signers": list(signers)}, indent=2))
        return
    out = console()
    out.print(f"[bold]{escape(values.name)} {values.version}[/]", soft_wrap=True)
    out.print(f"good from {values.issued:%Y-%m-%d %H:%M %Z} to {values.not_after:%Y-%m-%d %H:%M %Z}")
    for line in _lines(values):
        out.print(escape(line), soft_wrap=True)
    for key in signed.signatures:
        good = "[green]signed by[/]" if key in signers else "[bold red]the signature does not hold:[/]"
        out.print(f"{good} {escape(key)}", soft_wrap=True)


def _lines(values: ReferenceValues) -> list[str]:
    return [
        f"{name}.{field} {value}"
        for name, table in values.tables().items()
        for field in table.__struct_fields__
        for value in getattr(table, field)
    ]


def _read(file: Path) -> SignedReferenceValues:
    from hermetic.policy import SignedReferenceValues

    try:
        return SignedReferenceValues.from_bytes(read_file(file))
    except Malformed as error:
        raise Malformed(f"{file}: {error.message}", code=error.code, fix=error.fix) from None


def _write(signed: SignedReferenceValues) -> None:
    click.echo(json.dumps(signed.to_json(), indent=2))
