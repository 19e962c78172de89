"""``hermetic log``: a transparency log, read from its first entry to its last."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hermetic.cli import EXIT_INCOMPLETE, EXIT_REFUSED, EXIT_UNAVAILABLE
from hermetic.errors import Refused

if TYPE_CHECKING:
    from hermetic.cli._log_source import Source
    from hermetic.ledger import Audit, Checkpoint, Pinned, PinnedCheckpoints, SignedCheckpoint, VerifierKey
    from hermetic.verify import Check

__all__ = ["audit_log", "log"]

_SECTION = "c2sp: tlog-checkpoint, tlog-tiles"


@click.group()
def log() -> None:
    """Check a transparency log from first entry to last.

    \b
    Examples:
      hermetic log verify http://127.0.0.1:8481 --log-key broker.example+1234abcd+AQ…
      hermetic log watch http://127.0.0.1:8481 --log-key broker.example+1234abcd+AQ…
    """


@log.command(short_help="Read a whole log, from first entry to last.")
@click.argument("where", metavar="URL|DIR")
@click.option("--log-key", metavar="VKEY", help="The log's key, as its keeper publishes it; remembered from then on.")
@click.option("--policy", type=click.Path(path_type=Path, dir_okay=False), help="Take the log's key from this policy.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def verify(where: str, log_key: str | None, policy: Path | None, as_json: bool) -> int:
    """Read a whole log: every entry, every tile, the signed root, and whether it continues what was seen before.

    The newest checkpoint is then remembered, so that the log cannot take anything back unnoticed.

    Exit codes: 0 everything holds, 1 something does not, 3 the log's key is unknown, so nobody vouches for the root.

    \b
    Examples:
      hermetic log verify http://127.0.0.1:8481 --log-key broker.example+1234abcd+AQ…
      hermetic log verify http://127.0.0.1:8481 --policy policy.toml
      hermetic log verify broker-data/log
    """
    claimed, checks = _audit_remembered(where, log_key, policy)
    return _print(claimed, checks, as_json=as_json)


@log.command(short_help="Look at a log again and again; stop with an alarm.")
@click.argument("where", metavar="URL|DIR")
@click.option("--log-key", metavar="VKEY", help="The log's key, as its keeper publishes it; remembered from then on.")
@click.option("--policy", type=click.Path(path_type=Path, dir_okay=False), help="Take the log's key from this policy.")
@click.option(
    "--every", type=click.FloatRange(min=0.1), default=60.0, show_default=True, metavar="SECONDS", help="Between looks."
)
@click.option("--looks", type=click.IntRange(min=1), help="Stop after this many; without it, never.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output.")
def watch(where: str, log_key: str | None, policy: Path | None, every: float, looks: int | None, as_json: bool) -> int:
    """Look at a log again and again: every entry, every tile, the signed root, and that nothing seen was taken back.

    Each look reads the whole log and remembers its checkpoint.  A fork, a step back, an entry that is missing or
    another key is an alarm, and ends the watch.  A server that does not answer is told, and asked again.  That a log
    stands still is no alarm: the size in each line shows it.

    Exit codes: 0 the last look held, 1 an alarm, 3 the log's key is unknown, 4 nobody answered the last look.

    \b
    Examples:
      hermetic log watch http://127.0.0.1:8481 --log-key broker.example+1234abcd+AQ…
      hermetic log watch broker-data/log --every 10 --looks 6 --json
    """
    from hermetic.cli._log_watch import exit_code, tell_look, watch_log

    code = EXIT_UNAVAILABLE
    for look in watch_log(lambda: _audit_remembered(where, log_key, policy), seconds=every, looks=looks):
        tell_look(look, as_json=as_json)
        code = exit_code(look)
    return code


def _audit_remembered(where: str, log_key: str | None, policy: Path | None) -> tuple[Checkpoint, tuple[Check, ...]]:
    """:func:`audit_log` with the key that was given, or is remembered, and with this user's remembered checkpoints."""
    from hermetic.client.folders import state_folder
    from hermetic.ledger import PinnedCheckpoints, VerifierKey

    pins = PinnedCheckpoints(state_folder() / "checkpoints.json")

    def key_of(origin: str) -> VerifierKey | None:
        return VerifierKey.parse(log_key) if log_key else _known(origin, policy, pins)

    return audit_log(where, key_of=key_of, pins=pins)


def audit_log(
    where: str,
    *,
    key_of: Callable[[str], VerifierKey | None],
    pins: PinnedCheckpoints,
    also: SignedCheckpoint | None = None,
) -> tuple[Checkpoint, tuple[Check, ...]]:
    """Reads the whole log at ``where``: its checkpoint as claimed, and what was checked of it.

    ``key_of`` gives the key of the log of that name.  The newest checkpoint is kept in ``pins``, and so is ``also``, an
    earlier one from elsewhere (a receipt), once the newest is proved to continue it.
    """
    from hermetic.cli._log_source import open_source
    from hermetic.ledger import parse_checkpoint, parse_note

    with open_source(where) as source:
        note = source.fetch("checkpoint")
        claimed = parse_checkpoint(parse_note(note).text)
        return claimed, tuple(_examine(source, note, claimed, key_of(claimed.origin), pins, also))


def _known(origin: str, policy: Path | None, pins: PinnedCheckpoints) -> VerifierKey | None:
    """The key of the log of that name: one of the policy's where it names any, else as remembered."""
    from hermetic.ledger import VerifierKey
    from hermetic.policy import Policy

    stated = [VerifierKey.parse(key) for key in (Policy.load(policy).log_keys if policy else ())]
    if stated:
        # Another log is held against one of these, and does not hold.
        return next((key for key in stated if key.name == origin), stated[0])
    return pins.keys().get(origin)


def _examine(
    source: Source,
    note: bytes,
    claimed: Checkpoint,
    key: VerifierKey | None,
    pins: PinnedCheckpoints,
    also: SignedCheckpoint | None,
) -> Iterator[Check]:
    """Stops at the first check that fails: what comes after would only repeat it."""
    from hermetic.ledger import Audit, open_checkpoint
    from hermetic.ledger.question import Question

    # 1. The log's key signed the checkpoint.
    question = Question(name="log.checkpoint", title="The log's key signed the checkpoint", section=_SECTION)
    signed, pinned = None, None
    if key is None:
        yield question.unanswered(
            expected="the log's key",
            got="none given, none remembered",
            fix="give --log-key, as its keeper publishes it",
        )
    else:
        try:
            signed = open_checkpoint(note, log_key=key)
            pinned = pins.get(key)
        except Refused as error:
            yield question.refused(error, expected=str(key))
            return
        yield question.judge(True, expected=str(key), got=str(claimed))
    # 2. Every entry and tile, the root, and on the way every root seen before.
    question = Question(name="log.entries", title="All entries and tiles lead to the signed root", section=_SECTION)
    expected = f"root {claimed.root.hex()}"
    try:
        audit = Audit(claimed, seen=_seen(pinned), tiles=source.tiles)
        _read_through(source, audit, claimed)
    except Refused as error:
        yield question.refused(error, expected=expected)
        return
    yield question.judge(True, expected=expected, got=f"{audit.entries} entries")
    # 3. It continues what was seen before, and is remembered.
    if signed is None:
        return
    question = Question(name="log.consistency", title="It continues all we saw of it before", section=_SECTION)
    expected = str(pinned.newest.checkpoint) if pinned else "nothing, at first sight"
    try:
        _remember(source, audit, signed, pinned, pins, also)
    except Refused as error:
        yield question.refused(error, expected=expected)
        return
    if pinned is not None:
        yield question.judge(True, expected=expected, got=f"{len(_seen(pinned))} checkpoint(s) seen before lead to it")


def _seen(pinned: Pinned | None) -> dict[int, bytes]:
    return {} if pinned is None else {**pinned.earlier, pinned.newest.size: pinned.newest.root}


def _read_through(source: Source, audit: Audit, claimed: Checkpoint) -> None:
    from hermetic.cli._log_source import fetch_ahead

    paths = [resource.path for resource in audit.resources()]
    with _bar(f"reading {claimed.origin}", len(paths)) as advance:
        for body in fetch_ahead(source, paths):
            audit.push(body)
            advance()
    audit.finish()


def _remember(
    source: Source,
    audit: Audit,
    signed: SignedCheckpoint,
    pinned: Pinned | None,
    pins: PinnedCheckpoints,
    also: SignedCheckpoint | None,
) -> None:
    """Keeps the checkpoint, with the proof that it continues the last one, made from what was just recomputed."""
    from hermetic.ledger.merkle import consistency_proof, leaf_hash
    from hermetic.ledger.tiles import Bundle, Tile, TileNodes, parse_bundle

    def read(tile: Tile) -> bytes:
        if tile.level:
            return audit.tile(tile)
        bundle = Bundle(index=tile.index, width=tile.width)
        return b"".join(map(leaf_hash, parse_bundle(source.fetch(bundle.path), width=bundle.width)))

    nodes = TileNodes(read).at(signed.size)
    old_size = pinned.newest.size if pinned else 0
    pins.advance(signed, consistency_proof(old_size, signed.size, nodes))
    if also is not None and also.origin == signed.origin and also.size <= signed.size:
        pins.admit(also, consistency_proof(also.size, signed.size, nodes))


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Progress on a terminal, nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)


def _print(claimed: Checkpoint, checks: tuple[Check, ...], *, as_json: bool) -> int:
    from rich.markup import escape

    from hermetic.cli._show import advice, checks_table, console, show_conclusion
    from hermetic.ledger import conclude
    from hermetic.verify import Outcome

    verdict, code = {
        Outcome.PASS: ("verified", 0),
        Outcome.FAIL: ("refused", EXIT_REFUSED),
        Outcome.NOT_PERFORMED: ("incomplete", EXIT_INCOMPLETE),
    }[conclude(checks)]
    if as_json:
        document = {
            "verdict": verdict,
            "origin": claimed.origin,
            "size": claimed.size,
            "root": claimed.root.hex(),
            "first_seen": not any(check.name == "log.consistency" for check in checks),
            "checks": [check.to_json() for check in checks],
        }
        click.echo(json.dumps(document, indent=2))
        return code
    out = console()
    out.print(f"log [bold]{escape(claimed.origin)}[/] · {claimed.size} entries\n")
    out.print(checks_table(checks))
    show_conclusion(out, verdict, checks, advice(checks))
    return code
