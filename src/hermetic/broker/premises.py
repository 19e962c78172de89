"""The broker's folder, opened: root key, database, signing keys, log and journal, by one process at a time.

    data/
      root.key          32 bytes, 0600: what everything else in here is sealed under
      broker.sqlite3    see hermetic.broker.store
      log/              see hermetic.ledger.store

The folder is made by ``init`` alone.  ``serve`` never makes a missing part again: a broker that lost its log or its
keys must say so, not begin anew under the same name.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hermetic.broker.config import BrokerConfig
from hermetic.broker.journal import Journal
from hermetic.broker.store import Store
from hermetic.broker.vault import Place, Vault, make_root_key, open_vault
from hermetic.client.clock import FlooredClock
from hermetic.errors import Misconfigured
from hermetic.identity import format_ed25519
from hermetic.ledger import FolderDisk, Log, NoteSigner

__all__ = ["DATABASE", "Premises", "open_premises"]

DATABASE = "broker.sqlite3"
_ROOT_KEY = "root.key"
_LOG = "log"
_KEY_GENERATION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """Everything that the folder holds, open.  Close it, or use it as a context manager."""

    vault: Vault
    store: Store
    key: Ed25519PrivateKey = field(repr=False)
    log: Log
    log_key: str
    journal: Journal
    clock: FlooredClock

    @property
    def broker_key(self) -> str:
        """The broker's identity, as launch documents pin it."""
        return format_ed25519(self.key.public_key().public_bytes_raw())

    def close(self) -> None:
        """Writes what waits and gives the folder back."""
        self.journal.close()
        self.log.close()
        self.store.close()

    def __enter__(self) -> Premises:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_premises(config: BrokerConfig, *, make: bool = False) -> Premises:
    """Opens the folder; with ``make``, first makes what is not there.

    Raises Misconfigured if it was never made or others can read it, Unavailable if another process has it, and
    NotAuthentic if its parts do not belong together.
    """
    if make:
        config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_folder(config.data)
    if make:
        make_root_key(config.data / _ROOT_KEY)
    with ExitStack() as undo:
        vault = open_vault(config.data / _ROOT_KEY)
        store = Store(config.data / DATABASE, make=make)
        undo.callback(store.close)
        key = Ed25519PrivateKey.from_private_bytes(_signing_key("identity", config.name, store, vault, make=make))
        signer = NoteSigner.from_seed(config.name, _signing_key("log", config.name, store, vault, make=make))
        log = _open_log(config.data / _LOG, signer, make=make and store.entry_count() == 0)
        undo.callback(log.close)
        journal = Journal(store, log)
        undo.pop_all()
    return Premises(
        vault=vault,
        store=store,
        key=key,
        log=log,
        log_key=str(signer.verifier),
        journal=journal,
        clock=_clock(store),
    )


def _clock(store: Store) -> FlooredClock:
    """A clock that never runs behind the newest entry (design.md D11): the host owns the other one, and turning it back
    would revive an expired keyset or an old revocation list."""
    clock = FlooredClock()
    newest = store.last_entry()
    if newest is not None:
        clock.observe([datetime.fromtimestamp(newest.at, UTC)])
    return clock


def _check_folder(folder: Path) -> None:
    try:
        status = folder.stat()
    except FileNotFoundError:
        raise Misconfigured(
            f"there is no broker in {folder}", code="not_initialised", fix="hermetic broker init --config broker.toml"
        ) from None
    if status.st_mode & 0o077 or status.st_uid != os.geteuid():
        raise Misconfigured(
            f"{folder} must belong to this user and be closed to everybody else",
            code="data_exposed",
            fix=f"chmod 700 {folder}",
        )


def _signing_key(role: str, name: str, store: Store, vault: Vault, *, make: bool) -> bytes:
    """The 32 secret bytes of a signing key, made if there is none and ``make`` allows it."""
    place = Place(table="signing_keys", tenant="", name=role, generation=_KEY_GENERATION, log_index=None)
    found = store.signing_key(role)
    if found is None:
        if not make:
            raise Misconfigured(
                f"this broker has no {role} key",
                code="not_initialised",
                fix="hermetic broker init --config broker.toml",
            )
        seed = os.urandom(32)
        store.add_signing_key(role, name=name, envelope=vault.seal(seed, place))
        return seed
    made_as, envelope = found
    if made_as != name:
        raise Misconfigured(
            f"this broker was made as {made_as}; the configuration names it {name}",
            code="broker_name",
            fix=f'put name = "{made_as}" back: every checkpoint of its log bears that name',
        )
    return vault.open(envelope, place)


def _open_log(folder: Path, signer: NoteSigner, *, make: bool) -> Log:
    """``make`` is only true while the database has no entry: of a log that is missing then, nothing was promised."""
    try:
        return Log.open(FolderDisk(folder), signer=signer)
    except Misconfigured as error:
        if error.code != "log_missing" or not make:
            raise
    return Log.create(FolderDisk(folder), signer=signer)
