"""Do we want it?  Typed TOML, default deny.

    Claims --appraise--> Accepted

Nothing is released to, and nothing is said to, anything less than Accepted.  One module for each table of a policy
(``snp``, ``tdx``, ``sgx``, ``nvidia``); later Nitro, Azure, GCP and Arm CCA.
"""

from hermetic.policy.appraise import Accepted, appraise, review
from hermetic.policy.document import Policy, Profile, WorkloadPolicy, parse_any
from hermetic.policy.draft import Tables, draft_policy, seen_tables
from hermetic.policy.hardware import appraise_platform
from hermetic.policy.lint import Finding, lint
from hermetic.policy.lists import Files, PolicyFile, beside
from hermetic.policy.platform import PlatformPolicy, trusted_roots
from hermetic.policy.reference import ReferenceValues, SignedReferenceValues

__all__ = [
    "Accepted",
    "Files",
    "Finding",
    "PlatformPolicy",
    "Policy",
    "PolicyFile",
    "Profile",
    "ReferenceValues",
    "SignedReferenceValues",
    "Tables",
    "WorkloadPolicy",
    "appraise",
    "appraise_platform",
    "beside",
    "draft_policy",
    "lint",
    "parse_any",
    "review",
    "seen_tables",
    "trusted_roots",
]
