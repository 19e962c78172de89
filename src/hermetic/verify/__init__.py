"""Is it authentic?  Evidence in, claims out, or a refusal that names the first check that failed.

    verify(bundle, roots=…, now=…, report_data=…) → PlatformClaims

Roots, time, endorsements and the bytes that the evidence must carry are parameters: nothing here reads a clock, a file
or a network.  Whether anybody *wants* what is authentic is for :mod:`hermetic.policy` to say.  One module for each kind
of evidence (``snp``; later ``tdx``, ``sgx``, ``nvidia`` and the others).
"""

from hermetic.verify._checks import Check, Outcome
from hermetic.verify._claims import PlatformClaims
from hermetic.verify._dispatch import verify
from hermetic.verify.roots import AMD_ROOTS, Root, simulated_root

__all__ = ["AMD_ROOTS", "Check", "Outcome", "PlatformClaims", "Root", "simulated_root", "verify"]
