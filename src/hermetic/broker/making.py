"""Making a resource, once, and getting its identity back each time the broker starts.

The identity is born here, is stored sealed in its place, and leaves in no answer.  Its making is an entry of the log
that fixes class, owner and recipient; a row that says anything else than the newest such entry refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hermetic.broker.config import ResourceClass, ResourceConfig
from hermetic.broker.journal import Record
from hermetic.broker.store import Entry, ResourceRow, Store
from hermetic.broker.vault import Place, Vault
from hermetic.errors import Misconfigured, NotAuthentic
from hermetic.identity import format_ed25519
from hermetic.ledger import Log, leaf_commitment
from hermetic.release import Made, open_signed
from hermetic.seal import Identity, generate_identity, parse_identity
from hermetic.wire import parse_object

__all__ = ["Keeper", "load_resource", "make_resource"]

_GENERATION = 1  # of the identity; rotating it comes with approvals


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """A resource's identity, out of its envelope: what unwraps file keys.  In memory while the broker runs."""

    name: str
    resource_class: ResourceClass
    owner: str
    recipient: str
    identity: Identity = field(repr=False)


def make_resource(config: ResourceConfig, *, vault: Vault, key: Ed25519PrivateKey, at: int) -> Record:
    """A record that makes the resource when the journal writes it."""
    identity = generate_identity()
    made = Made(
        at=at,
        broker_key=format_ed25519(key.public_key().public_bytes_raw()),
        resource=config.name,
        resource_class=config.resource_class,
        owner=config.owner,
        recipient=str(identity.recipient()),
        generation=_GENERATION,
    )

    def store_identity(store: Store, log_index: int) -> None:
        store.add_resource(
            ResourceRow(
                name=made.resource,
                resource_class=made.resource_class,
                owner=made.owner,
                recipient=made.recipient,
                generation=made.generation,
                log_index=log_index,
                envelope=vault.seal(identity.reveal().encode(), _place(config, made.generation, log_index)),
            )
        )

    return Record.of(made, at=at, key=key, also=store_identity)


def load_resource(config: ResourceConfig, *, store: Store, log: Log, vault: Vault, broker_key: str) -> Keeper:
    """The resource's identity, out of its envelope.

    Raises Misconfigured if it was never made, or if the configuration now says another class or owner; NotAuthentic if
    its row was changed, swapped with another's, or put back from an older copy.
    """
    row = store.resource(config.name)
    if row is None:
        raise Misconfigured(
            f"{config.name} has not been made",
            code="resource_not_made",
            fix="run `hermetic broker init` again: it makes new resources and leaves the others as they are",
        )
    # 1. What was fixed when it was made is what the configuration says today.
    _fixed(config, "class", made=row.resource_class, now=config.resource_class)
    _fixed(config, "owner", made=row.owner, now=config.owner)
    # 2. The row says what the newest entry about its making says, and that entry is in the log.
    made, log_index = _newest_making(config.name, store=store, log=log, broker_key=broker_key)
    recorded = (made.resource_class, made.owner, made.recipient, made.generation, log_index)
    if recorded != (row.resource_class, row.owner, row.recipient, row.generation, row.log_index):
        raise _altered(config.name)
    # 3. The envelope opens in this place only.
    place = _place(config, row.generation, row.log_index)
    identity = parse_identity(vault.open(row.envelope, place).decode())
    return Keeper(
        name=config.name,
        resource_class=config.resource_class,
        owner=config.owner,
        recipient=row.recipient,
        identity=identity,
    )


def _fixed(config: ResourceConfig, what: str, *, made: str, now: str) -> None:
    if made != now:
        raise Misconfigured(
            f"{config.name}: its {what} was fixed as {made} when it was made; the configuration says {now}",
            code=f"resource_{what}",
            fix=f'put {what} = "{made}" back, or configure a new resource under another name',
        )


def _newest_making(name: str, *, store: Store, log: Log, broker_key: str) -> tuple[Made, int]:
    for entry in reversed(store.entries_of(Made.TYPE)):
        made = _read(entry, log, name, broker_key)
        if made.resource == name:
            return made, entry.log_index
    raise _altered(name)


def _read(entry: Entry, log: Log, name: str, broker_key: str) -> Made:
    """The document behind an entry, once the log is known to hold it at that index."""
    if entry.document is None or entry.salt is None:
        raise _altered(name)
    if not entry.leaf == leaf_commitment(entry.salt, entry.document) == log.entry(entry.log_index):
        raise _altered(name)
    return open_signed(parse_object(entry.document, what="journal entry"), Made, broker_key=broker_key)


def _place(config: ResourceConfig, generation: int, log_index: int) -> Place:
    return Place(table="resources", tenant=config.tenant, name=config.name, generation=generation, log_index=log_index)


def _altered(name: str) -> NotAuthentic:
    return NotAuthentic(
        f"what is stored about {name} is not what the log recorded when it was made",
        code="resource_altered",
        fix="the database was altered or put back in part; restore database and log from one backup",
    )
