"""DCAP 5 and 6: Intel signed the TCB info and the QE identity, they hold now, and they are about this platform."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from hermetic.errors import NotAuthentic
from hermetic.evidence.x509 import Certificate
from hermetic.verify._algorithms import ECDSA_P256
from hermetic.verify._checks import Checklist
from hermetic.verify._dcap_chain import PckChain, pair_from_pem
from hermetic.verify.chain import INTEL_COLLATERAL, require_issued, require_leaf, require_same, require_valid
from hermetic.verify.intel_collateral import QeIdentity, Signed, TcbInfo, load_qe_identity, load_tcb_info

_SECTION, _SECTION_MATCH = "DCAP 5: Intel PCS, v4", "DCAP 6: Intel DCAP, 4.1.2.4.9 and 10"
_REMEMBERED = 64
_QE_OF = {"SGX": "QE", "TDX": "TD_QE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """What Intel publishes of platforms and quoting enclaves, with its signers' chains; not yet believed."""

    tcb_info: Signed[TcbInfo]
    tcb_signer: Certificate
    tcb_root: Certificate
    qe_identity: Signed[QeIdentity]
    qe_signer: Certificate
    qe_root: Certificate

    @property
    def signers(self) -> tuple[Certificate, Certificate]:
        return self.tcb_signer, self.qe_signer

    @classmethod
    def from_endorsements(cls, endorsements: dict[str, bytes]) -> Collateral:
        """Raises Malformed where one cannot be read."""
        tcb_signer, tcb_root = pair_from_pem(endorsements["tcb_info_chain"], "TCB info chain")
        qe_signer, qe_root = pair_from_pem(endorsements["qe_identity_chain"], "QE identity chain")
        return cls(
            tcb_info=load_tcb_info(endorsements["tcb_info"]),
            tcb_signer=tcb_signer,
            tcb_root=tcb_root,
            qe_identity=load_qe_identity(endorsements["qe_identity"]),
            qe_signer=qe_signer,
            qe_root=qe_root,
        )


def check_collateral(checks: Checklist, collateral: Collateral, chain: PckChain, tee: str, now: datetime) -> None:
    """DCAP 5 and 6; ``tee`` is "SGX" or "TDX"."""
    # 5. Signed over the bytes as received, by a signer of the same root.
    parts: tuple[tuple[str, str, Signed[TcbInfo] | Signed[QeIdentity], Certificate, Certificate], ...] = (
        ("tcb-info", "TCB info", collateral.tcb_info, collateral.tcb_signer, collateral.tcb_root),
        ("qe-identity", "QE identity", collateral.qe_identity, collateral.qe_signer, collateral.qe_root),
    )
    for name, title, signed, signer, root in parts:
        with checks.step(
            f"dcap.{name}.signature",
            f"Intel signed exactly this {title}",
            section=_SECTION,
            expected=f"ECDSA P-256 by a signer of collateral, valid at {now:%Y-%m-%d %H:%M} UTC",
        ):
            require_same(root, chain.root)
            require_leaf(signer, INTEL_COLLATERAL)
            require_issued(signer, chain.root, INTEL_COLLATERAL)
            require_valid(now, signer)
            _require_signed(signed, signer)
        first, last = signed.value.issue_date, signed.value.next_update
        with checks.step(
            f"dcap.{name}.time",
            f"The {title} holds now",
            section=_SECTION,
            expected=f"holding at {now:%Y-%m-%d %H:%M} UTC",
            got=f"{first:%Y-%m-%d} to {last:%Y-%m-%d}, edition {signed.value.tcb_evaluation_data_number}",
            fix="fetch it again: it lives thirty days",
        ):
            if not first <= now <= last:
                raise NotAuthentic(f"{first:%Y-%m-%d} to {last:%Y-%m-%d}")

    # 6. About this kind of platform, and no other.
    tcb_info, qe_identity, pck = collateral.tcb_info.value, collateral.qe_identity.value, chain.identity
    with checks.step(
        "dcap.collateral",
        "Both are about this kind of platform",
        section=_SECTION_MATCH,
        expected=f"{tee} and {_QE_OF[tee]}, FMSPC {pck.fmspc.hex()}, PCEID {pck.pce_id.hex()}",
    ):
        got = (tcb_info.id, qe_identity.id, tcb_info.fmspc.lower(), tcb_info.pce_id.lower())
        if got != (tee, _QE_OF[tee], pck.fmspc.hex(), pck.pce_id.hex()):
            raise NotAuthentic(f"{got[0]} and {got[1]}, FMSPC {got[2]}, PCEID {got[3]}")


@lru_cache(_REMEMBERED)
def _require_signed(signed: Signed[TcbInfo] | Signed[QeIdentity], signer: Certificate) -> None:
    """``signer`` signed the document's exact bytes.  That it did is remembered, as of certificates; a refusal never."""
    ECDSA_P256.require_raw(signer.public_key, signed.body, signed.signature)
