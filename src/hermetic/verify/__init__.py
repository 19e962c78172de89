"""Is it authentic?  Evidence in, claims out, or a refusal that names the first check that failed.

    verify(bundle, roots=…, now=…, report_data=…) → PlatformClaims

Roots, time, endorsements and the bytes that the evidence must carry are parameters: nothing here reads a clock, a file
or a network.  Whether anybody *wants* what is authentic is for :mod:`hermetic.policy` to say.  One module for each kind
of evidence (``snp``, ``tdx``, ``sgx``; later ``nvidia`` and the others).
"""

from hermetic.verify._checks import Check, Outcome
from hermetic.verify._claims import IntelClaims, PlatformClaims, SnpClaims
from hermetic.verify._dispatch import verify
from hermetic.verify._measured import LoaderEvents, MeasuredEvents
from hermetic.verify.intel_collateral import TcbStatus
from hermetic.verify.intel_pck import PckIdentity
from hermetic.verify.intel_tcb import Judgement, TcbEvaluation
from hermetic.verify.roots import AMD_ROOTS, INTEL_ROOTS, Root, simulated_root

__all__ = [
    "AMD_ROOTS",
    "INTEL_ROOTS",
    "Check",
    "IntelClaims",
    "Judgement",
    "LoaderEvents",
    "MeasuredEvents",
    "Outcome",
    "PckIdentity",
    "PlatformClaims",
    "Root",
    "SnpClaims",
    "TcbEvaluation",
    "TcbStatus",
    "simulated_root",
    "verify",
]
