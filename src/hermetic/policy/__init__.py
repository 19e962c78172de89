"""Do we want it?  Typed TOML, default deny.

    Claims --appraise--> Accepted

Nothing is released to, and nothing is said to, anything less than Accepted.
"""

from hermetic.policy.appraise import Accepted, appraise, review
from hermetic.policy.document import Policy, Profile, WorkloadPolicy
from hermetic.policy.draft import draft_policy
from hermetic.policy.lint import Finding, lint

__all__ = [
    "Accepted",
    "Finding",
    "Policy",
    "Profile",
    "WorkloadPolicy",
    "appraise",
    "draft_policy",
    "lint",
    "review",
]
