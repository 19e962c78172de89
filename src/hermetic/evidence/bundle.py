"""Evidence and its endorsements, travelling together, so that verification needs no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from hermetic.errors import Malformed
from hermetic.evidence import _dstack_log, _tcg_log
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
    event_logs: Mapping[str, int] = field(default_factory=dict)


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
        TDX: _Format(
            parse=TdxQuote.from_bytes,
            max_evidence=_QUOTE_LENGTH,
            endorsements=_INTEL,
            event_logs=MappingProxyType({"ccel": _tcg_log.MAX_LOG, "dstack": _dstack_log.MAX_LOG}),
        ),
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
    ``…_chain`` are PEM, signer first.

    ``event_logs`` say what a TDX domain's registers were extended with: ``ccel``, the firmware's log
    (:class:`~hermetic.evidence.EventLog`), and ``dstack``, dstack's (:class:`~hermetic.evidence.DstackLog`).  They come
    from the domain, and nobody signs them: the registers that the quote signs either agree with them or do not.

    Raises Malformed for an unknown TEE, an unknown endorsement or log, or anything longer than its kind can be.
    """

    tee: str
    evidence: bytes = field(repr=False)
    endorsements: Mapping[str, bytes] = field(repr=False)
    event_logs: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        kind = _format_of(self.tee)
        if len(self.evidence) > kind.max_evidence:
            raise Malformed(f"{self.tee} evidence: at most {kind.max_evidence} bytes, got {len(self.evidence)}")
        for member, known in (("endorsements", kind.endorsements), ("event_logs", kind.event_logs)):
            held = MappingProxyType(dict(getattr(self, member)))
            _require_known(f"{self.tee} {member}", held, known)
            object.__setattr__(self, member, held)

    def to_json(self) -> dict[str, object]:
        """``{"tee", "evidence", "endorsements": {name: …}}``, bytes in base64; ``event_logs`` if there are any."""
        logs = {"event_logs": _encoded(self.event_logs)} if self.event_logs else {}
        endorsements = _encoded(self.endorsements)
        return {"tee": self.tee, "evidence": b64encode(self.evidence), "endorsements": endorsements, **logs}

    @classmethod
    def from_json(cls, value: object) -> EvidenceBundle:
        """The inverse of :meth:`to_json`, from parsed JSON.  Raises Malformed on an unknown or a missing member."""
        if not isinstance(value, dict) or value.keys() - {"event_logs"} != {"tee", "evidence", "endorsements"}:
            raise Malformed("evidence: expected an object with the members tee, evidence, endorsements, event_logs")
        if value.get("event_logs") == {}:
            raise Malformed("event_logs: without a log there is no such member")
        return cls(
            tee=value["tee"],
            evidence=b64decode(value["evidence"], what="evidence"),
            endorsements=_decoded(value["endorsements"], "endorsements"),
            event_logs=_decoded(value.get("event_logs", {}), "event_logs"),
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


def _require_known(what: str, held: Mapping[str, bytes], known: Mapping[str, int]) -> None:
    for name, value in held.items():
        if name not in known:
            raise Malformed(f"{what}: a name that is not known; there may be {', '.join(known) or 'none'}")
        if len(value) > known[name]:
            raise Malformed(f"{what}: {name} has at most {known[name]} bytes, got {len(value)}")


def _encoded(held: Mapping[str, bytes]) -> dict[str, str]:
    return {name: b64encode(value) for name, value in sorted(held.items())}


def _decoded(value: object, what: str) -> dict[str, bytes]:
    if not isinstance(value, dict):
        raise Malformed(f"{what}: expected an object")
    return {name: b64decode(text, what=what) for name, text in value.items()}
