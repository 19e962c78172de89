"""Bytes → what they say.  Nothing here is believed yet: only :mod:`hermetic.verify` decides what is authentic.

One module for each kind of evidence (``snp``, ``tdx``, ``sgx``, ``nvidia``; later ``nitro``, ``tpm``, ``azure``,
``cca``); ``bundle``: how evidence and its endorsements travel together; ``composite``: a platform and its devices;
``x509``: certificates and revocation lists; ``recognise`` and ``assemble``: from files of any shape to those.
"""

from hermetic.evidence._dcap_header import QuoteHeader
from hermetic.evidence._dcap_signature import QuoteSignature
from hermetic.evidence._dstack_log import DstackEvent, DstackLog
from hermetic.evidence._snp_bits import GuestPolicy, GuestPolicyFlag, PlatformFlag, PlatformInfo, SigningKey
from hermetic.evidence._snp_tcb import Product, Tcb, TcbVersion
from hermetic.evidence._tcg_log import EventLog, SpecId, TcgAlgorithm, TcgEvent
from hermetic.evidence.assemble import Assembled, assemble
from hermetic.evidence.bundle import SEV_SNP, SGX, TDX, Evidence, EvidenceBundle, EvidenceSource, parse_evidence
from hermetic.evidence.composite import (
    NO_DEVICES,
    Composite,
    DeviceSource,
    devices_digest,
    devices_from_json,
    devices_to_json,
    machine_report_data,
)
from hermetic.evidence.parts import Recognised
from hermetic.evidence.recognise import recognise
from hermetic.evidence.sgx import EnclaveAttributes, EnclaveFlag, EnclaveReport, SgxQuote
from hermetic.evidence.snp import Cpuid, EcdsaSignature, FirmwareVersion, SnpReport
from hermetic.evidence.tdx import TdAttributes, TdFlag, TdReport, TdxQuote

__all__ = [
    "NO_DEVICES",
    "SEV_SNP",
    "SGX",
    "TDX",
    "Assembled",
    "Composite",
    "Cpuid",
    "DeviceSource",
    "DstackEvent",
    "DstackLog",
    "EcdsaSignature",
    "EnclaveAttributes",
    "EnclaveFlag",
    "EnclaveReport",
    "EventLog",
    "Evidence",
    "EvidenceBundle",
    "EvidenceSource",
    "FirmwareVersion",
    "GuestPolicy",
    "GuestPolicyFlag",
    "PlatformFlag",
    "PlatformInfo",
    "Product",
    "QuoteHeader",
    "QuoteSignature",
    "Recognised",
    "SgxQuote",
    "SigningKey",
    "SnpReport",
    "SpecId",
    "Tcb",
    "TcbVersion",
    "TcgAlgorithm",
    "TcgEvent",
    "TdAttributes",
    "TdFlag",
    "TdReport",
    "TdxQuote",
    "assemble",
    "devices_digest",
    "devices_from_json",
    "devices_to_json",
    "machine_report_data",
    "parse_evidence",
    "recognise",
]
