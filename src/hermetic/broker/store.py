"""The repository: everything the broker keeps, in one SQLite database (WAL, synchronous=FULL).

    signing_keys   the identity key and the log's key, sealed
    resources      each resource's age identity, sealed
    entries        one row for every leaf of the log, in order, with the document behind it where the broker wrote it
    decisions      what was decided, for the owner's view; decided: by resource
    grants         keysets that were given a key, and until when: they may append receipts

Rows are only ever added.  Nothing here decides, seals or verifies; one writer at a time, readers never wait for it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hermetic.errors import Misconfigured, NotAuthentic
from hermetic.wire import Digest

__all__ = ["DecisionRow", "Entry", "GrantRow", "ResourceRow", "Store"]

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE signing_keys (
    role TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    envelope BLOB NOT NULL
) STRICT;
CREATE TABLE entries (
    log_index INTEGER PRIMARY KEY,
    leaf BLOB NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    document BLOB,
    salt BLOB
) STRICT;
CREATE INDEX entries_by_kind ON entries (kind, log_index);
CREATE TABLE resources (
    name TEXT PRIMARY KEY,
    class TEXT NOT NULL,
    owner TEXT NOT NULL,
    recipient TEXT NOT NULL,
    generation INTEGER NOT NULL,
    log_index INTEGER NOT NULL REFERENCES entries,
    envelope BLOB NOT NULL
) STRICT;
CREATE TABLE standings (
    log_index INTEGER PRIMARY KEY REFERENCES entries,
    resource TEXT NOT NULL,
    policy_epoch INTEGER NOT NULL,
    digest TEXT NOT NULL
) STRICT;
CREATE TABLE decisions (
    log_index INTEGER PRIMARY KEY REFERENCES entries,
    decision_id TEXT NOT NULL UNIQUE,
    findings TEXT NOT NULL
) STRICT;
CREATE TABLE decided (
    resource TEXT NOT NULL,
    log_index INTEGER NOT NULL REFERENCES decisions,
    PRIMARY KEY (resource, log_index)
) STRICT, WITHOUT ROWID;
CREATE TABLE grants (
    keyset_digest TEXT PRIMARY KEY,
    not_after INTEGER NOT NULL,
    receipt_keys TEXT NOT NULL
) STRICT;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One leaf of the log.  ``document`` (signed, canonical) and ``salt`` are the broker's own; a workload's receipt
    comes as a bare leaf and has neither.  ``at`` is Unix seconds."""

    log_index: int
    leaf: bytes
    at: int
    kind: str
    document: bytes | None = None
    salt: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRow:
    """A resource and its sealed identity.  ``log_index`` is the entry that recorded its making."""

    name: str
    resource_class: str
    owner: str
    recipient: str
    generation: int
    log_index: int
    envelope: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """A decision and, as JSON, what its owner should know about it."""

    entry: Entry
    decision_id: str
    findings: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRow:
    """A keyset that was given a key.  ``receipt_keys`` maps key ids to Ed25519 public keys; ``not_after`` is Unix
    seconds."""

    keyset_digest: Digest
    not_after: int
    receipt_keys: Mapping[str, bytes]


class Store:
    """One database.  Thread-safe; :meth:`writing` is one durable transaction."""

    def __init__(self, path: Path, *, make: bool = False) -> None:
        """Opens the database, or makes it.  Raises Misconfigured if there is none or it is of another version."""
        if not make and not path.exists():
            raise Misconfigured(
                f"there is no broker at {path.parent}",
                code="not_initialised",
                fix="hermetic broker init --config broker.toml",
            )
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0 and make:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")
        elif version != _SCHEMA_VERSION:
            self._db.close()
            raise Misconfigured(f"{path} is not a broker's database of version {_SCHEMA_VERSION}", code="store_version")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction: durable when the block ends, undone if it raises."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    # --- signing keys ---------------------------------------------------------------------------------------------

    def add_signing_key(self, role: str, *, name: str, envelope: bytes) -> None:
        """``name`` is under which the key signs: the log's origin."""
        self._write("INSERT INTO signing_keys VALUES (?, ?, ?)", role, name, envelope)

    def signing_key(self, role: str) -> tuple[str, bytes] | None:
        """Name and envelope, or None."""
        row = self._one("SELECT name, envelope FROM signing_keys WHERE role = ?", role)
        return None if row is None else (row[0], row[1])

    # --- the log's entries ----------------------------------------------------------------------------------------

    def add_entry(self, entry: Entry) -> None:
        self._write(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)",
            entry.log_index, entry.leaf, entry.at, entry.kind, entry.document, entry.salt,
        )  # fmt: skip

    def entry_count(self) -> int:
        """Entries are numbered from 0 without gaps.  Raises NotAuthentic where one is missing."""
        count, last = self._one("SELECT count(*), coalesce(max(log_index), -1) FROM entries") or (0, -1)
        if last != count - 1:
            raise NotAuthentic("the database lacks entries that it once had", code="store_corrupt")
        return int(count)

    def last_entry(self) -> Entry | None:
        row = self._one("SELECT * FROM entries ORDER BY log_index DESC LIMIT 1")
        return None if row is None else _entry(row)

    def entry(self, log_index: int) -> Entry | None:
        row = self._one("SELECT * FROM entries WHERE log_index = ?", log_index)
        return None if row is None else _entry(row)

    def entries_of(self, kind: str) -> list[Entry]:
        """Every entry of one kind, oldest first."""
        return [_entry(row) for row in self._all("SELECT * FROM entries WHERE kind = ? ORDER BY log_index", kind)]

    def index_of(self, leaf: bytes) -> int | None:
        """Where a leaf stands, or None."""
        row = self._one("SELECT log_index FROM entries WHERE leaf = ?", leaf)
        return None if row is None else row[0]

    def leaves_from(self, log_index: int) -> list[bytes]:
        """The leaves from ``log_index`` on, in order."""
        return [row[0] for row in self._all("SELECT leaf FROM entries WHERE log_index >= ? ORDER BY 1", log_index)]

    # --- resources ------------------------------------------------------------------------------------------------

    def add_resource(self, row: ResourceRow) -> None:
        self._write(
            "INSERT INTO resources VALUES (?, ?, ?, ?, ?, ?, ?)",
            row.name, row.resource_class, row.owner, row.recipient, row.generation, row.log_index, row.envelope,
        )  # fmt: skip

    def resource(self, name: str) -> ResourceRow | None:
        row = self._one("SELECT * FROM resources WHERE name = ?", name)
        if row is None:
            return None
        columns = ("name", "resource_class", "owner", "recipient", "generation", "log_index", "envelope")
        return ResourceRow(**dict(zip(columns, row, strict=True)))

    def add_standing(self, *, log_index: int, resource: str, policy_epoch: int, digest: str) -> None:
        self._write("INSERT INTO standings VALUES (?, ?, ?, ?)", log_index, resource, policy_epoch, digest)

    def standing(self, resource: str) -> str | None:
        """The digest of what the resource stood under last, or None."""
        row = self._one("SELECT digest FROM standings WHERE resource = ? ORDER BY log_index DESC LIMIT 1", resource)
        return None if row is None else row[0]

    def policy_epoch(self) -> int:
        """The newest epoch; 0 before any."""
        row = self._one("SELECT max(policy_epoch) FROM standings")
        return 0 if row is None or row[0] is None else row[0]

    # --- decisions and grants -------------------------------------------------------------------------------------

    def add_decision(self, *, log_index: int, decision_id: str, resources: tuple[str, ...], findings: str) -> None:
        self._write("INSERT INTO decisions VALUES (?, ?, ?)", log_index, decision_id, findings)
        for resource in set(resources):
            self._write("INSERT INTO decided VALUES (?, ?)", resource, log_index)

    def decisions(self, *, resource: str | None = None, limit: int = 100) -> list[DecisionRow]:
        """The newest decisions, newest first."""
        where = "WHERE log_index IN (SELECT log_index FROM decided WHERE resource = ?)" if resource else ""
        rows = self._all(
            f"SELECT e.*, d.decision_id, d.findings FROM decisions d JOIN entries e USING (log_index) {where} "  # noqa: S608
            "ORDER BY log_index DESC LIMIT ?",
            *((resource,) if resource else ()),
            limit,
        )
        return [DecisionRow(entry=_entry(row[:6]), decision_id=row[6], findings=row[7]) for row in rows]

    def add_grant(self, grant: GrantRow) -> None:
        """Records a grant; a later one to the same keyset changes nothing."""
        keys = json.dumps({key_id: key.hex() for key_id, key in grant.receipt_keys.items()})
        self._write("INSERT OR IGNORE INTO grants VALUES (?, ?, ?)", grant.keyset_digest, grant.not_after, keys)

    def grant(self, keyset_digest: str) -> GrantRow | None:
        row = self._one("SELECT * FROM grants WHERE keyset_digest = ?", keyset_digest)
        if row is None:
            return None
        keys = {key_id: bytes.fromhex(key) for key_id, key in json.loads(row[2]).items()}
        return GrantRow(keyset_digest=row[0], not_after=row[1], receipt_keys=keys)

    # --- SQLite ---------------------------------------------------------------------------------------------------

    def _write(self, statement: str, *values: object) -> None:
        with self._lock:
            self._db.execute(statement, values)

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        with self._lock:
            row: tuple[Any, ...] | None = self._db.execute(query, values).fetchone()
            return row

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(query, values).fetchall()


def _entry(row: tuple[Any, ...]) -> Entry:
    log_index, leaf, at, kind, document, salt = row
    return Entry(log_index=log_index, leaf=leaf, at=at, kind=kind, document=document, salt=salt)
