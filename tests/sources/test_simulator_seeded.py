"""Vendors made of a seed: what is kept of them, who can read it, and that one seed makes one vendor to the byte."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from hermetic.errors import Misconfigured, NotAuthentic
from hermetic.evidence import TDX
from hermetic.sources.simulator.intel import SimulatedIntel
from hermetic.sources.simulator.nvidia import SimulatedNvidia
from hermetic.verify import INTEL_ROOTS, simulated_root, verify
from hermetic.verify.nvidia import NVIDIA_ROOTS, verify_device
from hermetic.wire import b64encode

CREATED = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
NOW = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
SEED = b"a seed that is fixed in tests...."[:32]
REPORT_DATA, LAUNCH_DIGEST = bytes(range(64)), bytes(range(32))

Vendor = type[SimulatedIntel] | type[SimulatedNvidia]
vendors = pytest.mark.parametrize("vendor", [SimulatedIntel, SimulatedNvidia], ids=["intel", "nvidia"])


def roots_of(made: SimulatedIntel | SimulatedNvidia) -> tuple[str, ...]:
    if isinstance(made, SimulatedIntel):
        return (made.root_digest,)
    return made.device_root_digest, made.manifest_root_digest


def issued_verifies(made: SimulatedIntel | SimulatedNvidia, under: SimulatedIntel | SimulatedNvidia) -> None:
    """What ``made`` issues verifies under the roots of ``under``."""
    if isinstance(made, SimulatedIntel) and isinstance(under, SimulatedIntel):
        bundle = made.issue(REPORT_DATA, tee=TDX, launch_digest=LAUNCH_DIGEST, now=NOW)
        verify(bundle, roots=(simulated_root(under.root_digest),), now=NOW, report_data=REPORT_DATA)
    elif isinstance(made, SimulatedNvidia) and isinstance(under, SimulatedNvidia):
        (device,) = made.issue(bytes(32), now=NOW)
        verify_device(device, roots=under.roots, now=NOW, nonce=bytes(32))


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


@vendors
def test_it_is_the_same_after_a_restart(vendor: Vendor, tmp_path: Path) -> None:
    first, second = (vendor.load_or_create(tmp_path / "state", now=NOW + timedelta(days=days)) for days in (0, 9))
    assert roots_of(first) == roots_of(second)
    issued_verifies(second, under=first)


@vendors
def test_every_installation_is_another_and_none_verifies_the_other(vendor: Vendor, tmp_path: Path) -> None:
    one, other = (vendor.load_or_create(tmp_path / name, now=NOW) for name in ("one", "other"))
    assert not set(roots_of(one)) & set(roots_of(other))
    with pytest.raises(NotAuthentic):
        issued_verifies(one, under=other)


@vendors
def test_nobody_else_can_read_its_seed(vendor: Vendor, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    vendor.load_or_create(folder, now=NOW)
    assert folder.stat().st_mode & 0o777 == 0o700
    path = only_file(folder)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(Misconfigured, match="others may read") as refused:
        vendor.load_or_create(folder, now=NOW)
    assert "chmod 600" in refused.value.fix
    path.chmod(0o600)
    vendor.load_or_create(folder, now=NOW)


def changed(**members: Any) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | members)


def with_roots(change: Callable[[dict[str, str]], dict[str, str]]) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | {"roots": change(json.loads(text)["roots"])})


@vendors
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: "", id="empty"),
        pytest.param(lambda text: text[:-20], id="cut short"),
        pytest.param(lambda text: text.replace(".v1", ".v2"), id="another version"),
        pytest.param(changed(more=""), id="something unknown"),
        pytest.param(changed(seed="****"), id="a seed that is no base64"),
        pytest.param(changed(seed=b64encode(bytes(16))), id="a short seed"),
        pytest.param(changed(seed=b64encode(bytes(32))), id="another seed"),
        pytest.param(changed(created="lately"), id="a date that is none"),
        pytest.param(changed(created=5), id="a date that is a number"),
        pytest.param(changed(created="2026-01-01T00:00:00"), id="a date without a zone"),
        pytest.param(changed(roots=[]), id="no roots"),
        pytest.param(changed(roots={}), id="roots that are missing"),
        pytest.param(with_roots(lambda roots: dict.fromkeys(roots, "AAAA")), id="a root that is no certificate"),
        pytest.param(with_roots(lambda roots: roots | {"more": next(iter(roots.values()))}), id="a root more"),
    ],
)
def test_a_damaged_file_is_refused_and_left_alone(vendor: Vendor, tmp_path: Path, damage: Callable[[str], str]) -> None:
    vendor.load_or_create(tmp_path, now=NOW)
    path = only_file(tmp_path)
    path.write_text(damage(path.read_text()))
    before = path.read_bytes()
    with pytest.raises(Misconfigured, match="is damaged") as refused:
        vendor.load_or_create(tmp_path, now=NOW)
    assert refused.value.fix
    assert path.read_bytes() == before


@vendors
def test_the_root_that_was_pinned_stays_whatever_the_code_would_make_now(vendor: Vendor, tmp_path: Path) -> None:
    """The kept certificate is the one that evidence comes with: another one of the same key, here of another day."""
    vendor.load_or_create(tmp_path, now=NOW)
    path = only_file(tmp_path)
    path.write_text(changed(created=(NOW - timedelta(days=3)).isoformat())(path.read_text()))
    kept = vendor.load_or_create(tmp_path, now=NOW)
    issued_verifies(kept, under=kept)


@vendors
def test_two_that_create_at_once_agree_and_leave_nothing_behind(vendor: Vendor, tmp_path: Path) -> None:
    folder, start = tmp_path / "state", threading.Barrier(2)

    def create() -> tuple[str, ...]:
        start.wait()
        return roots_of(vendor.load_or_create(folder, now=NOW))

    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(create) for _ in range(2)]
        assert len({future.result() for future in made}) == 1
    assert only_file(folder).name == f"simulated-{vendor.__name__.removeprefix('Simulated').lower()}.json"


@vendors
def test_no_secret_is_in_a_repr(vendor: Vendor) -> None:
    made = vendor.create(created=CREATED, seed=SEED)
    text = repr((made, made.keys))
    assert "seed" not in text
    assert SEED.hex() not in text
    assert repr(SEED)[2:-1] not in text


@vendors
def test_a_seed_and_a_day_make_one_vendor(vendor: Vendor) -> None:
    same = {roots_of(vendor.create(created=CREATED, seed=SEED)) for _ in range(2)}
    assert len(same) == 1
    assert roots_of(vendor.create(created=CREATED, seed=SEED[::-1])) not in same
    assert roots_of(vendor.create(created=CREATED + timedelta(days=1), seed=SEED)) not in same


def test_a_seed_makes_the_evidence_too() -> None:
    """ECDSA is deterministic here: quotes, collateral and devices' reports come out the same."""
    one, other = (SimulatedIntel.create(created=CREATED, seed=SEED) for _ in range(2))
    quotes = [made.issue(REPORT_DATA, tee=TDX, launch_digest=LAUNCH_DIGEST, now=NOW).to_json() for made in (one, other)]
    assert quotes[0] == quotes[1]
    gpus = [SimulatedNvidia.create(created=CREATED, seed=SEED).issue(bytes(32), now=NOW)[0] for _ in range(2)]
    assert gpus[0].evidence == gpus[1].evidence
    assert gpus[0].certificates == gpus[1].certificates
    assert gpus[0].rims == gpus[1].rims


def test_vendors_of_one_seed_share_no_key() -> None:
    intel, nvidia = (
        SimulatedIntel.create(created=CREATED, seed=SEED),
        SimulatedNvidia.create(created=CREATED, seed=SEED),
    )
    keys = [keys.key(name).private_numbers() for keys in (intel.keys, nvidia.keys) for name in ("root", "ca")]
    assert len({numbers.private_value for numbers in keys}) == 4


@vendors
def test_a_person_sees_whose_certificates_these_are(vendor: Vendor) -> None:
    made = vendor.create(created=CREATED, seed=SEED)
    if isinstance(made, SimulatedIntel):
        parts = made.parts(REPORT_DATA, tee=TDX, launch_digest=LAUNCH_DIGEST, now=NOW)
        ders = [part.sign(parts.keys) for part in (parts.root, parts.ca, parts.pck, parts.signer)]
    else:
        ders = [*made.issue(bytes(32), now=NOW)[0].certificates, *(entry.der for entry in made.signers())]
    for der in ders:
        certificate = x509.load_der_x509_certificate(der)
        for name in (certificate.subject, certificate.issuer):
            said = {entry.oid: str(entry.value) for entry in name}
            assert said[NameOID.ORGANIZATION_NAME] == "Hermetic Simulator"
            assert said[NameOID.ORGANIZATIONAL_UNIT_NAME].startswith("SIMULATED, not ")


def test_no_root_is_a_real_vendors() -> None:
    intel, nvidia = (
        SimulatedIntel.create(created=CREATED, seed=SEED),
        SimulatedNvidia.create(created=CREATED, seed=SEED),
    )
    real = {root.sha256 for root in (*INTEL_ROOTS, *NVIDIA_ROOTS.device, *NVIDIA_ROOTS.manifest)}
    assert not real & {*roots_of(intel), *roots_of(nvidia)}
    assert all(root.simulated for root in (*nvidia.roots.device, *nvidia.roots.manifest))


@vendors
def test_a_verifier_whose_clock_is_a_little_behind_finds_it_valid(vendor: Vendor, tmp_path: Path) -> None:
    """The installation was made, and everything signed, at NOW."""
    made = vendor.load_or_create(tmp_path, now=NOW)
    for behind in (timedelta(minutes=5), timedelta(hours=23)):
        if isinstance(made, SimulatedIntel):
            bundle = made.issue(REPORT_DATA, tee=TDX, launch_digest=LAUNCH_DIGEST, now=NOW)
            roots = (simulated_root(made.root_digest),)
            assert verify(bundle, roots=roots, now=NOW - behind, report_data=REPORT_DATA).simulated
        else:
            (device,) = made.issue(bytes(32), now=NOW)
            assert verify_device(device, roots=made.roots, now=NOW - behind, nonce=bytes(32)).simulated
