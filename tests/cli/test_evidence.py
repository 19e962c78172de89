"""``hermetic evidence`` as people use it: on recorded evidence at its time, on simulated machines, on broken files."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

import attested_support
from examined_support import NONCE, PPCIE, REPORT_DATA, devices, machine, platform, policy_text
from hermetic.cli import main
from hermetic.cli._evidence_files import gather
from hermetic.cli._evidence_judge import PURPOSES
from hermetic.evidence import Composite, Product, SigningKey
from hermetic.identity import Purpose
from hermetic.results import open_ear
from hermetic.seal import encode_owner_key
from hermetic.wire import canonical
from results_support import ED25519
from snp_support import amd_chain, amd_crl
from vectors import ROOT, needs_vectors

pytest.importorskip("dcap_qvl", reason="the second verifier is not installed (pip install dcap-qvl)")

RECORDED = ROOT / "attestation"
COS = RECORDED / "tdx" / "v4-00806f050000-go-tdx-guest-00b252"
SWITCH = RECORDED / "nvidia" / "nvswitch-ls10-full"
HOPPER = RECORDED / "nvidia" / "hopper-545.00-full"
SWITCH_NONCE = "931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb"
AT = "2026-02-03T12:00:00Z"


@dataclass(frozen=True, kw_only=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``hermetic evidence …`` in this process, with a home of its own and nobody to ask on the network."""
    monkeypatch.setenv("HERMETIC_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("NO_COLOR", "1")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    def done(*arguments: str | Path) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["evidence", *map(str, arguments)])
        said = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Done(code=end.value.code, out=said.out, err=said.err)

    return done


def claims(document: Any, part: str = "cpu0") -> dict[str, Any]:
    return {claim["name"]: claim["value"] for claim in document["parts"][part]["claims"]}


def outcomes(document: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for check in document["checks"]:
        found.setdefault(check["outcome"], set()).add(check["name"])
    return found


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# Recorded evidence


@needs_vectors
@pytest.mark.parametrize(
    ("collateral", "at", "status", "advisories"),
    [
        ("collateral-2025-11-04-UpToDate.json", "2025-11-04T20:45:20Z", "UpToDate", 0),
        ("collateral-2026-06-27-OutOfDate.json", "2026-06-27T12:00:00Z", "OutOfDate", 13),
    ],
)
def test_the_same_quote_at_two_dates(run: Run, collateral: str, at: str, status: str, advisories: int) -> None:
    done = run("verify", COS / "quote.bin", COS / collateral, "--at", at, "--json")
    assert done.code == 3, done.err
    assert done.document["verdict"] == "authentic, NOT APPRAISED"
    assert claims(done.document)["intel.tcb.status"] == status
    assert len(claims(done.document)["intel.tcb.advisories"]) == advisories
    assert outcomes(done.document).keys() == {"pass", "not performed"}
    assert outcomes(done.document)["not performed"] == {"tdx.report-data"}
    shown = run("verify", COS / "quote.bin", COS / collateral, "--at", at)
    assert status in shown.out
    assert "authentic, NOT APPRAISED" in shown.out
    assert "--policy" in shown.out


@needs_vectors
def test_collateral_of_another_time_is_refused(run: Run) -> None:
    files = (COS / "quote.bin", COS / "collateral-2025-11-04-UpToDate.json")
    done = run("verify", *files, "--at", "2026-06-27T12:00:00Z", "--offline", "--json")
    assert done.code == 1
    assert done.document["verdict"] == "refused"
    assert done.document["error"]["code"] == "dcap.tcb-info.time"
    assert done.document["parts"]["cpu0"]["claims"] == []


SNP = {
    "genoa": ("genoa-v5-vcek-oak-6d1cef", Product.GENOA, "2025-09-01T00:00:00Z"),
    "milan": ("milan-v2-vcek-go-sev-guest-377e62", Product.MILAN, "2025-06-01T00:00:00Z"),
    "turin": ("turin-v5-vcek-oak-3f44a0", Product.TURIN, "2025-09-01T00:00:00Z"),
}


@needs_vectors
@pytest.mark.parametrize("name", SNP)
def test_a_report_with_amds_files(run: Run, tmp_path: Path, name: str) -> None:
    folder, product, at = SNP[name]
    files = [RECORDED / "sev-snp" / folder / "report.bin", RECORDED / "sev-snp" / folder / "vcek.der"]
    files += [written(tmp_path / f"{each}.der", der) for each, der in amd_chain(product, SigningKey.VCEK).items()]
    missing = {"snp.report-data"}
    if (crl := amd_crl(product)) is not None:
        files.append(written(tmp_path / "crl.der", crl))
    else:
        missing.add("snp.revocation")
    done = run("verify", *files, "--at", at, "--offline", "--json")
    assert done.code == 3, done.out
    assert claims(done.document)["hwmodel"] == str(product)
    assert outcomes(done.document)["not performed"] == missing
    assert ("not at hand" in done.err) == (crl is None)


@needs_vectors
def test_a_switch_with_its_manifest(run: Run) -> None:
    files = (SWITCH / "report.hex", SWITCH / "chain.pem", SWITCH / "bios_rim.xml")
    done = run("verify", *files, "--at", "2026-06-01", "--nonce", SWITCH_NONCE, "--offline", "--json")
    assert done.code == 3
    assert claims(done.document, "switch0")["measres"] == "comparison-success"
    assert "switch0.nvidia.nonce" in outcomes(done.document)["pass"]
    other = run("verify", *files, "--at", "2026-06-01", "--nonce", "00" * 32, "--offline", "--json")
    assert (other.code, other.document["error"]["code"]) == (1, "nvidia.nonce")
    forged = SWITCH / "NEG_rim_invalid_signature.xml"
    wrong = run("verify", *files[:2], forged, "--at", "2025-06-29", "--offline", "--json")
    assert (wrong.code, wrong.document["error"]["code"]) == (1, "nvidia.firmware-rim.signature")


@needs_vectors
def test_a_gpu_and_a_cpu_that_nothing_binds(run: Run, tmp_path: Path) -> None:
    gpu = (HOPPER / "report.hex", HOPPER / "chain.pem", HOPPER / "driver_rim.swidtag", HOPPER / "vbios_rim.swidtag")
    cpu = RECORDED / "sev-snp" / "milan-v2-vcek-go-sev-guest-377e62"
    chain = [written(tmp_path / f"{name}.der", der) for name, der in amd_chain(Product.MILAN, SigningKey.VCEK).items()]
    files = (*gpu, cpu / "report.bin", cpu / "vcek.der", *chain)
    done = run("verify", *files, "--at", "2024-06-01T00:00:00Z", "--offline", "--json")
    assert done.code == 3, done.out
    assert done.document["parts"].keys() == {"cpu0", "gpu0"}
    assert "binding.devices" in outcomes(done.document)["not performed"]


@needs_vectors
def test_a_dstack_answer_brings_its_events(run: Run) -> None:
    collateral = RECORDED / "tdx" / "v4-90c06f000000-dstack-cbdb5b" / "collateral-2026-03-09-UpToDate.json"
    answer = RECORDED / "tdx-eventlogs" / "dstack-quote-report.json"
    done = run("verify", answer, collateral, "--at", "2026-03-09", "--json", "--offline")
    assert done.code == 3, done.out
    assert claims(done.document)["events.compose-hash"].startswith("3763bc34")


# Simulated machines and policies


@pytest.fixture
def wanted(tmp_path: Path) -> tuple[Path, Path]:
    """A bundle of a simulated platform, and the policy that wants it."""
    bundle = written(tmp_path / "bundle.json", canonical(platform().to_json()))
    return bundle, written(tmp_path / "policy.toml", policy_text().encode())


def accepted(bundle: Path, policy: Path) -> tuple[str | Path, ...]:
    return bundle, "--policy", policy, "--allow-simulated", "--at", AT, "--report-data", REPORT_DATA.hex(), "--offline"


def test_a_simulated_platform_that_a_policy_wants(run: Run, wanted: tuple[Path, Path]) -> None:
    done = run("verify", *accepted(*wanted), "--json")
    assert done.code == 0, done.out
    assert (done.document["verdict"], done.document["simulated"]) == ("accepted", True)
    assert outcomes(done.document).keys() == {"pass"}
    shown = run("verify", *accepted(*wanted))
    assert "SIMULATED" in shown.out
    assert "accepted: " in shown.out


def test_simulated_evidence_is_refused_where_nobody_said_otherwise(run: Run, wanted: tuple[Path, Path]) -> None:
    bundle, policy = wanted
    for arguments in ((bundle,), (bundle, "--policy", policy)):
        done = run("verify", *arguments, "--at", AT, "--offline")
        assert done.code == 1
        assert "snp.chain.root" in done.out
        assert "--allow-simulated" in done.out
    without = run("verify", bundle, "--allow-simulated", "--at", AT, "--offline")
    assert without.code == 2
    assert "needs a policy" in without.err


def test_a_policy_that_does_not_want_it_says_all_that_it_minds(run: Run, wanted: tuple[Path, Path]) -> None:
    bundle, policy = wanted
    policy.write_text(policy_text(extra="vmpl = 1\nabi_min = '9.9'\n"))
    done = run("verify", *accepted(bundle, policy), "--json")
    assert done.code == 1
    assert outcomes(done.document)["fail"] == {"policy.snp.vmpl", "policy.snp.abi"}


def test_a_policy_for_a_workload_is_not_met_by_bare_evidence(run: Run, tmp_path: Path) -> None:
    report = attested_support.report()
    bundle = written(tmp_path / "bundle.json", canonical(report.evidence.to_json()))
    policy = written(tmp_path / "policy.toml", attested_support.policy_text().encode())
    asked = ("--report-data", report.binding.report_data().hex(), "--at", "2026-11-24T12:00:00Z", "--offline")
    done = run("verify", bundle, "--policy", policy, "--allow-simulated", *asked, "--json")
    assert done.code == 3, done.out
    assert outcomes(done.document)["not performed"] == {"policy.workload"}


def test_a_machine_with_devices(run: Run, tmp_path: Path) -> None:
    bundle = written(tmp_path / "machine.json", machine("tdx", PPCIE).to_bytes())
    policy = written(tmp_path / "policy.toml", policy_text("tdx", PPCIE).encode())
    done = run("verify", *accepted(bundle, policy), "--nonce", NONCE.hex(), "--json")
    assert done.code == 3, done.out
    assert done.document["verdict"] == "incomplete"
    assert outcomes(done.document)["not performed"] == {"binding.devices"}
    alone = written(tmp_path / "devices.json", machine(None, PPCIE).to_bytes())
    policy.write_text(policy_text(None, PPCIE))
    asked = (alone, "--policy", policy, "--allow-simulated", "--at", AT, "--nonce", NONCE.hex(), "--offline")
    done = run("verify", *asked)
    assert done.code == 0, done.out
    assert "The device gpu1: NVIDIA" in done.out
    assert "The devices together" in done.out
    assert "checks of this device" in done.out
    assert "That key signed exactly these bytes" not in done.out
    verbose = run("verify", *asked, "--verbose")
    assert verbose.out.count("That key signed exactly these bytes") == 3
    assert "checks of this device" not in verbose.out
    wrong = run("verify", *asked[:-3], "--nonce", "00" * 32, "--offline")
    assert wrong.out.count("✗ FAIL") == 3


def test_an_attestation_report(run: Run, tmp_path: Path) -> None:
    report = written(tmp_path / "report.json", attested_support.report().to_bytes())
    policy = written(tmp_path / "policy.toml", attested_support.policy_text().encode())
    common = ("--policy", policy, "--allow-simulated", "--at", "2026-11-24T12:00:00Z", "--offline")
    nonce = ("--nonce", attested_support.NONCE.hex())
    done = run("verify", report, *common, *nonce, "--json")
    assert done.code == 0, done.out
    assert done.document["workload"]["hermetic.purpose"] == "hermetic.session.v1"
    stale = run("verify", report, *common, "--json")
    assert (stale.code, stale.document["verdict"]) == (3, "incomplete")
    other = run("verify", report, *common, *nonce, "--purpose", "release", "--json")
    assert (other.code, other.document["error"]["code"]) == (1, "binding.purpose")
    shown = run("verify", report, *common, *nonce, "--verbose")
    assert "keyset-digest" in shown.out


def test_a_saved_bundle_says_the_same_again(run: Run, tmp_path: Path, wanted: tuple[Path, Path]) -> None:
    parts = [written(tmp_path / "report.bin", platform().evidence)]
    parts += [written(tmp_path / f"{name}.der", der) for name, der in platform().endorsements.items()]
    saved = tmp_path / "saved.json"
    first = run("verify", *parts, *accepted(*wanted)[1:], "--save", saved, "--json")
    assert first.code == 0, first.out
    assert Composite.from_bytes(saved.read_bytes()) == Composite(platform=platform())
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert run("verify", *accepted(saved, wanted[1]), "--json").document == first.document
    report = written(tmp_path / "report.json", attested_support.report().to_bytes())
    # Refused, for nobody allowed the simulator, and kept all the same.
    assert run("verify", report, "--at", AT, "--offline", "--save", saved).code == 1
    assert saved.read_bytes() == report.read_bytes()


def test_loose_files_complete_an_attestation_report_too(tmp_path: Path) -> None:
    report = replace(attested_support.report(), devices=devices(PPCIE))
    files = [written(tmp_path / f"{name}.der", der) for name, der in report.evidence.endorsements.items()]
    for number, (_, document) in enumerate(sorted(report.devices[0].rims.items())):
        files.append(written(tmp_path / f"{number}.swidtag", document))
    files += [written(tmp_path / f"{number}.ocsp", der) for number, der in enumerate(report.devices[0].ocsp)]
    bare = replace(
        report,
        evidence=replace(report.evidence, endorsements={}),
        devices=tuple(replace(device, rims={}, ocsp=()) for device in report.devices),
    )
    gathered = gather([written(tmp_path / "report.json", bare.to_bytes()), *files])
    assert gathered.report is not None
    assert gathered.platform == report.evidence
    assert gathered.devices[0] == report.devices[0]
    assert gathered.devices[2].rims == {}  # the switch's manifest is another
    assert gather([written(tmp_path / "again.json", gathered.to_bytes())]).report == gathered.report


# Where documents come from


def test_a_folder_completes_evidence_offline(run: Run, tmp_path: Path, wanted: tuple[Path, Path]) -> None:
    report = written(tmp_path / "report.bin", platform().evidence)
    alone = run("verify", report, *accepted(*wanted)[1:], "--json")
    assert (alone.code, alone.document["error"]["code"]) == (1, "snp.format")
    assert "not at hand" in alone.err
    folder = tmp_path / "collateral"
    folder.mkdir()
    for name, der in platform().endorsements.items():
        written(folder / f"{name}.der", der)
    assert run("verify", report, *accepted(*wanted)[1:], "--collateral", folder).code == 0


def test_a_vendor_that_does_not_answer_is_no_refusal(run: Run, tmp_path: Path) -> None:
    report = written(tmp_path / "report.bin", platform().evidence)
    for command in (("verify", report), ("fetch", report, "--save", tmp_path / "bundle.json")):
        done = run(*command, "--at", AT)
        assert done.code == 4
        assert "unavailable [collateral_unavailable]" in done.err
        assert "kdsintf.amd.com" in done.err
    assert not (tmp_path / "bundle.json").exists()


def test_fetch_keeps_what_is_at_hand_without_asking(run: Run, tmp_path: Path, wanted: tuple[Path, Path]) -> None:
    saved = tmp_path / "stapled.json"
    done = run("fetch", wanted[0], "--save", saved, "--at", AT)
    assert done.code == 0, done.err
    assert "came along" in done.out
    assert f"hermetic evidence verify {saved} --offline --at {AT}" in done.out
    assert run("verify", *accepted(saved, wanted[1])).code == 0
    listed = run("fetch", wanted[0], "--save", saved, "--at", AT, "--json").document
    assert {each["origin"] for each in listed["documents"]} == {"came along"}
    members = {"what", "url", "origin", "holds_from", "holds_until", "stale"}
    assert all(each.keys() == members for each in listed["documents"])


# EAR


def test_a_result_for_other_systems(run: Run, tmp_path: Path, wanted: tuple[Path, Path]) -> None:
    key = written(tmp_path / "ear.key", encode_owner_key(ED25519))
    token = tmp_path / "result.jwt"
    for profile in ("veraison", "ietf"):
        done = run("verify", *accepted(*wanted), "--ear", token, "--ear-key", key, "--ear-profile", profile)
        assert done.code == 0, done.err
        now = datetime.now(UTC)
        text, public = token.read_text().strip(), ED25519.public_key()
        ear = open_ear(text, public, now=now, nonce=None, max_age=timedelta(hours=1))
        assert ear.tier == "contraindicated"  # accepted by a policy, and simulated
        assert ear.submods["cpu0"].vector["hardware"] == 97
        assert jwt.decode(text, public, algorithms=["EdDSA"])["iat"] <= now.timestamp()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


@pytest.mark.parametrize("at", [None, AT], ids=["now", "for the past"])
def test_a_result_says_for_when_it_was_judged(
    run: Run, tmp_path: Path, wanted: tuple[Path, Path], at: str | None
) -> None:
    key, token = written(tmp_path / "ear.key", encode_owner_key(ED25519)), tmp_path / "result.jwt"
    run("verify", wanted[0], "--offline", "--ear", token, "--ear-key", key, *([] if at is None else ["--at", at]))
    ear = open_ear(
        token.read_text().strip(),
        ED25519.public_key(),
        now=datetime.now(UTC),
        nonce=None,
        max_age=timedelta(hours=1),
    )
    judged = ear.submods["cpu0"].judged_at
    assert judged is not None
    assert (judged == datetime.fromisoformat(AT)) is (at is not None)
    assert (ear.issued - judged < timedelta(minutes=5)) is (at is None)


def test_a_result_is_issued_by_the_clock_that_judged(run: Run, tmp_path: Path, wanted: tuple[Path, Path]) -> None:
    """Which never goes back past what signed documents have shown, though the machine's own may."""
    shown = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    (tmp_path / "state").mkdir(mode=0o700)
    written(tmp_path / "state" / "clock.json", canonical({"not_before": int(shown.timestamp())}))
    key, token = written(tmp_path / "ear.key", encode_owner_key(ED25519)), tmp_path / "result.jwt"
    run("verify", wanted[0], "--offline", "--ear", token, "--ear-key", key)
    text = token.read_text().strip()
    ear = open_ear(text, ED25519.public_key(), now=shown, nonce=None, max_age=timedelta(hours=1))
    assert ear.issued == ear.submods["cpu0"].judged_at == shown


def test_a_result_signed_with_p256_and_one_of_a_refusal(run: Run, tmp_path: Path, wanted: tuple[Path, Path]) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key, token = written(tmp_path / "p256.key", pem), tmp_path / "result.jwt"
    assert run("verify", wanted[0], "--at", AT, "--offline", "--ear", token, "--ear-key", key).code == 1
    ear = open_ear(
        token.read_text().strip(), private.public_key(), now=datetime.now(UTC), nonce=None, max_age=timedelta(hours=1)
    )
    assert ear.tier == "contraindicated"
    assert set(ear.submods["cpu0"].vector.values()) == {99}


def test_the_key_of_a_result(run: Run, tmp_path: Path, wanted: tuple[Path, Path]) -> None:
    common = ("verify", *accepted(*wanted))
    token = tmp_path / "result.jwt"
    for alone in (("--ear", token), ("--ear-key", written(tmp_path / "key", b""))):
        done = run(*common, *alone)
        assert done.code == 2
        assert "keygen --owner" in done.err
    wrong = ec.generate_private_key(ec.SECP384R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for number, bad in enumerate((b"no key", wrong)):
        path = written(tmp_path / f"bad{number}", bad)
        done = run(*common, "--ear", token, "--ear-key", path)
        assert done.code == 1
        assert "keygen --owner" in done.err
        assert bad.decode() not in done.err
    assert not token.exists()


def test_the_key_of_hermetic_keygen_signs_results(run: Run, tmp_path: Path, wanted: tuple[Path, Path]) -> None:
    with pytest.raises(SystemExit):
        main(["keygen", "--owner", "--output", str(tmp_path / "owner.key")])
    done = run("verify", *accepted(*wanted), "--ear", tmp_path / "ear.jwt", "--ear-key", tmp_path / "owner.key")
    assert done.code == 0, done.err
    assert load_pem_private_key((tmp_path / "owner.key").read_bytes(), None)


# Looking


def test_show_is_never_taken_for_proof(run: Run, tmp_path: Path) -> None:
    report = written(tmp_path / "report.bin", platform().evidence)
    done = run("show", report)
    assert done.code == 0
    assert "NOT VERIFIED" in done.out
    assert platform().evidence[0x90:0xC0].hex() in done.out
    assert "SEV-SNP" in done.out
    document = run("show", report, "--json").document[str(report)]
    assert document["verified"] is False
    assert document["parts"][0]["fields"]["measurement"] == platform().evidence[0x90:0xC0].hex()


def test_show_of_everything_in_one_machine(run: Run, tmp_path: Path) -> None:
    bundle = written(tmp_path / "machine.json", machine("tdx", PPCIE).to_bytes())
    report = written(tmp_path / "report.json", attested_support.report().to_bytes())
    done = run("show", bundle, report)
    assert done.code == 0, done.err
    for words in (
        "TDX trust domain",
        "NVIDIA device",
        "attestation report",
        "SEPT_VE_DISABLE",
        "protected PCIe",
        "zero",
    ):
        assert words in done.out


@needs_vectors
def test_show_of_what_is_not_verified(run: Run) -> None:
    done = run("show", RECORDED / "nitro" / "doc-20221013-prod-a72552.cose")
    assert done.code == 0
    assert "an AWS Nitro attestation document: recognised, not verified by this version" in done.out


# Broken files and questions that cannot be meant


def test_files_that_are_refused(run: Run, tmp_path: Path, wanted: tuple[Path, Path]) -> None:
    broken = {
        "empty": (b"", "not a form that this version knows"),
        "words": (b"hello", "not a form that this version knows"),
        "nitro": (b"HCLA" + bytes(28), "recognised, not verified by this version"),
        "cut": (wanted[0].read_bytes()[:-2], "not JSON"),
        "leaf": (platform().endorsements["leaf"], "endorsements alone"),
    }
    for name, (data, says) in broken.items():
        done = run("verify", written(tmp_path / name, data), "--offline")
        assert done.code == 1
        assert says in done.err
    assert str(tmp_path / "words") in run("show", tmp_path / "words").err
    two = run("verify", wanted[0], written(tmp_path / "again.json", wanted[0].read_bytes()), "--offline")
    assert "two platforms" in two.err
    for gone in (tmp_path / "nowhere", tmp_path):
        assert run("show", gone).code == 2


def test_one_flipped_bit_of_a_bundle(run: Run, tmp_path: Path, wanted: tuple[Path, Path]) -> None:
    report = bytearray(platform().evidence)
    report[0x90] ^= 1
    bundle = canonical(platform().to_json() | {"evidence": base64.b64encode(report).decode()})
    done = run("verify", *accepted(written(tmp_path / "flipped.json", bundle), wanted[1]), "--json")
    assert (done.code, done.document["error"]["code"]) == (1, "snp.signature")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--nonce", "00" * 32), "give --report-data"),
        (("--report-data", "00"), "expected 64 bytes"),
        (("--report-data", "zz"), "hex"),
        (("--at", "yesterday"), "expected a time"),
        (("--at", "0001-01-01T00:00:00+23:59"), "expected a time"),
        (("--at", "9999-12-31T23:59:59-23:59"), "expected a time"),
        (("--purpose", "fun"), "is not one of"),
        (("--policy", "nowhere.toml"), "cannot read the policy"),
        (("--collateral", "nowhere"), "cannot be read"),
    ],
    ids=[
        "a nonce",
        "too short",
        "no hex",
        "no time",
        "before all",
        "after all",
        "no purpose",
        "no policy",
        "no folder",
    ],
)
def test_questions_that_cannot_be_meant(
    run: Run, wanted: tuple[Path, Path], arguments: tuple[str, str], says: str
) -> None:
    done = run("verify", wanted[0], *arguments, "--offline")
    assert done.code == 2
    assert says in done.err


def test_every_purpose_can_be_named() -> None:
    assert [purpose.name.lower() for purpose in Purpose] == list(PURPOSES)


def test_questions_of_the_other_kind(run: Run, tmp_path: Path) -> None:
    report = written(tmp_path / "report.json", attested_support.report().to_bytes())
    assert "--nonce" in run("verify", report, "--report-data", "00" * 64, "--offline").err
    bare = written(tmp_path / "devices.json", machine(None, PPCIE).to_bytes())
    assert "--nonce" in run("verify", bare, "--report-data", "00" * 64, "--offline").err


def test_now_is_never_earlier_than_what_was_signed(run: Run, tmp_path: Path, wanted: tuple[Path, Path]) -> None:
    """Without ``--at`` it is judged for now, when the simulated list has long expired."""
    done = run("verify", wanted[0], "--policy", wanted[1], "--allow-simulated", "--offline", "--json")
    assert done.code == 1
    assert done.document["error"]["code"] == "snp.revocation"
    assert done.document["at"] > AT


def test_a_terminal_of_any_width(run: Run, wanted: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for width in ("40", "80", "200"):
        monkeypatch.setenv("COLUMNS", width)
        assert run("verify", *accepted(*wanted)).code == 0
        assert run("show", wanted[0]).code == 0
    assert shutil.get_terminal_size().columns == int(os.environ["COLUMNS"])
