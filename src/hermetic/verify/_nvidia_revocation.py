"""Who answers for a certificate of NVIDIA's not being revoked: stapled OCSP answers, and revocation lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from hermetic.errors import NotAuthentic
from hermetic.evidence.x509 import Certificate, RevocationList, load_crl
from hermetic.verify._checks import Checklist
from hermetic.verify.chain import NVIDIA, require_current, require_listed_by, require_unrevoked
from hermetic.verify.ocsp import OcspAnswer, is_about, load_ocsp, require_good


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """Everything that came along; ``nonce`` is the one that the answers must repeat, None where nobody asked anew."""

    answers: tuple[OcspAnswer, ...] = ()
    lists: tuple[RevocationList, ...] = ()
    nonce: bytes | None = None

    @classmethod
    def load(cls, ocsp: tuple[bytes, ...], crls: tuple[bytes, ...], *, nonce: bytes | None) -> Revocation:
        """Raises Malformed where one of them cannot be read."""
        return cls(answers=tuple(map(load_ocsp, ocsp)), lists=tuple(map(load_crl, crls)), nonce=nonce)

    def speaks_of(self, subject: Certificate, issuer: Certificate) -> bool:
        """Whether anything came along that is about ``subject``."""
        return any(is_about(answer, subject, issuer) for answer in self.answers) or any(
            crl.issuer == issuer.subject for crl in self.lists
        )

    def require_unrevoked(self, subject: Certificate, issuer: Certificate, now: datetime) -> None:
        """Everything that came along about ``subject`` says that it is not revoked, and is entitled to say so.

        A bad answer refuses even beside a good one: nothing that came along is ignored.  Raises NotAuthentic.
        """
        if not self.speaks_of(subject, issuer):
            raise NotAuthentic(f"nothing about {subject.common_name}")
        for answer in self.answers:
            if is_about(answer, subject, issuer):
                require_good(answer, subject, issuer, now, nonce=self.nonce)
        for crl in self.lists:
            if crl.issuer == issuer.subject:
                require_listed_by(crl, issuer, NVIDIA)
                require_current(crl, now)
                require_unrevoked(crl, subject)


def check_revocation(
    checks: Checklist,
    revocation: Revocation,
    chain: tuple[Certificate, ...],
    roles: Mapping[int, str],
    now: datetime,
    *,
    required: bool,
    name: str,
    section: str,
) -> None:
    """One check for each of ``roles`` (position in the chain, and what it is called in the check's name)."""
    for at, role in roles.items():
        subject, issuer = chain[at], chain[at + 1]
        stated = {
            "name": f"{name}.{role}",
            "title": f"{subject.common_name} was not revoked",
            "section": section,
            "expected": f"a good answer or a list from {issuer.common_name}, holding at {now:%Y-%m-%d %H:%M:%S} UTC",
            "fix": "staple an answer from http://ocsp.ndis.nvidia.com",
        }
        if not required and not revocation.speaks_of(subject, issuer):
            checks.not_performed(**stated, got="nothing came along")
            continue
        with checks.step(**stated):
            revocation.require_unrevoked(subject, issuer, now)
