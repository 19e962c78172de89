"""Every recorded NVIDIA vector, at its time, against what expect_nvidia.toml says must become of it."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import tomllib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from hermetic.errors import Malformed, Misconfigured, NotAuthentic, Refused
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.evidence.pem import certificates_from_pem
from hermetic.verify import Outcome, Root
from hermetic.verify.nvidia import NVIDIA_ROOTS, DeviceClaims, NvidiaRoots, verify_device
from hermetic.verify.rim import verify_rim
from hermetic.wire import Digest
from nvidia_support import (
    HOPPER,
    HOPPER_RIMS,
    IN_2024,
    IN_2026,
    RECORDED,
    SWITCH,
    SWITCH_RIMS,
    flipped,
    read,
    recorded,
    stated,
    verified,
    with_evidence,
)
from vectors import needs_vectors

pytestmark = [
    needs_vectors,
    # A flipped bit can make a serial number zero or a country eleven letters long, of which the library below warns.
    pytest.mark.filterwarnings("ignore:Parsed a serial number"),
    pytest.mark.filterwarnings("ignore:Attribute's length"),
]

EXPECT = tomllib.loads((Path(__file__).parent / "expect_nvidia.toml").read_text(encoding="utf-8"))
REPORTS, NVAT, CHAINS, RIMS = (EXPECT[kind] for kind in ("report", "nvat", "chain", "rim"))
SECOND = timedelta(seconds=1)
REVOCATION = {f"nvidia.revocation.{role}" for role in ("brom", "provisioner", "identity")}

accepted = pytest.mark.parametrize(
    "entry", [entry for entry in REPORTS if "error" not in entry], ids=lambda entry: entry["report"].split("/")[1]
)
refused = pytest.mark.parametrize(
    "entry",
    [entry for entry in REPORTS if "error" in entry],
    ids=lambda entry: f"{entry['report'].split('/')[1]}:{entry['check']}",
)


def bundle(entry: dict[str, Any]) -> DeviceBundle:
    return recorded(entry["report"].split("/")[1], entry["rims"])


def not_performed(claims: DeviceClaims) -> set[str]:
    """What was not performed, besides the questions about revocation, which nothing recorded answers."""
    silent = {check.name for check in claims.checks if check.outcome is not Outcome.PASS}
    assert silent >= REVOCATION
    return {name for name in silent if ".revocation." not in name}


def test_every_recorded_file_has_its_entry() -> None:
    listed = {entry[field] for entry in REPORTS for field in ("report", "chain")}
    listed |= {entry["file"] for kind in ("nvat", "chain", "rim", "root", "other") for entry in EXPECT[kind]}
    with (RECORDED / "PROVENANCE.tsv").open(encoding="utf-8", newline="") as file:
        present = {row["file"] for row in csv.DictReader(file, delimiter="\t")}
    assert listed == {name for name in present if name.startswith(("nvidia/", "roots/nvidia/"))}


@pytest.mark.parametrize(
    ("file", "sha256"),
    [(entry[field], entry[f"{field}_sha256"]) for entry in REPORTS for field in ("report", "chain")]
    + [
        (entry["file"], entry["sha256"]) for kind in ("nvat", "chain", "rim", "root", "other") for entry in EXPECT[kind]
    ],
)
def test_the_files_are_the_ones_that_were_transcribed(file: str, sha256: str) -> None:
    assert hashlib.sha256(read(file)).hexdigest() == sha256


@accepted
def test_real_evidence_verifies_at_its_time(entry: dict[str, Any]) -> None:
    claims = verified(bundle(entry), entry["at"], nonce=bytes.fromhex(entry["nonce"]))
    assert not_performed(claims) == set(entry["not_performed"])
    assert not claims.complete
    assert not claims.simulated
    assert claims.root.name == "NVIDIA Device Identity CA"
    assert claims.model.name == entry["model"]
    assert claims.driver_version == entry.get("driver")
    assert claims.firmware_version == entry["firmware"]
    compared = {
        check.name.rpartition(".")[2]: int(check.expected.split()[0])
        for check in claims.checks
        if check.name in ("nvidia.measurements.driver", "nvidia.measurements.firmware")
        and check.outcome is Outcome.PASS
    }
    assert compared == entry["matched"]
    assert max(claims.dates) <= entry["at"]


@refused
def test_what_must_not_verify(entry: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        verified(bundle(entry), entry["at"], nonce=bytes.fromhex(entry["nonce"]))
    assert (type(caught.value).__name__, caught.value.code) == (entry["error"], entry["check"])
    assert entry["says"] in caught.value.message
    *before, last = caught.value.checks
    assert last.outcome is Outcome.FAIL
    assert Outcome.FAIL not in {check.outcome for check in before}


@pytest.mark.parametrize("entry", NVAT, ids=lambda entry: entry["file"].rpartition("/")[2])
def test_nvidias_own_evidence_files(entry: dict[str, Any]) -> None:
    whole, nonce = stated(entry["file"])
    assert nonce.hex() == entry["nonce"]
    claims = verified(whole, entry["at"], nonce=nonce)
    assert not_performed(claims) == set(entry["not_performed"])
    assert (claims.model.name, claims.driver_version) == (entry["model"], entry.get("driver"))
    assert claims.firmware_version == entry["firmware"]


@pytest.mark.parametrize("entry", CHAINS, ids=lambda entry: entry["file"].rpartition("/")[2])
def test_chains_that_are_not_whole(entry: dict[str, Any]) -> None:
    broken = replace(recorded("hopper-580.159.03"), certificates=certificates_from_pem(read(entry["file"])))
    with pytest.raises(NotAuthentic) as caught:
        verified(broken, IN_2026)
    assert caught.value.code == entry["check"]


@pytest.mark.parametrize("entry", RIMS, ids=lambda entry: entry["file"].partition("/")[2])
def test_every_manifest(entry: dict[str, Any]) -> None:
    first, last = entry["valid"]
    asked: dict[str, Any] = {
        "roots": NVIDIA_ROOTS.manifest,
        "product": entry["product"],
        "version": entry["version"],
        "revocation_required": False,
    }
    if "error" in entry:
        with pytest.raises(NotAuthentic) as caught:
            verify_rim(read(entry["file"]), now=first, **asked)
        assert caught.value.code == entry["check"]
        return
    for now in (first, last):
        claims = verify_rim(read(entry["file"]), now=now, **asked)
        assert len(claims.manifest.golden) == entry["active"]
    for now in (first - SECOND, last + SECOND):
        with pytest.raises(NotAuthentic) as caught:
            verify_rim(read(entry["file"]), now=now, **asked)
        assert caught.value.code == "rim.validity"


@pytest.mark.parametrize("entry", EXPECT["root"], ids=lambda entry: entry["of"])
def test_the_pinned_roots_are_nvidias(entry: dict[str, Any]) -> None:
    (pinned,) = getattr(NVIDIA_ROOTS, entry["of"])
    certificate = x509.load_pem_x509_certificate(read(entry["file"]))
    assert pinned.sha256 == f"sha256:{certificate.fingerprint(hashes.SHA256()).hex()}"
    assert pinned.name == entry["name"]


def test_the_answer_key() -> None:
    """NVIDIA's own claims about the same switch report, and ours.

    Two differ.  NVIDIA calls the firmware identity a match although the report has none: here that is not performed.
    And its manifest was signed anew since, so the date until which it holds is another.
    """
    theirs = json.loads(read(f"nvidia/{SWITCH}/nras_claims_v3.json"))["SWITCH-0"]
    claims = verified(recorded(SWITCH, SWITCH_RIMS), IN_2026, nonce=bytes.fromhex(theirs["eat_nonce"]))
    passed = {check.name for check in claims.checks if check.outcome is Outcome.PASS}
    said = {
        "x-nvidia-switch-attestation-report-parsed": "nvidia.format",
        "x-nvidia-switch-attestation-report-nonce-match": "nvidia.nonce",
        "x-nvidia-switch-attestation-report-signature-verified": "nvidia.signature",
        "x-nvidia-switch-arch-check": "nvidia.model",
        "x-nvidia-switch-bios-rim-fetched": "nvidia.firmware-rim",
        "x-nvidia-switch-bios-rim-schema-validated": "nvidia.firmware-rim.format",
        "x-nvidia-switch-bios-rim-signature-verified": "nvidia.firmware-rim.signature",
        "x-nvidia-switch-bios-rim-version-match": "nvidia.firmware-rim.version",
        "x-nvidia-switch-bios-rim-measurements-available": "nvidia.measurements.firmware",
    }
    for claim, name in said.items():
        assert theirs[claim] is True
        assert name in passed
    assert theirs["measres"] == "success"
    assert theirs["x-nvidia-switch-bios-version"] == claims.firmware_version
    assert theirs["hwmodel"] == claims.model.name
    assert theirs["ueid"] == claims.ueid
    assert theirs["x-nvidia-switch-attestation-report-cert-chain-fwid-match"] is True
    assert "nvidia.fwid" in not_performed(claims)
    assert {name for name in theirs if name.startswith("x-nvidia") and theirs[name] is True} - set(said) == {
        "x-nvidia-switch-attestation-report-cert-chain-fwid-match"
    }


# What the caller must say


def test_what_was_not_recorded_needs_to_be_asked_for() -> None:
    whole = recorded(HOPPER, HOPPER_RIMS)
    verified(whole, IN_2024, rims_required=True)
    with pytest.raises(NotAuthentic) as caught:
        verify_device(whole, roots=NVIDIA_ROOTS, now=IN_2024, nonce=None)
    assert caught.value.code == "nvidia.revocation.brom"


@pytest.mark.parametrize("name", HOPPER_RIMS)
def test_a_manifest_that_is_missing_is_named(name: str) -> None:
    others = {other: file for other, file in HOPPER_RIMS.items() if other != name}
    with pytest.raises(NotAuthentic, match=name) as caught:
        verified(recorded(HOPPER, others), IN_2024, rims_required=True)
    assert caught.value.code == ("nvidia.driver-rim" if "DRIVER" in name else "nvidia.firmware-rim")
    assert name in caught.value.fix


def test_another_nonce() -> None:
    with pytest.raises(NotAuthentic) as caught:
        verified(recorded(HOPPER), IN_2024, nonce=bytes(32))
    assert caught.value.code == "nvidia.nonce"


def test_parameters_that_cannot_be_meant() -> None:
    whole = recorded(HOPPER)
    with pytest.raises(Misconfigured, match="aware"):
        verified(whole, IN_2024.replace(tzinfo=None))
    with pytest.raises(Misconfigured, match="32 bytes"):
        verified(whole, IN_2024, nonce=bytes(31))
    (device,) = NVIDIA_ROOTS.device
    for roots in ((), (device, device)):
        with pytest.raises(Misconfigured):
            NvidiaRoots(device=roots, manifest=NVIDIA_ROOTS.manifest)
        with pytest.raises(Misconfigured):
            NvidiaRoots(device=NVIDIA_ROOTS.device, manifest=roots)
    with pytest.raises(Misconfigured):
        NvidiaRoots(device=(device,), manifest=(device,))


def test_only_the_pinned_root_counts() -> None:
    other = Root(name="other", sha256=Digest("sha256:" + "00" * 32), vendor="nobody")
    for roots, code in (
        (NvidiaRoots(device=(other,), manifest=NVIDIA_ROOTS.manifest), "nvidia.chain.root"),
        (NvidiaRoots(device=NVIDIA_ROOTS.device, manifest=(other,)), "nvidia.driver-rim.chain.root"),
    ):
        with pytest.raises(NotAuthentic) as caught:
            verified(recorded(HOPPER, HOPPER_RIMS), IN_2024, roots=roots)
        assert caught.value.code == code


# Parts of one device beside parts of another


def test_no_chain_verifies_another_devices_report() -> None:
    folders = sorted({entry["report"].split("/")[1] for entry in REPORTS if "error" not in entry})
    for one in folders:
        for other in folders:
            mixed = replace(recorded(one), certificates=recorded(other).certificates)
            if mixed.certificates == recorded(one).certificates:
                continue
            with pytest.raises(NotAuthentic):
                verified(mixed, IN_2026)


@pytest.mark.parametrize("at", range(5))
def test_a_certificate_of_another_chain_at_any_place_breaks_it(at: int) -> None:
    own, foreign = recorded("hopper-580.159.03").certificates, recorded("blackwell-575.32").certificates
    mixed = (*own[:at], foreign[at], *own[at + 1 :])
    if mixed == own:
        mixed = (*own[:4], own[3])  # both end at one root, so an authority takes its place
    with pytest.raises(NotAuthentic) as caught:
        verified(replace(recorded("hopper-580.159.03"), certificates=mixed), IN_2026)
    assert caught.value.code in ("nvidia.chain", "nvidia.chain.root")


def test_a_manifest_of_another_version_under_the_right_name() -> None:
    wrong = {**HOPPER_RIMS, "NV_GPU_DRIVER_GH100_545.00": "nvidia/rims/NV_GPU_DRIVER_GH100_550.144.03.xml"}
    at = IN_2024.replace(year=2025)
    with pytest.raises(NotAuthentic, match=r"expected 545\.00; got 550\.144\.03") as caught:
        verified(recorded(HOPPER, wrong), at)
    assert caught.value.code == "nvidia.driver-rim.version"


def test_a_manifest_of_another_product_under_the_right_name() -> None:
    (name,) = SWITCH_RIMS
    hopper = "nvidia/rims/1010_0200_882_96005E0001_PROD.swidtag"
    with pytest.raises(NotAuthentic, match="expected LS10; got GH100") as caught:
        verified(recorded(SWITCH, {name: hopper}), IN_2024)
    assert caught.value.code == "nvidia.firmware-rim.product"


# One bit, anywhere


@pytest.mark.parametrize("folder", [HOPPER, SWITCH, "blackwell-575.32"])
def test_a_bit_of_the_bytes_of_a_report(folder: str) -> None:
    """The written malleability list of NVIDIA reports is empty for single bits (the switch's in whole)."""
    whole, choose = recorded(folder), random.Random(folder)
    nonce = verified(whole, IN_2026).nonce
    unnoticed = []
    for offset in range(0, len(whole.evidence), 1 if folder == SWITCH else 4):
        bit = 8 * offset + choose.randrange(8)
        try:
            verified(with_evidence(whole, flipped(whole.evidence, bit)), IN_2026, nonce=nonce)
        except (Malformed, NotAuthentic):
            continue
        unnoticed.append(bit)
    assert unnoticed == []


@pytest.mark.parametrize("at", range(5))
def test_a_bit_of_the_bytes_of_a_certificate(at: int) -> None:
    whole, choose = recorded("hopper-580.159.03"), random.Random(at)
    der = whole.certificates[at]
    for offset in range(0, len(der), 3):
        mutant = flipped(der, 8 * offset + choose.randrange(8))
        mixed = (*whole.certificates[:at], mutant, *whole.certificates[at + 1 :])
        with pytest.raises((Malformed, NotAuthentic)):
            verified(replace(whole, certificates=mixed), IN_2026)


def test_truncations_of_a_report() -> None:
    whole = recorded(SWITCH)
    for length in range(0, len(whole.evidence), 7):
        with pytest.raises(Malformed):
            verified(with_evidence(whole, whole.evidence[:length]), IN_2026)
