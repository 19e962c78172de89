"""What a workload and a broker say to each other, and what the broker writes down about it (protocols.md §4).

    GET  /v1/info       → Signed BrokerInfo
    POST /v1/challenge  → Signed Challenge
    POST /v1/release    ReleaseRequest → Grant, which holds a Signed Decision
    POST /v1/log/leaves LeavesRequest  → LeavesAnswer

Every digest is ``sha256:<hex>``, every other byte string lowercase hex, except age headers and boxes: base64.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from hermetic.release.signed import Document
from hermetic.wire import Digest, b64decode, b64encode, canonical, sha256_digest, transcript

__all__ = [
    "BrokerInfo",
    "Challenge",
    "Decision",
    "Grant",
    "LeavesAnswer",
    "LeavesRequest",
    "Machine",
    "Made",
    "Placed",
    "ReleaseRequest",
    "Standing",
    "Want",
    "Wanted",
    "context_digest",
]

Hex16 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Hex32 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Hex64 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{128}\Z")]
DigestText = Annotated[str, msgspec.Meta(pattern=r"\Asha256:[0-9a-f]{64}\Z")]
KeyText = Annotated[str, msgspec.Meta(pattern=r"\Aed25519:[A-Za-z0-9+/]{43}=\Z")]
Name = Annotated[str, msgspec.Meta(pattern=r"\A[\x21-\x7e]{1,200}\Z")]
Base64 = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9+/]+={0,2}\Z")]
LogSize = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Proof = Annotated[tuple[Hex32, ...], msgspec.Meta(max_length=128)]
Instant = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]
"""Unix seconds, UTC."""


class BrokerInfo(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who the broker is.  Signed by its identity key, so that pinning that key authenticates the log's key too.

    ``log_key`` is a C2SP verifier key.  ``outside_tee`` says that the broker's operator can read the keys it holds;
    ``attestation`` is where its own attestation report will stand when it runs inside one.
    """

    TYPE: ClassVar[str] = "hermetic.broker-info.v1"

    broker_key: KeyText
    log_key: str
    software: str
    outside_tee: bool
    notice: str
    attestation: None = None


class Challenge(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A nonce that is good once and until ``expires_at``."""

    TYPE: ClassVar[str] = "hermetic.challenge.v1"

    challenge_id: Hex16
    nonce: Hex32
    expires_at: Instant
    broker_key: KeyText
    policy_epoch: int


class Want(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of one resource, and the exact age headers whose file keys are wanted."""

    resource: Name
    version: Name
    headers: Annotated[tuple[Base64, ...], msgspec.Meta(min_length=1, max_length=256)]

    @classmethod
    def of(cls, *, resource: str, version: str, headers: tuple[bytes, ...]) -> Want:
        """From the headers' bytes."""
        return cls(resource=resource, version=version, headers=tuple(b64encode(header) for header in headers))

    def header_bytes(self) -> tuple[bytes, ...]:
        """The headers as they stand at the start of the sealed files.  Raises Malformed."""
        return tuple(b64decode(header, what="age header") for header in self.headers)


class ReleaseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``report`` is an attestation report for the purpose *release*; everything in here comes from a stranger.

    ``log_size`` is that of the newest checkpoint the workload has seen, 0 for none.
    """

    challenge_id: Hex16
    log_size: LogSize
    report: dict[str, Any]
    wants: Annotated[tuple[Want, ...], msgspec.Meta(min_length=1, max_length=16)]

    def __post_init__(self) -> None:
        asked = [(want.resource, want.version) for want in self.wants]
        if len(set(asked)) != len(asked):
            raise ValueError("a resource version is wanted twice")


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A want as a decision records it.  Manifest and policy are None where it did not come to that."""

    resource: Name
    version: Name
    headers: tuple[DigestText, ...]
    manifest_digest: DigestText | None
    policy_digest: DigestText | None


class Machine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The platform that asked.  ``chip_id`` is hex, empty where the platform masks it; ``root`` is what verified it."""

    tee: str
    product: str
    chip_id: str
    root: DigestText
    simulated: bool


class Decision(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who asked for what, and what the broker said: signed and in the log before the answer leaves.

    ``outcome`` is "granted" or "denied"; ``code`` then names the first check that failed.  ``service`` is what the
    launch document calls itself.  ``machine`` is None where no evidence verified: such a document proves nothing.
    ``box_digest`` is that of the box with the file keys, so that the signature covers what left.
    """

    TYPE: ClassVar[str] = "hermetic.decision.v1"

    decision_id: Hex16
    at: Instant
    broker_key: KeyText
    policy_epoch: int
    challenge_id: Hex16
    outcome: str
    code: str
    wants: tuple[Wanted, ...]
    service: str
    report_digest: DigestText
    keyset_digest: DigestText
    launch_digest: DigestText
    machine: Machine | None
    box_digest: DigestText | None


class Made(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A resource came to be.  Class and owner are fixed from here on; ``recipient`` (``age1pq1…``) is sealed to."""

    TYPE: ClassVar[str] = "hermetic.resource-made.v1"

    at: Instant
    broker_key: KeyText
    resource: Name
    resource_class: str
    owner: KeyText
    recipient: str
    generation: int


class Standing(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a resource stands under from here on.

    Recorded whenever policy or versions change, so that no policy ever decides without being in the log.
    """

    TYPE: ClassVar[str] = "hermetic.resource-standing.v1"

    at: Instant
    broker_key: KeyText
    resource: Name
    policy_epoch: int
    policy_digest: DigestText
    versions: tuple[DigestText, ...]


class Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer to a release: the signed decision, its place in the log, and the box that only the workload opens.

    ``consistency`` leads from the checkpoint the workload had seen to this one.
    """

    receipt: dict[str, Any]
    salt: Hex32
    index: LogSize
    inclusion: Proof
    checkpoint: str
    consistency: Proof
    box: Base64


class LeavesRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Receipts' leaves (SHA-256 of salt and receipt) from a workload that was granted a key, signed by ``key_id``.

    ``log_size`` as in a release; it is a question, and not signed.
    """

    log_size: LogSize
    keyset_digest: DigestText
    key_id: str
    leaves: Annotated[tuple[Hex32, ...], msgspec.Meta(min_length=1, max_length=1024)]
    signature: Hex64

    def signed_bytes(self, broker_key: str) -> bytes:
        """What ``signature`` covers: these leaves, by this keyset, for this broker."""
        texts = (broker_key, self.keyset_digest, self.key_id, *self.leaves)
        return transcript("hermetic.log-leaves.v1", *(text.encode() for text in texts))


class Placed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one leaf lies, and the proof under the answer's checkpoint."""

    index: LogSize
    inclusion: Proof


class LeavesAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One place for each leaf asked for, in order.  A leaf that was there already keeps its place.

    ``consistency`` as in a :class:`Grant`.
    """

    leaves: tuple[Placed, ...]
    checkpoint: str
    consistency: Proof


def context_digest(broker_key: str, wants: tuple[Want, ...]) -> Digest:
    """What evidence for a release is about: this broker and exactly these wants."""
    return sha256_digest(canonical({"broker_key": broker_key, "wants": msgspec.to_builtins(wants)}))
