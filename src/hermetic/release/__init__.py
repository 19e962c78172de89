"""Key release as documents: what a workload and a broker say to each other, without I/O (protocols.md §4).

Both sides import it, so that there is one spelling of what is signed, what evidence binds, and what a box is bound to.
"""

from hermetic.release.box import FileKeys, Terms, open_box, release
from hermetic.release.documents import (
    BrokerInfo,
    Challenge,
    Decision,
    Grant,
    LeavesAnswer,
    LeavesRequest,
    Machine,
    Made,
    Placed,
    ReleaseRequest,
    Standing,
    Want,
    Wanted,
    context_digest,
)
from hermetic.release.signed import Document, convert, open_signed, sign

__all__ = [
    "BrokerInfo",
    "Challenge",
    "Decision",
    "Document",
    "FileKeys",
    "Grant",
    "LeavesAnswer",
    "LeavesRequest",
    "Machine",
    "Made",
    "Placed",
    "ReleaseRequest",
    "Standing",
    "Terms",
    "Want",
    "Wanted",
    "context_digest",
    "convert",
    "open_box",
    "open_signed",
    "release",
    "sign",
]
