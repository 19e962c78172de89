"""The routes that say who is speaking: their answers verify, and nobody can have anything else signed."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import httpx2
import pytest

from hermetic.evidence import EvidenceBundle
from hermetic.identity import AttestationReport, Purpose, aci_report_data, verify_report
from hermetic.sources.simulator.amd import SimulatedAmd
from hermetic.verify import simulated_root, verify
from serve_support import Served

NATIVE = "/.well-known/hermetic/attestation"
ACI = "/v1/aci/attestation"


def test_the_native_report_verifies(served: Served, amd: SimulatedAmd) -> None:
    nonce = secrets.token_bytes(32)
    response = httpx2.get(served.url + NATIVE, params={"nonce": nonce.hex()})
    claims = verify_report(
        AttestationReport.from_bytes(response.content),
        roots=(simulated_root(amd.root_digest),),
        now=datetime.now(UTC),
        purpose=Purpose.SESSION,
        nonce=nonce,
    )
    assert claims.fresh
    assert claims.keyset == served.attester.keyset
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("nonce", ["ab" * 32, None])
def test_the_aci_report_verifies(served: Served, amd: SimulatedAmd, nonce: str | None) -> None:
    response = httpx2.get(served.url + ACI, params={} if nonce is None else {"nonce": nonce})
    document = response.json()
    keyset = served.attester.keyset
    assert document["api_version"] == "aci/1"
    assert document["workload_keyset_digest"] == response.headers["x-aci-keyset-digest"] == keyset.digest
    assert response.headers["x-aci-version"] == "aci/1"
    assert document["attestation"]["workload_keyset"] == keyset.to_json()
    assert document["service_capabilities"] == {"supported_e2ee_versions": [], "serving": "direct"}
    expected = aci_report_data(keyset.digest, nonce)
    assert document["attestation"]["report_data"] == expected.hex()
    verify(
        EvidenceBundle.from_json(document["attestation"]["evidence"]),
        roots=(simulated_root(amd.root_digest),),
        now=datetime.now(UTC),
        report_data=expected,
    )


@pytest.mark.parametrize("path", [NATIVE, ACI])
@pytest.mark.parametrize(
    "query",
    ["nonce=", "nonce=00", "nonce=" + "0" * 63, "nonce=" + "A" * 64, "nonce=" + "0" * 64 + "&nonce=" + "1" * 64],
)
def test_a_nonce_has_one_form(served: Served, path: str, query: str) -> None:
    response = httpx2.get(f"{served.url}{path}?{query}")
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", "nonce")


def test_a_session_needs_a_nonce(served: Served) -> None:
    response = httpx2.get(served.url + NATIVE)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "missing_required_parameter")
