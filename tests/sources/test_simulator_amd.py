"""The simulated AMD: what it keeps, who can read it, and that what it issues is its own and nobody else's.

That its evidence verifies, knob by knob, is shown in tests/verify and tests/policy.
"""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hermetic.errors import Misconfigured, NotAuthentic
from hermetic.evidence import Product, SigningKey, SnpReport, Tcb
from hermetic.sources.simulator.amd import SimulatedAmd
from hermetic.sources.simulator.installation import AmdInstallation
from hermetic.sources.simulator.snp_platform import SnpPlatform
from hermetic.verify import AMD_ROOTS, verify
from hermetic.wire import b64encode
from snp_support import (
    CREATED,
    HOST_DATA,
    NOW,
    REPORT_DATA,
    SEED,
    installation,
    issue,
    keys,
    roots,
    simulated,
)

EC_KEY = b64encode(
    ec.generate_private_key(ec.SECP384R1()).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installation in it, made once: three RSA-4096 keys take two seconds."""
    folder = tmp_path_factory.mktemp("simulator") / "state"
    SimulatedAmd.load_or_create(folder, now=NOW)
    return folder


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_it_is_the_same_after_a_restart(kept: Path) -> None:
    first, second = (SimulatedAmd.load_or_create(kept, now=NOW + timedelta(days=days)) for days in (0, 9))
    assert first.root_digest == second.root_digest
    assert first.chip_id == second.chip_id
    bundle = second.issue(REPORT_DATA, host_data=HOST_DATA, now=NOW)
    assert verify(bundle, roots=roots(first), now=NOW, report_data=REPORT_DATA).simulated


def test_nobody_else_can_read_its_keys(kept: Path) -> None:
    assert only_file(kept).stat().st_mode & 0o777 == 0o600
    assert kept.stat().st_mode & 0o777 == 0o700


def test_keys_that_others_may_read_are_refused(kept: Path, tmp_path: Path) -> None:
    path = tmp_path / only_file(kept).name
    path.write_bytes(only_file(kept).read_bytes())
    path.chmod(0o640)
    with pytest.raises(Misconfigured, match="others may read") as refused:
        SimulatedAmd.load_or_create(tmp_path, now=NOW)
    assert "chmod 600" in refused.value.fix
    path.chmod(0o600)
    SimulatedAmd.load_or_create(tmp_path, now=NOW)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: "", id="empty"),
        pytest.param(lambda text: text[:-20], id="cut short"),
        pytest.param(lambda text: text.replace("Genoa", "Rome"), id="an unknown product"),
        pytest.param(lambda text: text.replace("amd.v1", "amd.v2"), id="another version"),
        pytest.param(lambda text: json.dumps(json.loads(text) | {"more": ""}), id="something unknown"),
        pytest.param(lambda text: json.dumps(json.loads(text) | {"ark_key": "AAAA"}), id="a key that is none"),
        pytest.param(lambda text: json.dumps(json.loads(text) | {"ark_key": EC_KEY}), id="a key of another kind"),
        pytest.param(lambda text: json.dumps(json.loads(text) | {"seed": "****"}), id="a seed that is no base64"),
        pytest.param(lambda text: json.dumps(json.loads(text) | {"created": "lately"}), id="a date that is none"),
    ],
)
def test_a_damaged_file_is_refused_and_left_alone(kept: Path, tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    path = tmp_path / only_file(kept).name
    path.write_text(damage(only_file(kept).read_text()))
    path.chmod(0o600)
    before = path.read_bytes()
    with pytest.raises(Misconfigured, match="is damaged") as refused:
        SimulatedAmd.load_or_create(tmp_path, now=NOW)
    assert refused.value.fix
    assert path.read_bytes() == before


def test_two_that_create_at_once_agree_and_leave_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    start = threading.Barrier(2)

    def create() -> str:
        start.wait()
        return SimulatedAmd.load_or_create(folder, now=NOW).root_digest

    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(create) for _ in range(2)]
        assert len({future.result() for future in made}) == 1
    assert [path.name for path in folder.iterdir()] == ["simulated-amd-genoa.json"]


def test_no_secret_is_in_a_repr(kept: Path) -> None:
    made = AmdInstallation.load_or_create(kept, product=Product.GENOA, now=NOW)
    text = repr((made, made.keys, SimulatedAmd(made)))
    assert made.seed.hex() not in text
    assert "seed" not in text
    assert "PrivateKey" not in text


def test_products_have_roots_of_their_own() -> None:
    assert len({simulated(product).root_digest for product in Product}) == 3
    assert not {simulated(product).root_digest for product in Product} & {root.sha256 for root in AMD_ROOTS}


def test_installations_do_not_verify_each_other() -> None:
    other = SimulatedAmd(installation(Product.GENOA))  # the same keys, signed anew: another root certificate
    with pytest.raises(NotAuthentic):
        verify(issue(other), roots=roots(simulated()), now=NOW, report_data=REPORT_DATA)


def test_the_chip_follows_from_the_seed() -> None:
    same, other = (
        SimulatedAmd(AmdInstallation.create(product=Product.GENOA, created=CREATED, seed=seed, keys=keys()))
        for seed in (SEED, SEED[::-1])
    )
    platform = SnpPlatform()
    assert same.chip_id == simulated().chip_id
    assert same.chip_key(platform).private_numbers() == simulated().chip_key(platform).private_numbers()
    assert other.chip_id != simulated().chip_id
    assert other.chip_key(platform).private_numbers() != same.chip_key(platform).private_numbers()


def test_every_level_and_kind_has_a_key_of_its_own() -> None:
    older = Tcb(boot_loader=9, tee=0, snp=25, microcode=84)
    platforms = [
        SnpPlatform(signing_key=kind, reported_tcb=tcb)
        for kind in (SigningKey.VCEK, SigningKey.VLEK)
        for tcb in (None, older)
    ]
    assert len({simulated().chip_key(platform).private_numbers().private_value for platform in platforms}) == 4


def test_certificates_are_signed_once_a_day() -> None:
    amd = SimulatedAmd(installation(Product.GENOA))
    today, later, tomorrow = (issue(amd, now=NOW + timedelta(hours=hours)) for hours in (0, 1, 24))
    assert today.endorsements == later.endorsements
    assert today.endorsements["crl"] != tomorrow.endorsements["crl"]
    crl = x509.load_der_x509_crl(tomorrow.endorsements["crl"])
    assert crl.last_update_utc == NOW.replace(hour=0)


def test_a_verifier_whose_clock_is_a_little_behind_finds_it_valid(kept: Path) -> None:
    """The installation was made, and everything signed, at NOW."""
    amd = SimulatedAmd.load_or_create(kept, now=NOW)
    bundle = amd.issue(REPORT_DATA, host_data=HOST_DATA, now=NOW)
    for behind in (timedelta(minutes=5), timedelta(hours=23)):
        verify(bundle, roots=roots(amd), now=NOW - behind, report_data=REPORT_DATA)


def test_a_report_is_the_guests_it_was_made_for() -> None:
    """The report's own identity changes with what was launched, as on hardware, and not with what was asked."""
    ids = [
        SnpReport.from_bytes(bundle.evidence).report_id
        for bundle in (
            issue(),
            issue(report_data=bytes(64)),
            issue(host_data=bytes(32)),
            issue(measurement=bytes(48)),
        )
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
