"""A data folder that was altered, swapped, put back in part or opened under another configuration is refused."""

# ruff: noqa: S608  (the statements are the attacker's, written here)
from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker_support import OTHER, RESOURCE, House, checks
from hermetic.broker import Broker, initialise, load_config, recipient
from hermetic.broker.journal import Record
from hermetic.broker.premises import open_premises
from hermetic.errors import HermeticError, Misconfigured, NotAuthentic, Unavailable
from hermetic.identity import format_ed25519


def _sql(house: House, *statements: str) -> None:
    with closing(sqlite3.connect(house.database)) as database, database:
        for statement in statements:
            database.execute(statement)


def _row(house: House, query: str) -> tuple[object, ...]:
    with closing(sqlite3.connect(house.database)) as database:
        row: tuple[object, ...] = database.execute(query).fetchone()
        return row


def _opens(house: House) -> None:
    Broker.open(house.config_path).close()


def _refuses(house: House, kind: type[HermeticError], code: str) -> None:
    with pytest.raises(kind) as refused:
        _opens(house)
    assert refused.value.code == code


def test_init_is_idempotent_and_makes_only_what_is_new(house: House) -> None:
    again = initialise(load_config(house.config_path))
    assert again.made == ()
    assert (again.broker_key, again.log_key, again.recipients) == (
        house.made.broker_key,
        house.made.log_key,
        house.made.recipients,
    )
    house.resources[OTHER] = {**house.resources[RESOURCE], "version": "other.version.json"}
    house.write_config()
    more = initialise(load_config(house.config_path))
    assert more.made == (OTHER,)
    assert more.recipients[RESOURCE] == house.made.recipients[RESOURCE]
    assert more.recipients[OTHER] != more.recipients[RESOURCE]


def test_recipients_are_post_quantum_and_can_be_asked_for(house: House) -> None:
    found = recipient(load_config(house.config_path), RESOURCE)
    assert found == house.made.recipients[RESOURCE]
    assert found.startswith("age1pq1")


def test_the_folder_is_closed_to_others_and_must_stay_so(house: House) -> None:
    data = house.folder / "data"
    assert data.stat().st_mode & 0o777 == 0o700
    data.chmod(0o750)
    _refuses(house, Misconfigured, "data_exposed")


def test_an_exposed_root_key_is_refused(house: House) -> None:
    (house.folder / "data" / "root.key").chmod(0o644)
    _refuses(house, Misconfigured, "root_key_exposed")


def test_another_root_key_is_refused(house: House) -> None:
    (house.folder / "data" / "root.key").write_bytes(bytes(32))
    _refuses(house, NotAuthentic, "envelope")


def test_serving_makes_nothing(house: House) -> None:
    shutil.rmtree(house.folder / "data")
    _refuses(house, Misconfigured, "not_initialised")
    assert not (house.folder / "data").exists()


@pytest.mark.parametrize("part", ["root.key", "broker.sqlite3", "log"])
def test_a_lost_part_is_not_made_again(house: House, part: str) -> None:
    path = house.folder / "data" / part
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    with pytest.raises(HermeticError):
        _opens(house)
    assert not path.exists() or not any(path.glob("checkpoint"))


def test_init_does_not_begin_a_lost_log_again(house: House) -> None:
    shutil.rmtree(house.folder / "data" / "log")
    with pytest.raises(Misconfigured) as refused:
        initialise(load_config(house.config_path))
    assert refused.value.code == "log_missing"


def test_one_process_at_a_time(house: House) -> None:
    broker = Broker.open(house.config_path)
    try:
        _refuses(house, Unavailable, "log_locked")
        with pytest.raises(Unavailable):
            initialise(load_config(house.config_path))
    finally:
        broker.close()
    _opens(house)


@pytest.mark.parametrize(("what", "value"), [("class", "hardware"), ("owner", format_ed25519(bytes(32)))])
def test_class_and_owner_are_fixed_when_made(house: House, what: str, value: str) -> None:
    house.resources[RESOURCE][what] = value
    house.write_config()
    _refuses(house, Misconfigured, f"resource_{what}")


def test_the_name_of_the_log_is_fixed(house: House) -> None:
    text = house.config_path.read_text()
    house.config_path.write_text(text.replace("log.clinic.example/broker", "log.other.example/broker"))
    _refuses(house, Misconfigured, "broker_name")


def test_a_resource_that_was_never_made_is_refused(house: House) -> None:
    house.resources[OTHER] = dict(house.resources[RESOURCE])
    house.write_config()
    _refuses(house, Misconfigured, "resource_not_made")


def test_rows_of_two_resources_cannot_be_swapped(tmp_path: Path) -> None:
    house = House(tmp_path, names=(RESOURCE, OTHER))
    _sql(
        house,
        f"UPDATE resources SET name = 'x' WHERE name = '{RESOURCE}'",
        f"UPDATE resources SET name = '{RESOURCE}' WHERE name = '{OTHER}'",
        f"UPDATE resources SET name = '{OTHER}' WHERE name = 'x'",
    )
    _refuses(house, NotAuthentic, "resource_altered")


def test_envelopes_of_two_resources_cannot_be_swapped(tmp_path: Path) -> None:
    house = House(tmp_path, names=(RESOURCE, OTHER))
    _sql(
        house,
        "CREATE TEMP TABLE kept AS SELECT name, envelope FROM resources",
        "UPDATE resources SET envelope = (SELECT envelope FROM kept WHERE kept.name <> resources.name)",
    )
    _refuses(house, NotAuthentic, "envelope")


def test_signing_keys_cannot_be_swapped(house: House) -> None:
    _sql(
        house,
        "CREATE TEMP TABLE kept AS SELECT role, envelope FROM signing_keys",
        "UPDATE signing_keys SET envelope = (SELECT envelope FROM kept WHERE kept.role <> signing_keys.role)",
    )
    _refuses(house, NotAuthentic, "envelope")


@pytest.mark.parametrize(
    "change",
    ["class = 'hardware'", "owner = 'ed25519:x'", "recipient = 'age1pq1x'", "generation = 2", "log_index = 1"],
)
def test_no_column_of_a_resource_can_be_changed(house: House, change: str) -> None:
    _opens(house)  # so that there is an entry 1
    _sql(house, f"UPDATE resources SET {change}")
    with pytest.raises(HermeticError) as refused:
        _opens(house)
    assert refused.value.code in {"resource_altered", "resource_class", "resource_owner"}


def test_class_cannot_be_changed_in_row_and_configuration_together(house: House) -> None:
    _sql(house, "UPDATE resources SET class = 'hardware'")
    house.resources[RESOURCE]["class"] = "hardware"
    house.write_config()
    _refuses(house, NotAuthentic, "resource_altered")


def test_a_row_from_before_the_resource_was_made_anew_is_refused(house: House) -> None:
    """The identity of an earlier life of the resource, put back with its whole row."""
    old = _row(house, "SELECT quote(envelope), recipient, log_index FROM resources")
    _sql(house, "DELETE FROM resources")
    initialise(load_config(house.config_path))
    _opens(house)
    _sql(house, f"UPDATE resources SET envelope = {old[0]}, recipient = '{old[1]}', log_index = {old[2]}")
    _refuses(house, NotAuthentic, "resource_altered")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entries SET salt = zeroblob(32) WHERE log_index = 0",
        "UPDATE entries SET salt = NULL WHERE log_index = 0",
        "UPDATE entries SET document = CAST(replace(document, 'simulated', 'hardwired') AS BLOB) WHERE log_index = 0",
        "UPDATE entries SET kind = 'receipt' WHERE log_index = 0",
    ],
)
def test_the_entry_that_made_a_resource_cannot_be_changed(house: House, change: str) -> None:
    _sql(house, change)
    with pytest.raises(NotAuthentic) as refused:
        _opens(house)
    assert refused.value.code == "resource_altered"


def test_an_older_database_beside_a_newer_log_is_refused(house: House) -> None:
    kept = house.folder / "old.sqlite3"
    _sql(house, f"VACUUM INTO '{kept}'")
    _opens(house)  # its policy becomes an entry
    for path in (house.folder / "data").glob("broker.sqlite3*"):
        path.unlink()
    shutil.copy(kept, house.database)
    _refuses(house, NotAuthentic, "rolled_back")


def test_an_older_log_beside_a_newer_database_is_completed_to_the_same_entries(house: House) -> None:
    """What the database holds durably is appended again at the very same places: nothing can be taken back this way."""
    kept = house.folder / "old-log"
    shutil.copytree(house.folder / "data" / "log", kept)
    broker = Broker.open(house.config_path)
    newest = broker.log.checkpoint.checkpoint
    broker.close()
    shutil.rmtree(house.folder / "data" / "log")
    shutil.copytree(kept, house.folder / "data" / "log")
    broker = Broker.open(house.config_path)
    assert broker.log.checkpoint.checkpoint == newest
    broker.close()


def test_an_entry_missing_in_the_database_is_refused(house: House) -> None:
    _opens(house)
    _sql(house, "PRAGMA foreign_keys = OFF", "DELETE FROM entries WHERE log_index = 0")
    _refuses(house, NotAuthentic, "store_corrupt")


def test_a_last_entry_that_differs_from_the_logs_is_refused(house: House) -> None:
    _opens(house)
    _sql(house, "UPDATE entries SET leaf = zeroblob(32) WHERE log_index = (SELECT max(log_index) FROM entries)")
    _refuses(house, NotAuthentic, "rolled_back")


def test_a_database_of_another_version_is_refused(house: House) -> None:
    _sql(house, "PRAGMA user_version = 99")
    _refuses(house, Misconfigured, "store_version")


def test_the_clock_does_not_run_behind_the_newest_entry(house: House) -> None:
    """Whoever turns the host's clock back gets no expired keyset through."""
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    with open_premises(load_config(house.config_path)) as premises:
        premises.journal.submit([Record(leaf=bytes(32), at=int(later.timestamp()), kind="receipt")]).result()
    with house.serving() as running:
        assert running.server.broker.clock.now() >= later
        # This keyset lives for another hour by the host's clock.
        assert checks(running.denied(running.request(house.workload()))) == {"keyset.expiry"}
