"""``docs/policy.md`` is the reference: it names every field, and its examples load as they stand."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hermetic.policy import Policy, ReferenceValues, SignedReferenceValues, WorkloadPolicy, lint
from hermetic.policy._document import _Toml
from hermetic.policy.nvidia import NvidiaPolicy
from hermetic.policy.reference import ReleasePolicy
from hermetic.policy.sgx import SgxPolicy
from hermetic.policy.snp import SnpPolicy, TcbFloor
from hermetic.policy.tdx import TdxPolicy

PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
EXAMPLES = {
    min(set(tomllib.loads(text)) & {"snp", "tdx", "sgx", "nvidia", "release"}): text
    for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
}
TABLES = (_Toml, WorkloadPolicy, SnpPolicy, TcbFloor, TdxPolicy, SgxPolicy, NvidiaPolicy, ReleasePolicy)
LISTS = {"chips.txt": "00" * 64, "packages.txt": "00" * 16, "gpus.txt": "1"}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_field_is_named(table: type[msgspec.Struct]) -> None:
    tables = {"workload", "snp", "tdx", "sgx", "nvidia", "release"}
    prose = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    named = {re.split(r"\W", word)[0] for word in re.findall(r"`([^`\n]+)`", prose)}
    assert set(table.__struct_fields__) - tables - named == set()
    assert all(f"`[{name}]`" in PAGE for name in tables - {"release"})


def release() -> bytes:
    """Signed by the first key of the page's example, which is this seed's."""
    register = ["00" * 48]
    values = {
        "name": "clinic-chat",
        "version": "1.4",
        "issued": datetime(2026, 1, 1, tzinfo=UTC),
        "not_after": datetime(2027, 1, 1, tzinfo=UTC),
        "workload": {"programs": [f"sha256:{'00' * 32}"]},
        "tdx": {"mr_tds": register, "rtmr0s": register, "rtmr1s": register, "rtmr2s": register},
    }
    key = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
    signed = SignedReferenceValues.sign(ReferenceValues.convert(values, what="values"), key)
    return json.dumps(signed.to_json()).encode()


def test_there_is_an_example_for_each() -> None:
    assert set(EXAMPLES) == {"snp", "tdx", "sgx", "nvidia", "release"}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_example_is_a_sound_production_policy(name: str) -> None:
    files = {file: value.encode() for file, value in LISTS.items()} | {"release.json": release()}
    policy = Policy.parse(EXAMPLES[name].encode(), files=files.__getitem__)
    assert policy.profile == "production"
    assert lint(policy) == ()
