"""Bytes → what they say.  Nothing here is believed yet: only :mod:`hermetic.verify` decides what is authentic.

One module for each kind of evidence (``snp``; later ``tdx``, ``sgx``, ``nvidia``, ``nitro``, ``tpm``, ``azure``,
``cca``), and ``bundle``: how evidence and its endorsements travel together.
"""

from hermetic.evidence._snp_bits import GuestPolicy, GuestPolicyFlag, PlatformFlag, PlatformInfo, SigningKey
from hermetic.evidence._snp_tcb import Product, Tcb, TcbVersion
from hermetic.evidence.bundle import SEV_SNP, Evidence, EvidenceBundle, EvidenceSource, parse_evidence
from hermetic.evidence.snp import Cpuid, EcdsaSignature, FirmwareVersion, SnpReport

__all__ = [
    "SEV_SNP",
    "Cpuid",
    "EcdsaSignature",
    "Evidence",
    "EvidenceBundle",
    "EvidenceSource",
    "FirmwareVersion",
    "GuestPolicy",
    "GuestPolicyFlag",
    "PlatformFlag",
    "PlatformInfo",
    "Product",
    "SigningKey",
    "SnpReport",
    "Tcb",
    "TcbVersion",
    "parse_evidence",
]
