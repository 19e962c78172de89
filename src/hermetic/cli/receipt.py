"""``hermetic receipt``: what a workload signed about one exchange, examined check by check."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hermetic.cli import EXIT_INCOMPLETE, EXIT_REFUSED
from hermetic.cli._target import Target, verification_options, verifier
from hermetic.errors import Malformed, Misconfigured, NotAuthentic

if TYPE_CHECKING:
    from hermetic.identity import Claims
    from hermetic.ledger import PinnedCheckpoints, ReceiptFile, VerifierKey
    from hermetic.policy import Policy
    from hermetic.verify import Check

__all__ = ["receipt"]

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def receipt() -> None:
    """Check what a workload signed about its work.

    \b
    Example:
      hermetic receipt verify receipt.json --policy policy.toml --request request.json --response response.json
    """


@receipt.command(short_help="Check a saved receipt, offline.")
@click.argument("file", type=_FILE)
@click.option("--request", type=_FILE, help="The exact bytes of the request, as they were sent.")
@click.option("--response", type=_FILE, help="The exact bytes of the response, as they came.")
@verification_options
@click.option("--log-key", metavar="VKEY", help="The log's key.  Default: the policy's, or as remembered.")
@click.option("--log", "log_at", metavar="URL|DIR", help="Read the whole log too, and tie the receipt's place to it.")
@click.option("--verbose", "-v", is_flag=True, help="Show the evidence of each check in full.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def verify(
    file: Path,
    request: Path | None,
    response: Path | None,
    policy: Path | None,
    allow_simulated: bool,
    log_key: str | None,
    log_at: str | None,
    verbose: bool,
    as_json: bool,
) -> int:
    """Check a saved receipt, offline: signature, signer, bodies, model, place in the log.

    With a policy, the attestation report saved with it is judged too, for the time at which the receipt was signed.
    Without one, a good signature says nothing about who holds the key.

    Exit codes: 0 everything was checked and holds, 1 something does not hold, 3 something could not be checked
    (pending in the log, no policy, no bytes to compare), which proves less than it seems.

    \b
    Examples:
      hermetic receipt verify receipt.json --policy policy.toml --request request.json --response response.json
      hermetic receipt verify receipt.json … --log http://127.0.0.1:8481
      hermetic receipt verify receipt.json                     signature only
    """
    from hermetic.ledger import ReceiptFile, examine

    saved = ReceiptFile.from_bytes(_read(file))
    judge = verifier(Target(url="", policy=policy, allow_simulated=allow_simulated))
    claims: Claims | None = None
    refused: tuple[Check, ...] = ()
    if saved.attestation is not None and judge.policy is not None:
        # The host owns the clock that wrote served_at.  A later time than now would only help a report not yet valid.
        at = min(judge.clock.now(), datetime.fromtimestamp(saved.receipt.served_at, UTC))
        try:
            claims = judge.authenticate(saved.attestation, nonce=None, at=at)
        except NotAuthentic as error:
            refused = _refusal(error)
    key = _log_key(saved, log_key, judge.policy)
    log_checks = _read_log(log_at, saved, key) if log_at else ()
    pinned = _pins().get(key) if key else None
    checks = (
        *refused,
        *examine(
            saved,
            claims=claims,
            policy=judge.policy,
            request=_read(request) if request else None,
            response=_read(response) if response else None,
            log_key=key,
            pinned=pinned,
        ),
        *log_checks,
    )
    return _print(saved, checks, claims, judge.policy, verbose=verbose, as_json=as_json)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from error


def _refusal(error: NotAuthentic) -> tuple[Check, ...]:
    """The checks that led to the refusal of the report; at least one of them failed."""
    from hermetic.verify import Check, Outcome

    if any(check.outcome is Outcome.FAIL for check in error.checks):
        return error.checks
    return (
        *error.checks,
        Check(
            name=error.code,
            title="The attestation report is authentic",
            outcome=Outcome.FAIL,
            expected="a report that verifies",
            got=error.message,
            section="attestation report",
            fix=error.fix,
        ),
    )


def _log_key(saved: ReceiptFile, text: str | None, policy: Policy | None) -> VerifierKey | None:
    """The key of the log that the receipt must stand in: one of the policy's, else as given or as remembered.

    Raises Misconfigured where a key is given and the policy names others.
    """
    from hermetic.ledger import VerifierKey

    stated = [VerifierKey.parse(key) for key in (policy.log_keys if policy else ())]
    given = VerifierKey.parse(text) if text else None
    if given is not None and stated and given not in stated:
        raise Misconfigured("--log-key is none of the policy's log_keys", fix="leave it out, or add it to the policy")
    if given is not None:
        return given
    if stated:
        # Where the receipt names another log, it is held against one of these, and does not hold.
        return next((key for key in stated if key.name == _origin(saved)), stated[0])
    return _pins().keys().get(_origin(saved))


def _read_log(where: str, saved: ReceiptFile, key: VerifierKey | None) -> tuple[Check, ...]:
    """Reads the log; that it holds together is one check more, and what it proves is remembered."""
    from hermetic.cli.log import audit_log
    from hermetic.ledger import open_checkpoint
    from hermetic.verify import Outcome

    also = None
    if key is not None and saved.inclusion is not None:
        with contextlib.suppress(Malformed, NotAuthentic):  # examine() refuses it, and says why
            also = open_checkpoint(saved.inclusion.note, log_key=key)
    _, found = audit_log(where, key_of=lambda _: key, pins=_pins(), also=also)
    return tuple(check for check in found if check.name == "log.entries" or check.outcome is Outcome.FAIL)


def _pins() -> PinnedCheckpoints:
    from hermetic.client.folders import state_folder
    from hermetic.ledger import PinnedCheckpoints

    return PinnedCheckpoints(state_folder() / "checkpoints.json")


def _origin(saved: ReceiptFile) -> str:
    """Which log the receipt says it is in.  Only chooses which remembered key to try."""
    from hermetic.ledger import parse_checkpoint, parse_note

    if saved.inclusion is None:
        return ""
    try:
        return parse_checkpoint(parse_note(saved.inclusion.note).text).origin
    except Malformed:
        return ""  # examine() refuses it, and says why


def _print(
    saved: ReceiptFile,
    checks: tuple[Check, ...],
    claims: Claims | None,
    policy: Policy | None,
    *,
    verbose: bool,
    as_json: bool,
) -> int:
    from rich.markup import escape

    from hermetic.cli._show import advice, checks_table, console, show_conclusion, simulated_banner
    from hermetic.ledger import EventType, conclude
    from hermetic.verify import Outcome

    verdict, code = {
        Outcome.PASS: ("proven", 0),
        Outcome.FAIL: ("refused", EXIT_REFUSED),
        Outcome.NOT_PERFORMED: ("incomplete", EXIT_INCOMPLETE),
    }[conclude(checks)]
    receipt = saved.receipt
    when = datetime.fromtimestamp(receipt.served_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if as_json:
        document = {
            "verdict": verdict,
            "receipt_id": receipt.receipt_id,
            "model": receipt.model,
            "manifest_digest": receipt.digest(EventType.MODEL),
            "served_at": when,
            "pending": saved.inclusion is None,
            "simulated": claims.simulated if claims else None,
            "policy_digest": policy.digest if policy else None,
            "checks": [check.to_json() for check in checks],
        }
        click.echo(json.dumps(document, indent=2))
        return code
    out = console()
    if claims is not None:
        simulated_banner(out, claims)
    about = f"receipt [bold]{escape(receipt.receipt_id)}[/] · {escape(receipt.model or receipt.endpoint)} · {when}\n"
    out.print(about, soft_wrap=True)
    out.print(checks_table(checks, verbose=verbose))
    show_conclusion(out, verdict, checks, advice(checks))
    return code
