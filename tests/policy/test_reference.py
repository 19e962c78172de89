"""Releases: signed by whom the policy names, of the product it names, not older than it says, and not a bit changed."""

from __future__ import annotations

import json
from datetime import UTC
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from attested_support import policy_text
from hermetic.errors import Malformed, Misconfigured
from hermetic.identity import format_ed25519
from hermetic.policy import PlatformPolicy, Policy, ReferenceValues, SignedReferenceValues
from hermetic.wire import canonical, sha256_digest, transcript
from identity_support import launch

A, B, C = ("aa" * 48, "bb" * 48, "cc" * 48)
ENCLAVE = "ee" * 32
PROGRAM = sha256_digest(b"released")
VALUES: dict[str, Any] = {
    "name": "clinic-chat",
    "version": "1.4",
    "issued": "2026-02-01T00:00:00Z",
    "not_after": "2027-02-01T00:00:00Z",
    "workload": {"programs": [PROGRAM]},
    "snp": {"measurements": [A]},
    "tdx": {"mr_tds": [A], "rtmr1s": [B], "rtmr2s": [C]},
    "sgx": {"mr_enclaves": [ENCLAVE]},
}


def key(number: int = 1) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def name_of(number: int = 1) -> str:
    return format_ed25519(key(number).public_key().public_bytes_raw())


def release(*numbers: int, **changes: Any) -> bytes:
    """Signed by these keys; None leaves a value out."""
    stated = {field: value for field, value in (VALUES | changes).items() if value is not None}
    values = ReferenceValues.convert(stated, what="values")
    return json.dumps(SignedReferenceValues.sign(values, *map(key, numbers or (1,))).to_json()).encode()


def wanted(*numbers: int, **changes: Any) -> str:
    """The ``[release]`` table."""
    stated = {"file": "release.json", "name": "clinic-chat", "signers": [name_of(n) for n in numbers or (1,)]} | changes
    return "\n[release]\n" + "".join(f"{field} = {json.dumps(value)}\n" for field, value in stated.items())


SNP = f'[snp]\nmeasurements = ["{B}"]\n'
TDX = "[tdx]\n"


def load(signed: bytes, table: str, tables: str = SNP) -> PlatformPolicy:
    text = f'version = 1\nprofile = "development"\n{tables}{table}'
    return PlatformPolicy.parse(text.encode(), files={"release.json": signed}.__getitem__)


def refusal(signed: bytes, table: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        load(signed, table)
    assert caught.value.message
    return caught.value.code


# What it adds


def test_released_values_join_those_of_the_policy() -> None:
    policy = load(release(), wanted())
    assert policy.snp is not None
    assert policy.snp.measurements == (B, A)
    assert policy.tdx is None  # a release opens no kind of platform that the policy does not want
    assert policy.release is not None
    assert (policy.release.name, policy.release.version) == ("clinic-chat", "1.4")


def test_a_release_may_bring_all_that_a_table_pins() -> None:
    policy = load(release(), wanted(), TDX)
    assert policy.tdx is not None
    assert (policy.tdx.mr_tds, policy.tdx.rtmr1s, policy.tdx.rtmr2s) == ((A,), (B,), (C,))
    assert policy.tdx.rtmr0s is None
    enclave = load(release(), wanted(), "[sgx]\n")
    assert enclave.sgx is not None
    assert enclave.sgx.mr_enclaves == (ENCLAVE,)


def test_programs_configurations_and_models() -> None:
    more = {"configs": [sha256_digest(b"released config")], "models": [sha256_digest(b"released model")]}
    signed = release(workload={"programs": [PROGRAM], **more})
    policy = Policy.parse((policy_text() + wanted()).encode(), files={"release.json": signed}.__getitem__)
    assert policy.workload.programs == (launch().program_digest, PROGRAM)
    assert policy.workload.configs[1:] == tuple(more["configs"])
    assert policy.workload.models[-1:] == tuple(more["models"])
    text = policy_text().replace(f'programs = ["{launch().program_digest}"]', "programs = []")
    alone = Policy.parse((text + wanted()).encode(), files={"release.json": signed}.__getitem__)
    assert alone.workload.programs == (PROGRAM,)


def test_the_policys_digest_covers_the_release() -> None:
    policy, other = load(release(), wanted()), load(release(not_after="2027-02-02T00:00:00Z"), wanted())
    assert policy.digest != other.digest
    (file,) = policy.files
    assert (file.field, file.name, file.digest) == ("release.file", "release.json", sha256_digest(release()))


# What refuses


def test_somebody_elses_signature() -> None:
    assert refusal(release(2), wanted(1)) == "release_signature"
    load(release(1), wanted(1))


def test_all_signers_unless_fewer_are_said_to_do() -> None:
    assert refusal(release(1), wanted(1, 2)) == "release_signature"
    load(release(1, 2), wanted(1, 2))
    load(release(1), wanted(1, 2, threshold=1))
    load(release(1, 3), wanted(1, 2, 3, threshold=2))
    assert refusal(release(1, 4), wanted(1, 2, 3, threshold=2)) == "release_signature"


@pytest.mark.parametrize("table", [wanted(1, 1), wanted(1, threshold=2)], ids=["twice", "too-many"])
def test_signers_that_cannot_be_meant(table: str) -> None:
    assert refusal(release(1, 2), table) == "release_signers"


def test_a_signature_under_another_name() -> None:
    document = json.loads(release(2))
    document["signatures"] = {name_of(1): document["signatures"][name_of(2)]}
    assert refusal(json.dumps(document).encode(), wanted(1)) == "release_signature"


def test_a_signature_over_another_type() -> None:
    document = json.loads(release())
    signed = transcript("hermetic.other.v1", canonical(document["document"]))
    document["signatures"] = {name_of(): key().sign(signed).hex()}
    assert refusal(json.dumps(document).encode(), wanted()) == "release_signature"


def test_another_product() -> None:
    assert refusal(release(name="clinic-chat-beta"), wanted()) == "release_name"


@pytest.mark.parametrize(
    ("version", "floor", "good"),
    [
        ("1.4", "1.4", True),
        ("1.4", "1.3.9", True),
        ("1.10", "1.4", True),
        ("1.4", "1.4.0", True),
        ("1.4", "1.5", False),
        ("1.4", "1.10", False),
        ("1", "1.0.0.1", False),
    ],
)
def test_a_roll_back(version: str, floor: str, good: bool) -> None:
    signed, table = release(version=version), wanted(version_min=floor)
    if good:
        load(signed, table)
    else:
        assert refusal(signed, table) == "release_rolled_back"
    load(signed, wanted())


def test_every_changed_value_is_noticed() -> None:
    document = json.loads(release())
    for field, value in (
        ("version", "1.5"),
        ("not_after", "2028-02-01T00:00:00Z"),
        ("issued", "2026-01-01T00:00:00Z"),
        ("snp", {"measurements": [C]}),
        ("workload", {}),
    ):
        changed = {"document": document["document"] | {field: value}, "signatures": document["signatures"]}
        assert refusal(json.dumps(changed).encode(), wanted()) == "release_signature"


@cache
def compact() -> bytes:
    return canonical(json.loads(release(tdx=None, sgx=None, workload=None)))


def test_no_flipped_bit_is_accepted() -> None:
    """Every bit of the file: whatever changes, it is another release, another signature or no release."""
    for bit in range(len(compact()) * 8):
        mutant = bytearray(compact())
        mutant[bit // 8] ^= 1 << bit % 8
        assert refusal(bytes(mutant), wanted()).startswith("release_")
    load(compact(), wanted())


def test_no_truncation_is_accepted() -> None:
    for cut in range(len(compact())):
        assert refusal(compact()[:cut], wanted()) == "release_malformed"


# Documents that are none


def edited(edit: Any) -> bytes:
    """A release with something else in it, truly signed."""
    document: dict[str, Any] = json.loads(release())["document"]
    edit(document)
    signed = transcript(ReferenceValues.TYPE, canonical(document))
    return json.dumps({"document": document, "signatures": {name_of(): key().sign(signed).hex()}}).encode()


@pytest.mark.parametrize(
    "edit",
    [
        lambda document: document.update(type="hermetic.decision.v1"),
        lambda document: document.update(extra=1),
        lambda document: document["tdx"].update(extra=[]),
        lambda document: document.pop("not_after"),
        lambda document: document.update(issued="2026-02-01T00:00:00"),
        lambda document: document.update(not_after="2026-02-01T00:00:00Z"),
        lambda document: document.update(version="new"),
        lambda document: document.update(snp={"measurements": ["AA" * 48]}),
        lambda document: document.update(workload={}, snp={"measurements": []}, tdx={}, sgx={}),
    ],
    ids=["type", "member", "field", "life", "zone", "no-life", "version", "spelling", "nothing"],
)
def test_a_truly_signed_document_that_is_no_release(edit: Any) -> None:
    assert refusal(edited(edit), wanted()) == "release_malformed"
    load(edited(lambda document: None), wanted())


@pytest.mark.parametrize(
    "edit",
    [
        lambda outer: outer.update(extra=1),
        lambda outer: outer.pop("signatures"),
        lambda outer: outer.update(signatures={}),
        lambda outer: outer.update(signatures=[name_of()]),
        lambda outer: outer.update(document=[]),
        lambda outer: outer["signatures"].update(someone="00" * 64),
        lambda outer: outer["signatures"].update({name_of(2): "00" * 63}),
        lambda outer: outer.update(signatures={name_of(n): "00" * 64 for n in range(1, 34)}),
    ],
    ids=["member", "unsigned", "none", "list", "document", "name", "short", "many"],
)
def test_what_is_no_signed_document(edit: Any) -> None:
    outer = json.loads(release())
    edit(outer)
    assert refusal(json.dumps(outer).encode(), wanted()) == "release_malformed"


def test_a_release_that_nobody_signs() -> None:
    with pytest.raises(Misconfigured):
        SignedReferenceValues.sign(ReferenceValues.convert(VALUES, what="values"))


def test_a_policy_that_came_alone_has_no_release() -> None:
    with pytest.raises(Misconfigured) as caught:
        PlatformPolicy.parse(f'version = 1\nprofile = "development"\n{SNP}{wanted()}'.encode())
    assert caught.value.code == "policy_file_unreadable"


@pytest.mark.parametrize(
    "table",
    [
        wanted(signers=[]),
        wanted(signers=["everyone"]),
        wanted(threshold=0),
        wanted(name=""),
        wanted(version_min="v1"),
        wanted(surprise=1),
    ],
    ids=["nobody", "everyone", "zero", "nameless", "version", "unknown"],
)
def test_a_table_that_says_nothing_sensible(table: str) -> None:
    assert refusal(release(), table) == "policy_malformed"


# Signing


def test_signatures_are_added_and_told_apart() -> None:
    signed = SignedReferenceValues.from_bytes(release(1)).with_signature(key(2))
    assert set(signed.signers()) == {name_of(1), name_of(2)}
    forged = json.loads(release(1))
    forged["signatures"][name_of(3)] = "00" * 64
    assert SignedReferenceValues.from_bytes(json.dumps(forged).encode()).signers() == (name_of(1),)


HEX48 = st.binary(min_size=48, max_size=48).map(bytes.hex)
VERSIONS = st.lists(st.integers(0, 999_999_999), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
TIMES = st.datetimes(timezones=st.just(UTC)).map(lambda when: when.replace(microsecond=0))


@given(version=VERSIONS, pins=st.lists(HEX48, min_size=1, max_size=3), times=st.tuples(TIMES, TIMES))
def test_what_is_signed_is_what_is_read(version: str, pins: list[str], times: Any) -> None:
    first, last = times
    stated = VALUES | {"version": version, "tdx": {"mr_tds": pins}, "issued": first, "not_after": last}
    if first >= last:
        with pytest.raises(Malformed):
            ReferenceValues.convert(stated, what="values")
        return
    values = ReferenceValues.convert(stated, what="values")
    data = json.dumps(SignedReferenceValues.sign(values, key()).to_json()).encode()
    read = SignedReferenceValues.from_bytes(data)
    assert read.verify(signers=(name_of(),), threshold=1) == values
    assert SignedReferenceValues.from_bytes(json.dumps(read.to_json()).encode()) == read
