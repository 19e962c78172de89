"""How a simulated SGX enclave and its machine are set up: one knob for each thing that a policy can ask."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from hermetic.evidence import EnclaveAttributes, EnclaveFlag, EnclaveReport
from hermetic.sources.simulator.intel_machine import (
    HEALTHY_JUDGEMENT,
    HEALTHY_MACHINE,
    IntelJudgement,
    IntelMachine,
)

SIMULATED_ENCLAVE = hashlib.sha256(b"hermetic simulated enclave v1").digest()
"""MRENCLAVE of a simulated enclave unless told otherwise (32 bytes): nothing was loaded, so it names nothing."""

SIMULATED_ENCLAVE_SIGNER = hashlib.sha256(b"hermetic simulated enclave signer v1").digest()
"""MRSIGNER of a simulated enclave (32 bytes)."""

_HEALTHY = EnclaveAttributes(flags=EnclaveFlag.INIT | EnclaveFlag.MODE64 | EnclaveFlag.KSS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxPlatform:
    """An enclave and the machine under it, healthy unless told otherwise.

    It has key separation and sharing (KSS), without which CONFIGID means nothing.  ``judgement`` is what Intel says of
    such machines, ``version`` the quote's: 3, 4 or 5.
    """

    version: int = 3
    attributes: EnclaveAttributes = _HEALTHY
    xfrm: int = 0xE7
    misc_select: int = 0
    mr_enclave: bytes = SIMULATED_ENCLAVE
    mr_signer: bytes = SIMULATED_ENCLAVE_SIGNER
    isv_prod_id: int = 1
    isv_svn: int = 1
    isv_ext_prod_id: bytes = bytes(16)
    isv_family_id: bytes = bytes(16)
    config_svn: int = 0
    cpu_svn: bytes = bytes(16)
    machine: IntelMachine = HEALTHY_MACHINE
    judgement: IntelJudgement = HEALTHY_JUDGEMENT

    def report(self, *, report_data: bytes, config_id: bytes) -> EnclaveReport:
        """The report, not yet signed."""
        return EnclaveReport(
            cpu_svn=self.cpu_svn,
            misc_select=self.misc_select,
            isv_ext_prod_id=self.isv_ext_prod_id,
            attributes=self.attributes,
            xfrm=self.xfrm,
            mr_enclave=self.mr_enclave,
            mr_signer=self.mr_signer,
            config_id=config_id,
            isv_prod_id=self.isv_prod_id,
            isv_svn=self.isv_svn,
            config_svn=self.config_svn,
            isv_family_id=self.isv_family_id,
            report_data=report_data,
        )
