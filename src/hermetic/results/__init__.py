"""What was found: one verdict for every TEE, typed claims with their source, and EAR tokens for other systems.

Composite | AttestationReport --examine--> Verdict --sign_ear--> EAR (a signed JWT) --open_ear--> Ear
"""

from hermetic.results.claim import Claim, Source, Value
from hermetic.results.ear import Profile, VerifierId, ear_claims, sign_ear
from hermetic.results.ear_reader import Appraisal, Ear, open_ear
from hermetic.results.examine import examine
from hermetic.results.report import examine_report, refused_report, report_verdict
from hermetic.results.trust import CATEGORIES, Tier, status, trust_vector
from hermetic.results.verdict import Overall, Part, Verdict

__all__ = [
    "CATEGORIES",
    "Appraisal",
    "Claim",
    "Ear",
    "Overall",
    "Part",
    "Profile",
    "Source",
    "Tier",
    "Value",
    "Verdict",
    "VerifierId",
    "ear_claims",
    "examine",
    "examine_report",
    "open_ear",
    "refused_report",
    "report_verdict",
    "sign_ear",
    "status",
    "trust_vector",
]
