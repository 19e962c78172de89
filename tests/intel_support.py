"""Recorded Intel evidence for tests: quotes, and the collateral of the time at which they are judged."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hermetic.evidence import EvidenceBundle
from vectors import ROOT

RECORDED = ROOT / "attestation"


def endorsements_of(recorded: dict[str, Any]) -> dict[str, bytes]:
    """A recorded collateral file, in the shape that bundles have: answers of Intel's service put together again."""
    given = recorded["collateral"]
    answer = '{{"{}":{},"signature":"{}"}}'
    return {
        "tcb_info": answer.format("tcbInfo", given["tcb_info"], given["tcb_info_signature"]).encode(),
        "tcb_info_chain": given["tcb_info_issuer_chain"].encode(),
        "qe_identity": answer.format("enclaveIdentity", given["qe_identity"], given["qe_identity_signature"]).encode(),
        "qe_identity_chain": given["qe_identity_issuer_chain"].encode(),
        "pck_crl": bytes.fromhex(given["pck_crl"]),
        "pck_crl_chain": given["pck_crl_issuer_chain"].encode(),
        "root_crl": bytes.fromhex(given["root_ca_crl"]),
    }


def bundle_of(folder: str, collateral: str | None) -> EvidenceBundle:
    """The quote in ``folder`` (``tdx/…``, ``sgx/…``) with one of its collateral files, or with none."""
    endorsements: dict[str, bytes] = {}
    if collateral is not None:
        endorsements = endorsements_of(json.loads((RECORDED / folder / collateral).read_text(encoding="utf-8")))
    quote = (RECORDED / folder / "quote.bin").read_bytes()
    return EvidenceBundle(tee=folder.partition("/")[0], evidence=quote, endorsements=endorsements)


def time_of(folder: str, collateral: str) -> datetime:
    now = json.loads((RECORDED / folder / collateral).read_text(encoding="utf-8"))["now"]
    return datetime.fromtimestamp(now, UTC)


def endorsed(bundle: EvidenceBundle, **endorsements: bytes | None) -> EvidenceBundle:
    """``bundle`` with some endorsements replaced, or left out where the value is None."""
    changed = {**bundle.endorsements, **endorsements}
    kept = {name: value for name, value in changed.items() if value is not None}
    return replace(bundle, endorsements=kept)


def with_evidence(bundle: EvidenceBundle, evidence: bytes) -> EvidenceBundle:
    return replace(bundle, evidence=evidence)
