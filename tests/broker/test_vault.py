"""Envelopes open in their own place under their own root key, unchanged, and nowhere else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.broker.vault import Place, Vault, make_root_key, open_vault
from hermetic.errors import Misconfigured, NotAuthentic

PLACE = Place(table="resources", tenant="clinic", name="broker/clinic/triage", generation=1, log_index=7)


@given(secret=st.binary(max_size=200))
def test_what_is_sealed_opens(secret: bytes) -> None:
    vault = Vault(os.urandom(32))
    envelope = vault.seal(secret, PLACE)
    assert vault.open(envelope, PLACE) == secret
    assert len(secret) < 8 or secret not in envelope


def test_no_two_envelopes_are_alike() -> None:
    vault = Vault(os.urandom(32))
    assert vault.seal(b"secret", PLACE) != vault.seal(b"secret", PLACE)


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(PLACE, table="signing_keys"),
        replace(PLACE, tenant="other"),
        replace(PLACE, name="broker/clinic/other"),
        replace(PLACE, generation=2),
        replace(PLACE, log_index=6),
        replace(PLACE, log_index=None),
    ],
)
def test_an_envelope_opens_in_no_other_place(elsewhere: Place) -> None:
    vault = Vault(os.urandom(32))
    with pytest.raises(NotAuthentic):
        vault.open(vault.seal(b"secret", PLACE), elsewhere)


def test_fields_of_a_place_cannot_slide_into_each_other() -> None:
    one = replace(PLACE, tenant="ab", name="c")
    other = replace(PLACE, tenant="a", name="bc")
    assert one.associated_data() != other.associated_data()


def test_no_bit_can_be_flipped_and_no_byte_cut() -> None:
    vault = Vault(os.urandom(32))
    envelope = vault.seal(b"sixteen byte key", PLACE)
    for bit in range(len(envelope) * 8):
        flipped = bytearray(envelope)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(NotAuthentic):
            vault.open(bytes(flipped), PLACE)
    for length in range(len(envelope)):
        with pytest.raises(NotAuthentic):
            vault.open(envelope[:length], PLACE)


def test_another_root_key_opens_nothing() -> None:
    envelope = Vault(os.urandom(32)).seal(b"secret", PLACE)
    with pytest.raises(NotAuthentic):
        Vault(os.urandom(32)).open(envelope, PLACE)


def test_the_root_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    make_root_key(path)
    first = path.read_bytes()
    make_root_key(path)
    assert path.read_bytes() == first
    assert len(first) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    assert first.hex() not in repr(open_vault(path))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_root_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "root.key"
    make_root_key(path)
    path.chmod(mode)
    with pytest.raises(Misconfigured) as refused:
        open_vault(path)
    assert refused.value.code == "root_key_exposed"


def test_a_root_key_that_is_a_link_or_missing_is_refused(tmp_path: Path) -> None:
    make_root_key(tmp_path / "real.key")
    (tmp_path / "root.key").symlink_to(tmp_path / "real.key")
    for name in ("root.key", "none.key"):
        with pytest.raises(Misconfigured) as refused:
            open_vault(tmp_path / name)
        assert refused.value.code == "root_key_unreadable"


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_root_key_of_another_length_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "root.key"
    path.write_bytes(os.urandom(length))
    path.chmod(0o600)
    with pytest.raises(Misconfigured) as refused:
        open_vault(path)
    assert refused.value.code == "root_key_malformed"
