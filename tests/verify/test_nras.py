"""Our verdict over a device, beside NVIDIA's own over the same report."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

import nvidia_forge
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.verify.nras import nras_claims
from hermetic.verify.nvidia import verify_device
from nvidia_forge import DRIVER, FIRMWARE, NONCE, NOW, RIM_NAMES, all_good, gpu_fields, report, roots
from nvidia_support import HOPPER, HOPPER_RIMS, IN_2024, IN_2026, SWITCH, SWITCH_RIMS, read, recorded, verified
from vectors import needs_vectors

# What they state and we do not, each with the reason.
UNSTATED = {
    "x-nvidia-switch-attestation-report-cert-chain-fwid-match": "the report names no firmware identity to compare",
    "secboot": "no report says so",
    "dbgstat": "no report says so",
    "oemid": "no report says so",
    "x-nvidia-attestation-warning": "their own",
    "iss": "about their token",
    "iat": "about their token",
    "nbf": "about their token",
    "exp": "about their token",
    "jti": "about their token",
}
CHAIN = "-cert-chain"
GOOD = {"x-nvidia-cert-status": "valid", "x-nvidia-cert-ocsp-status": "good"}


def theirs() -> dict[str, Any]:
    claims = json.loads(read(f"nvidia/{SWITCH}/nras_claims_v3.json"))["SWITCH-0"]
    assert isinstance(claims, dict)
    return claims


# --- the same report, judged by NVIDIA in June of 2025 ---


@needs_vectors
def test_every_claim_that_we_state_is_nvidias() -> None:
    """Of a chain they add what OCSP answered and until when it holds: no answer was recorded, so we do not say."""
    answer = theirs()
    device = verified(recorded(SWITCH, SWITCH_RIMS), IN_2026, nonce=bytes.fromhex(answer["eat_nonce"]))
    ours = nras_claims(device)
    assert ours.pop("hermetic.simulated") is False
    assert answer.keys() - ours.keys() == UNSTATED.keys()
    for name, value in ours.items():
        if name.endswith(CHAIN):
            assert isinstance(value, dict)
            assert value == {"x-nvidia-cert-status": "valid"}
            assert value.items() <= answer[name].items()
        else:
            assert value == answer[name], name
    assert len(ours) == 16


@needs_vectors
def test_nvidias_claims_are_what_its_token_carries() -> None:
    """The token's key was published for two days only, so nobody can check its signature any more; its digests, yes."""
    (kind, overall), detached = json.loads(read("tokens/nras/switch_detached_eat.json"))
    assert kind == "JWT"
    head, said = (_part(overall, at) for at in (0, 1))
    assert (head["alg"], head.keys() & {"jku", "x5c", "x5u", "jwk"}) == ("ES384", set())
    token = detached["SWITCH-0"]
    digest = hashlib.sha256(token.encode()).hexdigest()
    assert said["submods"] == {"SWITCH-0": ["DIGEST", ["SHA-256", digest]]}
    assert said["x-nvidia-overall-att-result"] is True
    assert _part(token, 1) == theirs()
    assert json.loads(read("tokens/nras/switch_decoded.json"))["SWITCH-0"] == theirs()
    assert said["eat_nonce"] == theirs()["eat_nonce"]


def _part(token: str, at: int) -> dict[str, Any]:
    text = token.split(".")[at]
    value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert isinstance(value, dict)
    return value


@needs_vectors
def test_a_recorded_gpu() -> None:
    ours = nras_claims(verified(recorded(HOPPER, HOPPER_RIMS), IN_2024))
    assert ours["hwmodel"] == "GH100 A01 GSP BROM"
    assert ours["measres"] == "success"
    assert (ours["x-nvidia-gpu-driver-version"], ours["x-nvidia-gpu-vbios-version"]) == ("545.00", "96.00.5E.00.01")
    # The nonce was not compared, and the driver is too old to name its firmware.
    unstated = ("nonce-match", "cert-chain-fwid-match")
    for silent in ("eat_nonce", *(f"x-nvidia-gpu-attestation-report-{what}" for what in unstated)):
        assert silent not in ours


# --- what makes a claim ---


def stated(whole: DeviceBundle | None = None, **changes: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"roots": roots(), "now": NOW, "nonce": NONCE}
    return nras_claims(verify_device(whole or nvidia_forge.bundle(), **(asked | changes)))


def test_a_device_that_passed_everything() -> None:
    made = [f"{part}-rim-{what}" for part in ("driver", "vbios") for what in MANIFEST]
    assert stated() == {
        "hermetic.simulated": True,
        "hwmodel": "GH100 A01 GSP BROM",
        "ueid": stated()["ueid"],
        "eat_nonce": NONCE.hex(),
        "measres": "success",
        "x-nvidia-gpu-driver-version": "550.144.03",
        "x-nvidia-gpu-vbios-version": "96.00.5E.00.01",
        "x-nvidia-gpu-arch-check": True,
        "x-nvidia-gpu-attestation-report-parsed": True,
        "x-nvidia-gpu-attestation-report-nonce-match": True,
        "x-nvidia-gpu-attestation-report-signature-verified": True,
        "x-nvidia-gpu-attestation-report-cert-chain-fwid-match": True,
        "x-nvidia-gpu-vbios-index-no-conflict": True,
        **{f"x-nvidia-gpu-{part}{CHAIN}": GOOD for part in ("attestation-report", "driver-rim", "vbios-rim")},
        **{f"x-nvidia-gpu-{name}": True for name in made},
    }


MANIFEST = ("fetched", "schema-validated", "signature-verified", "version-match", "measurements-available")


def _without(name: str) -> DeviceBundle:
    whole = nvidia_forge.bundle()
    return replace(whole, rims={rim: document for rim, document in whole.rims.items() if rim != name})


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        pytest.param(
            {"nonce": None}, {"eat_nonce", "x-nvidia-gpu-attestation-report-nonce-match"}, id="nonce not compared"
        ),
        pytest.param(
            {"whole": nvidia_forge.bundle(report(gpu_fields(FWID=None)))},
            {"x-nvidia-gpu-attestation-report-cert-chain-fwid-match"},
            id="no firmware identity",
        ),
        *(
            pytest.param(
                {"whole": _without(name), "rims_required": False},
                {"measres", "x-nvidia-gpu-vbios-index-no-conflict", f"x-nvidia-gpu-{part}-rim{CHAIN}"}
                | {f"x-nvidia-gpu-{part}-rim-{what}" for what in MANIFEST},
                id=f"no {part} manifest",
            )
            for name, part in zip(RIM_NAMES, ("driver", "vbios"), strict=True)
        ),
    ],
)
def test_what_was_not_performed_is_not_stated(changes: dict[str, Any], gone: set[str]) -> None:
    asked = dict(changes)
    assert stated().keys() - stated(asked.pop("whole", None), **asked).keys() == gone


def test_a_chain_is_good_only_where_somebody_answered_for_all_of_it() -> None:
    answers = all_good()
    names = [f"x-nvidia-gpu-{part}{CHAIN}" for part in ("attestation-report", "driver-rim", "vbios-rim")]
    valid = {"x-nvidia-cert-status": "valid"}
    for kept, expected in (
        (answers, [GOOD, GOOD, GOOD]),
        (answers[1:], [valid, GOOD, GOOD]),
        (answers[:-1], [GOOD, valid, valid]),
        ((), [valid, valid, valid]),
    ):
        whole = replace(nvidia_forge.bundle(driver=DRIVER, firmware=FIRMWARE), ocsp=kept)
        claims = stated(whole, revocation_required=False)
        assert [claims[name] for name in names] == expected
