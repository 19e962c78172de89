"""Evidence and its endorsements, travelling together, so that verification needs no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from hermetic.errors import Malformed
from hermetic.evidence.sgx import SgxQuote
from hermetic.evidence.snp import REPORT_LENGTH, SnpReport
from hermetic.evidence.tdx import TdxQuote
from hermetic.wire import b64decode, b64encode

SEV_SNP, TDX, SGX = "sev-snp", "tdx", "sgx"

Evidence = SnpReport | TdxQuote | SgxQuote
"""Anything that :func:`parse_evidence` can return."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """What a bundle of one kind may hold.  Sizes in bytes; they bound what a stranger can make us read."""

    parse: Callable[[bytes], Evidence]
    max_evidence: int
    endorsements: Mapping[str, int]


_QUOTE_LENGTH = 16384
_INTEL = MappingProxyType(
    {
        "tcb_info": 65536,
        "tcb_info_chain": 8192,
        "qe_identity": 16384,
        "qe_identity_chain": 8192,
        "pck_crl": 65536,
        "pck_crl_chain": 8192,
        "root_crl": 65536,
    }
)

# One line for each kind of evidence: nvidia, nitro, azure and cca come here.
FORMATS: Mapping[str, _Format] = MappingProxyType(
    {
        SEV_SNP: _Format(
            parse=SnpReport.from_bytes,
            max_evidence=REPORT_LENGTH,
            endorsements=MappingProxyType({"leaf": 8192, "intermediate": 8192, "root": 8192, "crl": 65536}),
        ),
        TDX: _Format(parse=TdxQuote.from_bytes, max_evidence=_QUOTE_LENGTH, endorsements=_INTEL),
        SGX: _Format(parse=SgxQuote.from_bytes, max_evidence=_QUOTE_LENGTH, endorsements=_INTEL),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceBundle:
    """Raw evidence of one TEE and what its vendor says about it.  Nothing in it is believed yet.

    ``tee`` is ``"sev-snp"``: there, ``evidence`` is the attestation report and the ``endorsements`` are ``leaf`` (VCEK
    or VLEK), ``intermediate`` (ASK or ASVK), ``root`` (ARK) and ``crl`` (the ARK's), in DER.  Or it is ``"tdx"`` or
    ``"sgx"``: a DCAP quote, which brings its own certificates, and Intel's collateral.  Of that, ``tcb_info`` and
    ``qe_identity`` are whole answers of Intel's service, byte for byte; ``pck_crl`` and ``root_crl`` are DER; the three
    ``…_chain`` are PEM, signer first.  Raises Malformed for an unknown TEE, an unknown endorsement, or anything longer
    than its kind can be.
    """

    tee: str
    evidence: bytes = field(repr=False)
    endorsements: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        kind = _format_of(self.tee)
        if len(self.evidence) > kind.max_evidence:
            raise Malformed(f"{self.tee} evidence: at most {kind.max_evidence} bytes, got {len(self.evidence)}")
        for name, value in self.endorsements.items():
            if name not in kind.endorsements:
                raise Malformed(f"{self.tee} evidence has no endorsement of this name; it may have {_names(kind)}")
            if len(value) > kind.endorsements[name]:
                raise Malformed(f"endorsement {name}: at most {kind.endorsements[name]} bytes, got {len(value)}")
        object.__setattr__(self, "endorsements", MappingProxyType(dict(self.endorsements)))

    def to_json(self) -> dict[str, object]:
        """``{"tee", "evidence", "endorsements": {name: …}}``, bytes in base64."""
        endorsements = {name: b64encode(value) for name, value in sorted(self.endorsements.items())}
        return {"tee": self.tee, "evidence": b64encode(self.evidence), "endorsements": endorsements}

    @classmethod
    def from_json(cls, value: object) -> EvidenceBundle:
        """The inverse of :meth:`to_json`, from parsed JSON.  Raises Malformed on an unknown or a missing member."""
        if not isinstance(value, dict) or value.keys() != {"tee", "evidence", "endorsements"}:
            raise Malformed("evidence: expected an object with exactly the members tee, evidence and endorsements")
        tee, endorsements = value["tee"], value["endorsements"]
        if not isinstance(endorsements, dict):
            raise Malformed("endorsements: expected an object")
        return cls(
            tee=tee,
            evidence=b64decode(value["evidence"], what="evidence"),
            endorsements={name: b64decode(text, what="an endorsement") for name, text in endorsements.items()},
        )


class EvidenceSource(Protocol):
    """Something that can ask the hardware (or the simulator) for evidence."""

    @property
    def tee(self) -> str:
        """The kind of evidence it collects, as in :class:`EvidenceBundle`."""

    def collect(self, report_data: bytes) -> EvidenceBundle:
        """Fresh evidence over ``report_data`` (64 bytes).  Blocks; raises Unavailable where there is no answer."""


def parse_evidence(bundle: EvidenceBundle) -> Evidence:
    """What the bundle's evidence says, unbelieved.  Raises Malformed."""
    return _format_of(bundle.tee).parse(bundle.evidence)


def _format_of(tee: object) -> _Format:
    kind = FORMATS.get(tee) if isinstance(tee, str) else None
    if kind is None:
        raise Malformed(f"evidence: this version knows {', '.join(FORMATS)} only")
    return kind


def _names(kind: _Format) -> str:
    return ", ".join(kind.endorsements)
