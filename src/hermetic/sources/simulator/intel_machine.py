"""An Intel machine as its certificate describes it, and what Intel says of such machines: what policies ask of both."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from hermetic.evidence import EnclaveAttributes, EnclaveFlag, EnclaveReport
from hermetic.sources.simulator.der import ENUMERATED, OCTETS, SEQUENCE, boolean, integer, oid, tlv
from hermetic.sources.simulator.intel_pki import SGX_EXTENSION
from hermetic.verify import TcbStatus

QE_SIGNER = bytes(range(32))
"""MRSIGNER of the simulated quoting enclave."""

CURRENT, OUTDATED = 5, 3
"""Security versions: of a machine that is up to date, and of the oldest one that anything is said of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelMachine:
    """One machine, healthy unless told otherwise.

    ``ppid`` and ``instance`` (16 bytes each) left None follow from the installation's seed.  ``instance`` and the three
    flags are stated of machines of several packages; empty, it is a machine of one.  ``processor_ca`` has Intel's
    authority over processors certify it instead of that over platforms.  ``components`` are the 16 security versions of
    its firmware, ``enclave_svn`` is that of its quoting enclave.
    """

    fmspc: bytes = bytes.fromhex("90c06f000000")
    pce_id: bytes = bytes(2)
    ppid: bytes | None = None
    instance: bytes | None = None
    components: tuple[int, ...] = (CURRENT,) * 16
    pce_svn: int = 13
    sgx_type: int = 1
    dynamic_platform: bool = True
    cached_keys: bool = False
    smt_enabled: bool = True
    enclave_svn: int = 4
    processor_ca: bool = False

    def extension(self, *, ppid: bytes, instance: bytes) -> bytes:
        """What the PCK certificate says of it (DER); the arguments are used where the machine states none."""
        return pck_extension(
            fmspc=self.fmspc,
            pce_id=self.pce_id,
            ppid=ppid if self.ppid is None else self.ppid,
            instance=instance if self.instance is None else self.instance or None,
            components=self.components,
            pce_svn=self.pce_svn,
            sgx_type=self.sgx_type,
            flags=(self.dynamic_platform, self.cached_keys, self.smt_enabled),
        )

    def enclave_report(self) -> EnclaveReport:
        """What its quoting enclave says of itself; ``report_data``, zero here, has to name a key yet."""
        return EnclaveReport(
            cpu_svn=bytes(16),
            misc_select=0,
            isv_ext_prod_id=bytes(16),
            attributes=EnclaveAttributes(flags=EnclaveFlag.INIT | EnclaveFlag.PROVISION_KEY),
            xfrm=0xE7,
            mr_enclave=bytes(32),
            mr_signer=QE_SIGNER,
            config_id=bytes(64),
            isv_prod_id=2,
            isv_svn=self.enclave_svn,
            config_svn=0,
            isv_family_id=bytes(16),
            report_data=bytes(64),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelJudgement:
    """What Intel says of machines whose firmware is current: their status, since when, and which advisories remain.

    ``module_status`` and ``enclave_status`` are those of a current TDX module and quoting enclave: up to date, or
    revoked.  Whatever is older is out of date by one advisory of its own, and what is older still is not vouched for.
    """

    status: TcbStatus = TcbStatus.UP_TO_DATE
    advisories: tuple[str, ...] = ()
    date: datetime = datetime(2025, 5, 14, tzinfo=UTC)
    module_status: TcbStatus = TcbStatus.UP_TO_DATE
    enclave_status: TcbStatus = TcbStatus.UP_TO_DATE
    evaluation_number: int = 18


HEALTHY_MACHINE, HEALTHY_JUDGEMENT = IntelMachine(), IntelJudgement()


def pck_extension(
    *,
    fmspc: bytes,
    pce_id: bytes,
    ppid: bytes,
    instance: bytes | None,
    components: tuple[int, ...],
    pce_svn: int,
    sgx_type: int,
    flags: tuple[bool, bool, bool],
) -> bytes:
    """Intel's extension of a PCK certificate (1.3.5), in DER."""
    tcb = [_pair(f"2.{n + 1}", integer(svn)) for n, svn in enumerate(components)]
    tcb += [_pair("2.17", integer(pce_svn)), _pair("2.18", tlv(OCTETS, bytes(components)))]
    configuration = [_pair(f"7.{n + 1}", boolean(value)) for n, value in enumerate(flags)]
    fields = [
        _pair("1", tlv(OCTETS, ppid)),
        _pair("2", tlv(SEQUENCE, *tcb)),
        _pair("3", tlv(OCTETS, pce_id)),
        _pair("4", tlv(OCTETS, fmspc)),
        _pair("5", integer(sgx_type, ENUMERATED)),
    ]
    if instance is not None:
        fields += [_pair("6", tlv(OCTETS, instance)), _pair("7", tlv(SEQUENCE, *configuration))]
    return tlv(SEQUENCE, *fields)


def _pair(number: str, value: bytes) -> bytes:
    return tlv(SEQUENCE, oid(f"{SGX_EXTENSION}.{number}"), value)
