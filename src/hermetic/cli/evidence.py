"""``hermetic evidence``: evidence in files, from anywhere: look at it, verify it, keep it for an auditor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hermetic.cli._evidence_files import complete, complete_offline, endorser, gather, naming, read
from hermetic.cli._evidence_judge import PURPOSES, Question, ear_token, signing_key, time_of
from hermetic.cli._evidence_show import show_description
from hermetic.cli._files import save_file
from hermetic.cli._show import console
from hermetic.cli._verdict import exit_code, fixes, show_verdict

if TYPE_CHECKING:
    from hermetic.sources.collateral import Obtained

__all__ = ["evidence"]

_FILES = click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, dir_okay=False)
)
_COLLATERAL = click.option(
    "--collateral",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder with vendors' documents that were downloaded by hand.",
)
_AT = click.option("--at", help="The time to judge it for, as 2026-11-24T12:00:00Z.  [now]")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


@click.group()
def evidence() -> None:
    """Look at evidence in files, verify it, and keep it for an auditor.

    A file is told by its content: raw reports and quotes, NVIDIA's, dstack's and Confidential Containers' JSON, CMW,
    bundles and attestation reports of Hermetic.  Certificates, lists and collateral complete the evidence beside them.

    \b
    Examples:
      hermetic evidence show quote.bin
      hermetic evidence verify quote.bin --policy policy.toml
      hermetic evidence fetch report.bin --save bundle.json
    """


@evidence.command()
@_FILES
@_JSON
def show(files: tuple[Path, ...], as_json: bool) -> None:
    """What files say, in words.  Nothing is verified.

    \b
    Examples:
      hermetic evidence show report.bin
      hermetic evidence show quote.bin collateral.json --json
    """
    from hermetic.results.describe import describe

    described: dict[str, Any] = {}
    for path in files:
        found = read(path)
        with naming(path):
            described[str(path)] = describe(found)
    if as_json:
        click.echo(json.dumps(described, indent=2))
        return
    for path_shown, description in described.items():
        show_description(path_shown, description)


@evidence.command()
@_FILES
@_AT
@click.option("--nonce", help="The nonce that devices, or an attestation report, must answer: 32 bytes in hex.")
@click.option("--report-data", help="The report data that a bare platform must carry: 64 bytes in hex.")
@click.option(
    "--purpose",
    type=click.Choice(PURPOSES),
    default="session",
    show_default=True,
    help="What an attestation report was made for.",
)
@click.option(
    "--policy", type=click.Path(path_type=Path, dir_okay=False), help="The policy that decides what is accepted."
)
@click.option("--allow-simulated", is_flag=True, help="Accept the simulated vendor that the policy pins.")
@_COLLATERAL
@click.option("--offline", is_flag=True, help="Ask nobody: judge by what came along, the folder and the cache.")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Keep the evidence with its collateral.")
@click.option(
    "--ear",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the result as a signed EAR (JWT).  Of another time than now it affirms nothing.",
)
@click.option("--ear-key", type=click.Path(path_type=Path, dir_okay=False), help="The key that signs it.")
@click.option(
    "--ear-profile",
    type=click.Choice(["veraison", "ietf"]),
    default="veraison",
    show_default=True,
    help="As deployed verifiers spell it, or as draft-ietf-rats-ear-04 does.",
)
@click.option("--verbose", "-v", is_flag=True, help="Every claim, and the evidence of each check in full.")
@_JSON
def verify(
    files: tuple[Path, ...],
    at: str | None,
    nonce: str | None,
    report_data: str | None,
    purpose: str,
    policy: Path | None,
    allow_simulated: bool,
    collateral: Path | None,
    offline: bool,
    save: Path | None,
    ear: Path | None,
    ear_key: Path | None,
    ear_profile: str,
    verbose: bool,
    as_json: bool,
) -> int:
    """Verify evidence to its vendor's root, and appraise it.

    What the vendors' services have to say is fetched where it did not come along.  Exit code 0 means that a policy
    accepted it and that every check was performed and passed.

    \b
    Examples:
      hermetic evidence verify report.bin --policy policy.toml
      hermetic evidence verify quote.bin collateral.json --at 2025-11-04T20:45:20Z --offline
      hermetic evidence verify report.hex chain.pem driver.swidtag vbios.swidtag --nonce 4c…
      hermetic evidence verify bundle.json --policy policy.toml --ear result.jwt --ear-key owner.key
    """
    key = signing_key(ear, ear_key)
    gathered = gather(files)
    question = Question.of(gathered, nonce=nonce, report_data=report_data, purpose=purpose)
    now = time_of(at)
    with endorser(collateral, offline=offline) as vendors:
        if offline:
            gathered = complete_offline(gathered, vendors, now)
        else:
            with console(stderr=True).status("asking the vendors for what did not come along"):
                gathered, _ = complete(gathered, vendors, now)
    verdict = question.judge(gathered, policy, now, allow_simulated=allow_simulated)
    if save is not None:
        save_file(save, gathered.to_bytes())
    if ear is not None and key is not None:
        save_file(ear, ear_token(verdict, key, ear_profile))
    if as_json:
        click.echo(json.dumps(verdict.to_json(), indent=2))
    else:
        show_verdict(verdict, verbose=verbose, fixes=fixes(verdict, allow_simulated=allow_simulated))
    return exit_code(verdict)


@evidence.command()
@_FILES
@_AT
@_COLLATERAL
@click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Where to keep the evidence with its collateral.",
)
@_JSON
def fetch(files: tuple[Path, ...], at: str | None, collateral: Path | None, save: Path, as_json: bool) -> None:
    """Staple to evidence what its vendors say about it today.

    An auditor verifies the bundle years later, offline, for a time at which what is in it holds.  Nothing is verified
    here.

    \b
    Examples:
      hermetic evidence fetch report.bin --save bundle.json
      hermetic evidence verify bundle.json --offline --at 2026-11-24T12:00:00Z
    """
    now = time_of(at)
    with endorser(collateral, offline=False) as vendors, console(stderr=True).status("asking the vendors"):
        gathered, obtained = complete(gather(files), vendors, now)
    save_file(save, gathered.to_bytes())
    if as_json:
        click.echo(json.dumps({"saved": str(save), "documents": [_document(each) for each in obtained]}, indent=2))
        return
    out = console()
    for each in obtained:
        stale = "  (does not hold at this time)" if each.stale else ""
        out.print(
            f"{each.what}: {each.origin}, holds until {each.period.last:%Y-%m-%d %H:%M} UTC{stale}",
            soft_wrap=True,
            markup=False,
        )
    out.print(
        f"saved to {save}; verify it with:\n  hermetic evidence verify {save} --offline --at {now:%Y-%m-%dT%H:%M:%SZ}",
        soft_wrap=True,
        markup=False,
    )


def _document(obtained: Obtained) -> dict[str, Any]:
    return {
        "what": obtained.what,
        "url": obtained.url,
        "origin": str(obtained.origin),
        "holds_from": f"{obtained.period.first:%Y-%m-%dT%H:%M:%SZ}",
        "holds_until": f"{obtained.period.last:%Y-%m-%dT%H:%M:%SZ}",
        "stale": obtained.stale,
    }
