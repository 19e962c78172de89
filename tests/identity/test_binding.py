"""The one construction: every field counts, and the bytes are the ones the specification says."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from hermetic.errors import Malformed
from hermetic.evidence import NO_DEVICES
from hermetic.identity import NO_CONTEXT, Binding, Purpose, aci_report_data
from hermetic.wire import sha256_digest

KEYSET, LAUNCH, OTHER = (sha256_digest(name) for name in (b"keyset", b"launch", b"other"))
NONCE = bytes(range(32))
BINDING = Binding(purpose=Purpose.RELEASE, nonce=NONCE, keyset_digest=KEYSET, launch_digest=LAUNCH)


def test_report_data_is_sha512_of_the_canonical_fields() -> None:
    fields = {
        "purpose": "hermetic.release.v1",
        "nonce": NONCE.hex(),
        "keyset_digest": KEYSET,
        "launch_digest": LAUNCH,
        "context_digest": NO_CONTEXT,
        "devices_digest": NO_DEVICES,
    }
    # Written with the standard library: for these plain strings, sorted compact JSON is the canonical form.
    spelt = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    assert BINDING.report_data() == hashlib.sha512(spelt).digest()


def test_every_field_changes_report_data() -> None:
    variants = [
        replace(BINDING, purpose=Purpose.SESSION),
        replace(BINDING, nonce=b"\0" * 32),
        replace(BINDING, keyset_digest=OTHER),
        replace(BINDING, launch_digest=OTHER),
        replace(BINDING, context_digest=OTHER),
        replace(BINDING, devices_digest=OTHER),
    ]
    assert len({variant.report_data() for variant in [BINDING, *variants]}) == len(variants) + 1


def test_the_device_nonce_covers_keyset_nonce_and_context() -> None:
    raw = [bytes.fromhex(digest[7:]) for digest in (KEYSET, NO_CONTEXT)]
    assert BINDING.device_nonce() == hashlib.sha256(b"hermetic.device.v1" + raw[0] + NONCE + raw[1]).digest()
    variants = [
        replace(BINDING, nonce=b"\0" * 32),
        replace(BINDING, keyset_digest=OTHER),
        replace(BINDING, context_digest=OTHER),
    ]
    assert len({variant.device_nonce() for variant in [BINDING, *variants]}) == len(variants) + 1


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_nonce_of_another_length_refuses(length: int) -> None:
    with pytest.raises(Malformed, match="nonce"):
        replace(BINDING, nonce=bytes(length))


@pytest.mark.parametrize("field", ["keyset_digest", "launch_digest", "context_digest", "devices_digest"])
def test_a_field_that_is_no_digest_refuses(field: str) -> None:
    changes: dict[str, Any] = {field: "sha256:"}
    with pytest.raises(Malformed, match=field):
        replace(BINDING, **changes)


def test_the_aci_statement_is_byte_exact() -> None:
    nonce = "ab" * 32
    statement = f'{{"keyset_digest":"{KEYSET}","nonce":"{nonce}","purpose":"aci.report_data.v1"}}'
    assert aci_report_data(KEYSET, nonce) == hashlib.sha256(statement.encode()).digest() + bytes(32)
    without = f'{{"keyset_digest":"{KEYSET}","nonce":null,"purpose":"aci.report_data.v1"}}'
    assert aci_report_data(KEYSET, None) == hashlib.sha256(without.encode()).digest() + bytes(32)


@pytest.mark.parametrize("nonce", ["", "AB" * 32, "ab" * 31, "ab" * 33, "zz" * 32])
def test_a_wrong_aci_nonce_is_an_invalid_request(nonce: str) -> None:
    with pytest.raises(Malformed) as refusal:
        aci_report_data(KEYSET, nonce)
    assert refusal.value.code == "invalid_request_error"
