"""What is shown of a file: everything it says, in what JSON can hold, and never as if it were proven."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import hostile_support as hostile
from attested_support import report as attestation_report
from examined_support import PPCIE, devices, machine, platform
from hermetic.errors import Malformed
from hermetic.evidence import Recognised, recognise
from hermetic.evidence.parts import CollateralPart, EventLogPart
from hermetic.evidence.x509 import load_certificate
from hermetic.results.describe import describe
from hermetic.wire import canonical
from vectors import ROOT, needs_vectors

RECORDED = ROOT / "attestation"
SHOWN = (
    "sev-snp/genoa-v5-vcek-oak-6d1cef/report.bin",
    "sev-snp/milan-v2-vcek-sev-120d77/report.bin",
    "sev-snp/turin-v5-vcek-oak-3f44a0/vcek.der",
    "tdx/v5-90c06f000000-go-tdx-guest-cf77a6/quote.bin",
    "tdx/v4-00806f050000-go-tdx-guest-00b252/collateral-2025-11-04-UpToDate.json",
    "sgx/v3-00606a000000-trustee-77bcbd/quote.bin",
    "sgx/v3-00906ed50000-openenclave-ad7302/collateral-2022-05-11-LEGACY.json",
    "nvidia/hopper-545.00-full/report.hex",
    "nvidia/hopper-545.00-full/driver_rim.swidtag",
    "nvidia/json/hopper_evidence.json",
    "tdx-eventlogs/dstack-quote-report.json",
    "tdx-eventlogs/CCEL_data_ovmf",
    "roots/amd/sev_certificates_with_crls.txt",
    "nitro/doc-20221012-debug-46591b.cose",
)


def described(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(describe(recognise(data))))
    assert found["verified"] is False
    return found


def parts(data: bytes) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = described(data)["parts"]
    return shown


@needs_vectors
@pytest.mark.parametrize("file", SHOWN)
def test_every_kind_of_file(file: str) -> None:
    shown = described((RECORDED / file).read_bytes())
    assert shown["form"]
    assert all(part["what"] for part in shown["parts"])


@needs_vectors
def test_a_report() -> None:
    (turin,) = parts((RECORDED / "sev-snp/turin-v5-vcek-oak-3f44a0/report.bin").read_bytes())
    assert turin["fields"]["platform"] == ["SMT_EN", "TSME_EN", "ECC_EN", "ALIAS_CHECK_COMPLETE", "bit 6"]
    assert turin["fields"]["tcb.reported"] == "fmc=0 boot_loader=1 tee=0 snp=2 microcode=71"
    (old,) = parts((RECORDED / "sev-snp/milan-v2-vcek-sev-120d77/report.bin").read_bytes())
    assert len(old["fields"]["tcb.reported"]) == 16  # version 2 does not name its product
    assert "cpuid" not in old["fields"]


@needs_vectors
def test_collateral_of_an_older_version_hides_nothing_else() -> None:
    name = "sgx/v3-00906ed50000-openenclave-ad7302/collateral-2022-05-11-LEGACY.json"
    (shown,) = parts((RECORDED / name).read_bytes())
    assert "cannot be read" in shown["fields"]["tcb_info"]
    assert shown["fields"]["qe_identity"]["id"] == "QE"


def test_a_bundle_with_its_endorsements() -> None:
    (shown,) = parts(canonical(platform().to_json()))
    assert shown["endorsements"].keys() == {"leaf", "intermediate", "root", "crl"}
    assert shown["endorsements"]["root"]["subject"].startswith("CN=ARK-Genoa")
    assert shown["fields"]["measurement"]


def test_an_endorsement_that_cannot_be_read_hides_nothing_else() -> None:
    bundle = platform()
    for name in ("leaf", "crl"):
        broken = replace(bundle, endorsements={**bundle.endorsements, name: b"neither"})
        (shown,) = parts(canonical(broken.to_json()))
        assert "cannot be read" in shown["endorsements"][name]
        assert shown["endorsements"]["root"]["subject"].startswith("CN=ARK-Genoa")
    found = Recognised.of("a form", CollateralPart(endorsements={"pck_crl_chain": b"no PEM"}))
    (collateral,) = describe(found)["parts"]
    assert "cannot be read" in collateral["fields"]["pck_crl_chain"]


@pytest.mark.parametrize(
    "leaf",
    [
        pytest.param(hostile.certificate(version=9), id="another version"),
        pytest.param(hostile.certificate(*[hostile.extension(hostile.identifier(3))] * 2), id="an extension twice"),
        pytest.param(hostile.certificate(subject=hostile.name(b"\xff")), id="a subject that is no UTF-8"),
        pytest.param(
            hostile.certificate(subject=hostile.name(b"\1", tag=hostile.INTEGER)), id="a number for a subject"
        ),
        pytest.param(hostile.certificate(hostile.extension(hostile.LONG)), id="an identifier without end"),
    ],
)
def test_a_certificate_that_no_reader_takes(leaf: bytes) -> None:
    bundle = platform()
    (shown,) = parts(canonical(replace(bundle, endorsements={**bundle.endorsements, "leaf": leaf}).to_json()))
    assert "not a certificate that can be read" in shown["endorsements"]["leaf"]["cannot be read"]


@pytest.mark.filterwarnings("error")
def test_nobody_complains_of_amds_serial_number() -> None:
    version_and_serial = bytes.fromhex("a003020102 0201")  # and the number: the simulator's is 1, AMD's is 0
    leaf = platform().endorsements["leaf"].replace(version_and_serial + b"\1", version_and_serial + b"\0", 1)
    load_certificate.cache_clear()
    (shown,) = parts(leaf)
    assert shown["fields"]["serial"] == "0"
    assert shown["fields"]["subject"].startswith("CN=SEV-VCEK")


def test_an_attestation_report() -> None:
    report = attestation_report()
    first, hardware = parts(report.to_bytes())
    assert first["fields"]["purpose"] == "hermetic.session.v1"
    assert first["fields"]["report-data it must carry"] == hardware["fields"]["report-data"]
    assert first["fields"]["launch-digest"] == report.launch.digest
    with pytest.raises(Malformed):
        describe(recognise(canonical({"version": "hermetic.attestation.v1"})))


def test_devices_and_what_their_file_states() -> None:
    shown = parts(machine("tdx", PPCIE).to_bytes())
    assert [part["what"] for part in shown[1:]] == ["evidence of an NVIDIA device"] * 3
    assert shown[1]["fields"]["nonce"] == bytes(range(32)).hex()
    assert len([name for name in shown[1]["endorsements"] if name.startswith("manifest ")]) == 2
    assert shown[1]["endorsements"]["OCSP responses"] == len(devices(PPCIE)[0].ocsp)


def test_what_cannot_be_read_is_said_to_be_so() -> None:
    found = Recognised(
        form="a form",
        parts=(CollateralPart(endorsements={"tcb_info": b"{}"}), EventLogPart(name="dstack", log=b"7")),
    )
    collateral, log = describe(found)["parts"]
    assert "cannot be read" in collateral["fields"]["tcb_info"]
    assert "cannot be read" in log["fields"]
