"""The simulated Intel with a fixed seed, each of its parts open to one change.

It is what lets a test change one thing and leave every signature true, which no recorded evidence can.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from hermetic.evidence import SGX, TDX, EnclaveReport, EvidenceBundle, TdReport
from hermetic.sources.simulator import intel_machine
from hermetic.sources.simulator.intel import SimulatedIntel
from hermetic.sources.simulator.intel_machine import HEALTHY_MACHINE
from hermetic.sources.simulator.intel_parts import IntelParts
from hermetic.sources.simulator.intel_pki import IntelCertificate as Cert
from hermetic.sources.simulator.intel_pki import IntelCrl as List
from hermetic.sources.simulator.intel_pki import key_usage as usage
from hermetic.verify import Root
from hermetic.wire import sha256_digest

NOW = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
REPORT_DATA = bytes(range(64))
LAUNCH_DIGEST = bytes(range(100, 132))
CREATED = NOW - 30 * DAY
SEED = b"a seed that is fixed in tests...."[:32]
FMSPC, PPID, INSTANCE = HEALTHY_MACHINE.fmspc, bytes(range(16)), bytes(range(16, 32))

INTEL = SimulatedIntel.create(created=CREATED, seed=SEED)
PARTS = {tee: INTEL.parts(REPORT_DATA, tee=tee, launch_digest=LAUNCH_DIGEST, now=NOW) for tee in (TDX, SGX)}

ROOT, CA, SIGNER = PARTS[TDX].root, PARTS[TDX].ca, PARTS[TDX].signer
ROOT_CRL, PCK_CRL = (replace(crl, first=NOW - DAY, last=NOW + DAY) for crl in (PARTS[TDX].root_crl, PARTS[TDX].pck_crl))
QE_REPORT = PARTS[TDX].qe_report
TD_REPORT = cast(TdReport, PARTS[TDX].body)
ENCLAVE = cast(EnclaveReport, PARTS[SGX].body)

_EDITED = {"tee", "version", "body", "enclave", "change"}


def pck_extension(
    *, components: tuple[int, ...] = (5,) * 16, pce_svn: int = 13, fmspc: bytes = FMSPC, pce_id: bytes = bytes(2)
) -> bytes:
    """Intel's extension of a platform's certificate, with numbers that no platform can have too."""
    return intel_machine.pck_extension(
        fmspc=fmspc,
        pce_id=pce_id,
        ppid=PPID,
        instance=INSTANCE,
        components=components,
        pce_svn=pce_svn,
        sgx_type=1,
        flags=(True, False, True),
    )


PCK = replace(PARTS[TDX].pck, extension=pck_extension())


@dataclass(frozen=True, kw_only=True)
class Intel:
    """One bundle: the healthy one, but for what is given.  ``change`` edits the documents before they are signed.

    ``body`` is that of TDX, ``enclave`` that of SGX; everything else is as in :class:`IntelParts`.
    """

    tee: str = TDX
    version: int | None = None
    root: Cert = ROOT
    ca: Cert = CA
    pck: Cert = PCK
    signer: Cert = SIGNER
    crl_ca: Cert = CA
    root_crl: List = ROOT_CRL
    pck_crl: List = PCK_CRL
    body: TdReport = TD_REPORT
    enclave: EnclaveReport = ENCLAVE
    qe_report: EnclaveReport = QE_REPORT
    named_data: bytes | None = None
    signed_with: str = "attestation"
    qe_signed_with: str = "pck"
    documents_signed_with: str = "signer"
    collateral_root: Cert | None = None
    crl_root: Cert | None = None
    attestation_point: bytes | None = None
    chain: Callable[[tuple[bytes, ...]], tuple[bytes, ...]] = lambda ders: ders
    change: Callable[[dict[str, Any], dict[str, Any]], None] = lambda tcb, qe: None

    @property
    def parts(self) -> IntelParts:
        parts = PARTS[self.tee]
        documents = copy.deepcopy((dict(parts.tcb_info), dict(parts.qe_identity)))
        for document in documents:
            document.update(issueDate=f"{NOW - DAY:%Y-%m-%dT%H:%M:%SZ}", nextUpdate=f"{NOW + DAY:%Y-%m-%dT%H:%M:%SZ}")
        self.change(*documents)
        own = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in _EDITED}
        return replace(
            parts,
            root_der=None,
            version=self.version or parts.version,
            body=self.body if self.tee == TDX else self.enclave,
            tcb_info=documents[0],
            qe_identity=documents[1],
            **own,
        )

    @property
    def roots(self) -> tuple[Root, ...]:
        der = self.parts.root_certificate()
        return (Root(name="our own Intel", sha256=sha256_digest(der), vendor="tests", simulated=True),)

    def issue(self) -> EvidenceBundle:
        return self.parts.issue()


__all__ = [
    "CA",
    "CREATED",
    "DAY",
    "ENCLAVE",
    "FMSPC",
    "INTEL",
    "LAUNCH_DIGEST",
    "NOW",
    "PCK",
    "PCK_CRL",
    "QE_REPORT",
    "REPORT_DATA",
    "ROOT",
    "ROOT_CRL",
    "SEED",
    "SGX",
    "SIGNER",
    "TDX",
    "TD_REPORT",
    "Cert",
    "Intel",
    "List",
    "pck_extension",
    "usage",
]
