"""Evidence in transit: one spelling, bounded sizes, nothing unknown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed
from hermetic.evidence import SEV_SNP, EvidenceBundle
from hermetic.evidence.bundle import FORMATS
from hermetic.verify._dispatch import VERIFIERS
from hermetic.wire import canonical, parse_json
from snp_support import issue

endorsements = st.dictionaries(
    st.sampled_from(["leaf", "intermediate", "root", "crl"]), st.binary(max_size=200), max_size=4
)


@given(st.binary(max_size=0x4A0), endorsements)
def test_a_bundle_comes_back_through_json(evidence: bytes, endorsements: dict[str, bytes]) -> None:
    bundle = EvidenceBundle(tee=SEV_SNP, evidence=evidence, endorsements=endorsements)
    assert EvidenceBundle.from_json(parse_json(canonical(bundle.to_json()))) == bundle


def _document(**changes: Any) -> dict[str, Any]:
    return {"tee": SEV_SNP, "evidence": "AAAA", "endorsements": {"leaf": "AAAA"}} | changes


@pytest.mark.parametrize(
    "document",
    [
        pytest.param([], id="not an object"),
        pytest.param(_document(extra=1), id="an unknown member"),
        pytest.param({"tee": SEV_SNP, "evidence": "AAAA"}, id="a missing member"),
        pytest.param(_document(tee="abacus"), id="a TEE that this version does not know"),
        pytest.param(_document(tee=["sev-snp"]), id="a TEE that is not text"),
        pytest.param(_document(evidence=None), id="no evidence"),
        pytest.param(_document(evidence="AAA"), id="base64 without padding"),
        pytest.param(_document(endorsements=[]), id="endorsements that are no object"),
        pytest.param(_document(endorsements={"ocsp": "AAAA"}), id="an unknown endorsement"),
        pytest.param(_document(endorsements={"leaf": 7}), id="an endorsement that is not text"),
    ],
)
def test_documents_that_are_refused(document: Any) -> None:
    assert EvidenceBundle.from_json(_document()).endorsements == {"leaf": bytes(3)}
    with pytest.raises(Malformed):
        EvidenceBundle.from_json(document)


@pytest.mark.parametrize(
    ("evidence", "endorsements"),
    [
        pytest.param(bytes(0x4A1), {}, id="evidence"),
        pytest.param(b"", {"leaf": bytes(8193)}, id="a certificate"),
        pytest.param(b"", {"crl": bytes(65537)}, id="a revocation list"),
        pytest.param(b"", {"anything": b""}, id="a name that nobody reads"),
    ],
)
def test_what_a_bundle_cannot_hold(evidence: bytes, endorsements: dict[str, bytes]) -> None:
    with pytest.raises(Malformed):
        EvidenceBundle(tee=SEV_SNP, evidence=evidence, endorsements=endorsements)


def test_a_bundle_does_not_change_after_it_was_made() -> None:
    endorsements = {"leaf": b"one"}
    bundle = EvidenceBundle(tee=SEV_SNP, evidence=b"", endorsements=endorsements)
    endorsements["leaf"] = b"two"
    assert bundle.endorsements["leaf"] == b"one"
    with pytest.raises(TypeError):
        bundle.endorsements["leaf"] = b"two"  # type: ignore[index]


def test_every_kind_that_parses_has_a_verifier() -> None:
    assert FORMATS.keys() == VERIFIERS.keys()


def test_its_repr_is_short() -> None:
    assert repr(issue()) == "EvidenceBundle(tee='sev-snp')"
