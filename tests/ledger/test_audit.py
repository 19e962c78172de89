"""Auditing a log: every way of tampering with what is served is found, wherever it happens."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import pytest

from hermetic.errors import HermeticError, Malformed, NotAuthentic
from hermetic.ledger import (
    Audit,
    Checkpoint,
    Log,
    NoteSigner,
    Pinned,
    SignedCheckpoint,
    open_checkpoint,
    sign_checkpoint,
    sign_note,
)
from hermetic.ledger.tiles import Bundle, Tile, bundles_of, encode_bundle, parse_bundle, tiles_of
from ledger_support import LOG_KEY, SIGNER, VolatileDisk, commitment, commitments

SIZE = 1000
PINNED_SIZE = 700
PLACES = 25


@dataclass(frozen=True)
class Served:
    """What a log shows to one client: a note, and a body at each path."""

    note: bytes
    bodies: dict[str, bytes]

    def changed(self, path: str, body: bytes | None) -> Served:
        assert self.bodies[path] != body
        bodies = {**self.bodies, path: body} if body is not None else self.bodies.copy()
        if body is None:
            del bodies[path]
        return replace(self, bodies=bodies)

    def entries(self, index: int) -> list[bytes]:
        bundle = _bundle(index)
        return list(parse_bundle(self.bodies[bundle.path], width=bundle.width))

    def with_entries(self, index: int, entries: list[bytes]) -> Served:
        return self.changed(_bundle(index).path, encode_bundle(entries))


def _bundle(index: int) -> Bundle:
    return list(bundles_of(SIZE))[index // 256]


def _serve(log: Log) -> Served:
    resources: list[Bundle | Tile] = [*bundles_of(log.checkpoint.size), *tiles_of(log.checkpoint.size)]
    bodies = {}
    for named in resources:
        resource = log.resource(named.path)
        assert resource is not None
        bodies[named.path] = resource.body
    return Served(note=log.checkpoint.note, bodies=bodies)


def _log_of(entries: list[bytes], signer: NoteSigner = SIGNER) -> Log:
    log = Log.create(VolatileDisk(), signer=signer)
    log.append(entries)
    return log


@cache
def honest() -> tuple[Served, Pinned]:
    """A log of 1,000 entries as it is served, and what a client saw of it before, at 300 and at 700."""
    log = Log.create(VolatileDisk(), signer=SIGNER)
    pinned = Pinned.first(log.append(commitments(0, 300)).checkpoint)
    head = log.append(commitments(300, PINNED_SIZE - 300)).checkpoint
    pinned = pinned.advance(head, log.consistency(300, PINNED_SIZE))
    log.append(commitments(PINNED_SIZE, SIZE - PINNED_SIZE))
    return _serve(log), pinned


def verify(served: Served, pinned: Pinned) -> SignedCheckpoint:
    """What a client does with a log it has seen before."""
    signed = open_checkpoint(served.note, log_key=LOG_KEY)
    audit = Audit(signed.checkpoint, seen={**pinned.earlier, pinned.newest.size: pinned.newest.root})
    for named in audit.resources():
        if named.path not in served.bodies:
            raise NotAuthentic(f"{named.path} is missing", code="log_withheld")
        audit.push(served.bodies[named.path])
    audit.finish()
    return signed


def test_the_honest_log_passes() -> None:
    served, pinned = honest()
    assert verify(served, pinned).size == SIZE


Tamper = Callable[[Served, random.Random], Served]


def flip_a_bit_of_an_entry(served: Served, choose: random.Random) -> Served:
    index = choose.randrange(SIZE)
    entries = served.entries(index)
    entries[index % 256] = _flip(entries[index % 256], choose)
    return served.with_entries(index, entries)


def flip_a_bit_of_a_tile(served: Served, choose: random.Random) -> Served:
    path = choose.choice([tile.path for tile in tiles_of(SIZE)])
    return served.changed(path, _flip(served.bodies[path], choose))


def flip_a_bit_of_the_checkpoint(served: Served, choose: random.Random) -> Served:
    return replace(served, note=_flip(served.note, choose))


def drop_an_entry(served: Served, choose: random.Random) -> Served:
    index = choose.randrange(SIZE)
    entries = served.entries(index)
    del entries[index % 256]
    return served.with_entries(index, entries)


def drop_a_resource(served: Served, choose: random.Random) -> Served:
    return served.changed(choose.choice(sorted(served.bodies)), None)


def insert_an_entry(served: Served, choose: random.Random) -> Served:
    index = choose.randrange(SIZE)
    entries = served.entries(index)
    entries.insert(index % 256, commitment(-1))
    return served.with_entries(index, entries)


def insert_an_entry_for_another(served: Served, choose: random.Random) -> Served:
    index = choose.randrange(SIZE - 1)
    entries = served.entries(index)
    entries.insert(index % 256, commitment(-1))
    entries.pop()
    return served.with_entries(index, entries)


def reorder_two_entries(served: Served, choose: random.Random) -> Served:
    index = choose.randrange(SIZE)
    entries = served.entries(index)
    first, second = choose.sample(range(len(entries)), 2)
    entries[first], entries[second] = entries[second], entries[first]
    return served.with_entries(index, entries)


def duplicate_an_entry(served: Served, choose: random.Random) -> Served:
    index = choose.randrange(SIZE)
    entries = served.entries(index)
    first, second = choose.sample(range(len(entries)), 2)
    entries[first] = entries[second]
    return served.with_entries(index, entries)


def truncate_a_resource(served: Served, choose: random.Random) -> Served:
    path = choose.choice(sorted(served.bodies))
    return served.changed(path, served.bodies[path][: choose.randrange(len(served.bodies[path]))])


def extend_a_resource(served: Served, choose: random.Random) -> Served:
    path = choose.choice(sorted(served.bodies))
    return served.changed(path, served.bodies[path] + choose.randbytes(choose.randint(1, 40)))


def swap_two_tiles(served: Served, choose: random.Random) -> Served:
    first, second = choose.sample([Tile(level=0, index=index).path for index in range(3)], 2)
    return served.changed(first, served.bodies[second]).changed(second, served.bodies[first])


def swap_two_bundles_with_their_tiles(served: Served, choose: random.Random) -> Served:
    first, second = choose.sample(range(3), 2)
    pairs = [
        (Bundle(index=first).path, Bundle(index=second).path),
        (Tile(level=0, index=first).path, Tile(level=0, index=second).path),
    ]
    for one, other in pairs:
        body = served.bodies[one]
        served = served.changed(one, served.bodies[other]).changed(other, body)
    return served


def rewrite_an_entry_and_everything_above(served: Served, choose: random.Random) -> Served:
    entries = list(commitments(0, SIZE))
    entries[choose.randrange(SIZE)] = commitment(-1)
    return replace(_serve(_log_of(entries)), note=served.note)


def fork_and_sign(served: Served, choose: random.Random) -> Served:
    entries = list(commitments(0, SIZE))
    entries[choose.randrange(PINNED_SIZE)] = commitment(-1)
    return _serve(_log_of(entries))


def fork_and_outgrow(served: Served, choose: random.Random) -> Served:
    entries = list(commitments(0, SIZE + choose.randrange(1, 300)))
    entries[choose.randrange(PINNED_SIZE)] = commitment(-1)
    return _serve(_log_of(entries))


def leave_an_entry_out_and_sign(served: Served, choose: random.Random) -> Served:
    entries = list(commitments(0, SIZE + 1))
    del entries[choose.randrange(PINNED_SIZE)]
    return _serve(_log_of(entries))


def roll_back(served: Served, choose: random.Random) -> Served:
    return _serve(_log_of(list(commitments(0, choose.randrange(1, PINNED_SIZE)))))


def sign_another_root(served: Served, choose: random.Random) -> Served:
    checkpoint = Checkpoint(origin=SIGNER.name, size=SIZE, root=choose.randbytes(32))
    return replace(served, note=sign_checkpoint(checkpoint, SIGNER).note)


def sign_another_size(served: Served, choose: random.Random) -> Served:
    root = open_checkpoint(served.note, log_key=LOG_KEY).root
    size = choose.choice([SIZE - 1, SIZE + 1, PINNED_SIZE])
    return replace(served, note=sign_checkpoint(Checkpoint(origin=SIGNER.name, size=size, root=root), SIGNER).note)


def show_another_log_under_the_same_key(served: Served, choose: random.Random) -> Served:
    checkpoint = open_checkpoint(served.note, log_key=LOG_KEY).checkpoint
    other = replace(checkpoint, origin=f"log.example/{choose.randrange(100)}")
    return replace(served, note=bytes(sign_note(other.text(), [SIGNER])))


def sign_with_another_key(served: Served, choose: random.Random) -> Served:
    imposter = NoteSigner.from_seed(SIGNER.name, choose.randbytes(32))
    return _serve(_log_of(list(commitments(0, SIZE)), imposter))


def drop_the_signature(served: Served, choose: random.Random) -> Served:
    text = open_checkpoint(served.note, log_key=LOG_KEY).checkpoint.text()
    stranger = NoteSigner.from_seed("somebody.example", choose.randbytes(32))
    return replace(served, note=bytes(sign_note(text, [stranger])))


OPERATIONS: list[Tamper] = [
    flip_a_bit_of_an_entry,
    flip_a_bit_of_a_tile,
    flip_a_bit_of_the_checkpoint,
    drop_an_entry,
    drop_a_resource,
    insert_an_entry,
    insert_an_entry_for_another,
    reorder_two_entries,
    duplicate_an_entry,
    truncate_a_resource,
    extend_a_resource,
    swap_two_tiles,
    swap_two_bundles_with_their_tiles,
    rewrite_an_entry_and_everything_above,
    fork_and_sign,
    fork_and_outgrow,
    leave_an_entry_out_and_sign,
    roll_back,
    sign_another_root,
    sign_another_size,
    show_another_log_under_the_same_key,
    sign_with_another_key,
    drop_the_signature,
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_tampering_is_found_wherever_it_happens(operation: Tamper) -> None:
    served, pinned = honest()
    for seed in range(PLACES):
        with pytest.raises((NotAuthentic, Malformed)):
            verify(operation(served, random.Random(seed)), pinned)


@pytest.mark.parametrize(
    ("operation", "code"), [(fork_and_sign, "log_fork"), (fork_and_outgrow, "log_fork"), (roll_back, "log_rollback")]
)
def test_a_log_that_takes_something_back_is_named_so(operation: Tamper, code: str) -> None:
    served, pinned = honest()
    with pytest.raises(HermeticError) as refusal:
        verify(operation(served, random.Random(1)), pinned)
    assert refusal.value.code == code


def test_a_log_that_was_not_read_to_its_end_is_not_verified() -> None:
    served, _ = honest()
    audit = Audit(open_checkpoint(served.note, log_key=LOG_KEY).checkpoint)
    for named in list(audit.resources())[:-1]:
        audit.push(served.bodies[named.path])
    with pytest.raises(NotAuthentic, match="not read to its end"):
        audit.finish()


def test_nothing_comes_after_the_end() -> None:
    audit = Audit(Log.create(VolatileDisk(), signer=SIGNER).checkpoint.checkpoint)
    with pytest.raises(Malformed, match="no further"):
        audit.push(b"")
    audit.finish()


def test_entries_of_another_length_are_refused() -> None:
    audit = Audit(Checkpoint(origin=SIGNER.name, size=1, root=bytes(32)))
    with pytest.raises(Malformed, match="32 bytes"):
        audit.push(encode_bundle([bytes(33)]))


def test_a_folder_is_audited_by_its_entries_alone() -> None:
    served, _ = honest()
    audit = Audit(open_checkpoint(served.note, log_key=LOG_KEY).checkpoint, tiles=False)
    named = list(audit.resources())
    assert all(isinstance(resource, Bundle) for resource in named)
    for resource in named:
        audit.push(served.bodies[resource.path])
    audit.finish()


def _flip(data: bytes, choose: random.Random) -> bytes:
    changed = bytearray(data)
    changed[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
    return bytes(changed)
