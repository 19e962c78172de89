"""``hermetic keygen``, ``seal`` and ``open``: age files, and bundles of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hermetic.errors import Misconfigured

if TYPE_CHECKING:
    from hermetic.seal import Bundle

__all__ = ["keygen", "open_", "seal"]

_PATH = click.Path(path_type=Path)
_PATH_OR_DASH = click.Path(path_type=Path, allow_dash=True)


@click.command()
@click.option("--classic", is_flag=True, help="X25519: files that every age client opens; not post-quantum.")
@click.option("--owner", is_flag=True, help="A signing key instead, for the owner of models or data.")
@click.option("--output", "-o", type=_PATH, help="The secret's file.  [hermetic.key; owner.key]")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def keygen(classic: bool, owner: bool, output: Path | None, as_json: bool) -> None:
    """Make a key to seal for, or to sign as an owner.

    Prints its public side; the secret goes to a file that only you can read.  Without options it is a post-quantum
    hybrid key to seal for; age 1.3 and later open its files.

    \b
    Examples:
      hermetic keygen                        prints age1pq1…, writes hermetic.key
      hermetic keygen --classic -o old.key   for people whose age is older than 1.3
      hermetic keygen --owner                to sign versions of models and data with
    """
    from hermetic.cli._keys import write_secret

    if classic and owner:
        raise Misconfigured("give --classic or --owner, not both", fix="an owner's key signs; it does not seal")
    kind = "owner" if owner else "classic" if classic else "post-quantum"
    public, secret = _owner_key() if owner else _sealing_key(classic)
    path = output or Path("owner.key" if owner else "hermetic.key")
    write_secret(path, secret)
    if as_json:
        click.echo(json.dumps({"kind": kind, "public": public, "file": str(path)}))
        return
    click.echo(public)
    click.echo(f"the secret is in {path}, readable by you alone: keep it, and keep it secret", err=True)


@click.command()
@click.argument("path", type=_PATH_OR_DASH)
@click.option("--recipient", "-r", "recipients", multiple=True, required=True, help="age1…, or a file of them: @FILE.")
@click.option("--output", "-o", type=_PATH_OR_DASH, help="Where to.  [PATH.age; for a bundle PATH.bundle]")
@click.option(
    "--bundle", "as_bundle", is_flag=True, help="Make a bundle of a single file too; so do all options of bundles."
)
@click.option("--kind", type=click.Choice(["model", "data"]), help="Bundle: what it is.  [by the files' names]")
@click.option("--name", help="Bundle: its name.  [PATH's]")
@click.option("--licence", "--license", "licence", default="", help="Bundle: SPDX expression, such as Apache-2.0.")
@click.option("--resource", help="Bundle: broker/tenant/name of which it is a version.")
@click.option("--version", "version", help="Bundle: that version's name.")
@click.option("--sign", "owner_key", type=_PATH, help="Bundle: the owner's key (hermetic keygen --owner).")
@click.option("--force", is_flag=True, help="Replace what is at the output.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def seal(
    path: Path,
    recipients: tuple[str, ...],
    output: Path | None,
    as_bundle: bool,
    as_json: bool,
    force: bool,
    owner_key: Path | None,
    **described: str | None,
) -> None:
    """Encrypt a file or a folder to recipients.

    A file becomes an age file.  A folder becomes a bundle: an age file for each file, and a manifest whose digest names
    the bundle in policies and receipts.  The recipient decides whether it is post-quantum.

    \b
    Examples:
      hermetic seal report.pdf -r age1pq1…
      hermetic seal my-model/ -r @broker.pub --licence Apache-2.0
      hermetic seal smol.gguf -r @broker.pub --resource broker/acme/smol --version 1 --sign owner.key
      tar c records | hermetic seal - -r age1pq1… -o records.tar.age
    """
    from hermetic.cli import _sealing
    from hermetic.cli._keys import read_recipients

    to = read_recipients(recipients)
    if as_bundle or path.is_dir() or owner_key is not None or any(described.values()):
        sign = _sealing.signing(described.pop("resource"), described.pop("version"), owner_key)
        bundle = _sealing.seal_bundle(path, output, to, sign=sign, force=force, **described)
        _tell_bundle(bundle, as_json)
        return
    result = _sealing.seal_file(path, output, to, force=force)
    if as_json:
        click.echo(json.dumps(result), err=result["output"] == "-")
    elif result["output"] != "-":
        strength = "post-quantum" if result["post_quantum"] else "classic"
        click.echo(f"sealed into {result['output']} for {len(to)} recipient(s), {strength}", err=True)


@click.command("open")
@click.argument("path", type=_PATH_OR_DASH)
@click.option("--identity", "-i", "identities", type=_PATH, multiple=True, required=True, help="Your key file.")
@click.option("--output", "-o", type=_PATH_OR_DASH, help="Where to.  [PATH without .age or .bundle]")
@click.option("--owner", help="Bundle: open it only if this owner (ed25519:…) signed it.")
@click.option("--manifest", "manifest_digest", help="Bundle: open it only if its manifest is this one (sha256:…).")
@click.option("--force", is_flag=True, help="Replace what is at the output.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def open_(
    path: Path,
    identities: tuple[Path, ...],
    output: Path | None,
    owner: str | None,
    manifest_digest: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Decrypt what was sealed for your key.

    It opens age files and bundles.  The output appears only once everything has been checked.  To a pipe (-o -) bytes
    are written as they are checked, and only exit code 0 says that they are all.

    \b
    Examples:
      hermetic open report.pdf.age -i hermetic.key
      hermetic open my-model.bundle -i hermetic.key --owner ed25519:…
      hermetic open records.tar.age -i hermetic.key -o - | tar x
    """
    from hermetic.cli import _sealing
    from hermetic.cli._keys import read_identities

    keys = read_identities(identities)
    if path.is_dir():
        result = _sealing.open_bundle(path, output, keys, owner=owner, manifest_digest=manifest_digest, force=force)
    elif owner or manifest_digest:
        raise Misconfigured(f"{path} is not a bundle: nobody signed it", fix="leave out --owner and --manifest")
    else:
        result = _sealing.open_file(path, output, keys, force=force)
    if as_json:
        click.echo(json.dumps(result), err=result["output"] == "-")
    elif result["output"] != "-":
        click.echo(f"opened into {result['output']}", err=True)
        if "vouched_by" in result:
            click.echo(_vouched(result["vouched_by"]), err=True)


def _sealing_key(classic: bool) -> tuple[str, str]:
    from hermetic.seal import generate_identity

    identity = generate_identity(classic=classic)
    recipient = str(identity.recipient())
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return recipient, f"# created: {now}\n# public key: {recipient}\n{identity.reveal()}\n"


def _owner_key() -> tuple[str, str]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from hermetic.seal import encode_owner_key, owner_name

    key = Ed25519PrivateKey.generate()
    return owner_name(key), encode_owner_key(key).decode("ascii")


def _tell_bundle(bundle: Bundle, as_json: bool) -> None:
    manifest = bundle.manifest
    signed = bundle.signed_version()
    if as_json:
        click.echo(json.dumps(_bundle_json(bundle)))
        return
    click.echo(bundle.manifest_digest)
    licence = manifest.licence or "no licence given"
    click.echo(f"sealed {len(manifest.files)} file(s), {manifest.size} bytes, into {bundle.path}", err=True)
    click.echo(f"{manifest.kind} {manifest.name!r}, {licence}; above: the manifest's digest", err=True)
    if signed is None:
        click.echo("no version was signed (--resource, --version, --sign): a broker will ask for one", err=True)


def _bundle_json(bundle: Bundle) -> dict[str, Any]:
    signed = bundle.signed_version()
    manifest = bundle.manifest
    return {
        "output": str(bundle.path),
        "manifest_digest": bundle.manifest_digest,
        "kind": manifest.kind.value,
        "name": manifest.name,
        "licence": manifest.licence,
        "files": [
            {"name": file.name, "size": file.size, "header_digest": bundle.header(file).digest}
            for file in manifest.files
        ],
        "version": None if signed is None else signed.to_json(),
    }


def _vouched(vouched_by: list[str]) -> str:
    if vouched_by:
        return f"its manifest is vouched for by {' and '.join(vouched_by)}"
    return "NOT CHECKED who made this bundle: give --owner or --manifest (anybody can seal to a public key)"
