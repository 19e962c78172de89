"""Endorsements that came as files of their own, fitted to the evidence that they are for: by names, never by trust.

A name only says where a certificate claims to belong.  Whether it does, its signatures say, and verification reads
them; what is fitted wrongly here is refused there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hermetic.errors import Malformed
from hermetic.evidence._snp_bits import SigningKey
from hermetic.evidence.bundle import SEV_SNP, EvidenceBundle
from hermetic.evidence.parts import CertificatesPart, CollateralPart, RevocationPart
from hermetic.evidence.pem import pem_from_certificates
from hermetic.evidence.snp import SnpReport
from hermetic.evidence.x509 import Certificate, RevocationList, load_certificate, load_crl

_LEAF = {SigningKey.VCEK: "SEV-VCEK", SigningKey.VLEK: "SEV-VLEK"}
_HWID = "1.3.6.1.4.1.3704.1.4"
_TCB_SIGNER = "Intel SGX TCB Signing"
_PCK_AUTHORITIES = ("Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA")
_INTEL_ROOT = "Intel SGX Root CA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loose:
    """All that came loose: certificates and lists without repetitions, and Intel's documents by name."""

    certificates: tuple[Certificate, ...] = ()
    lists: tuple[RevocationList, ...] = ()
    intel: dict[str, bytes] = field(default_factory=dict, repr=False)

    @classmethod
    def from_parts(cls, parts: Iterable[object]) -> Loose:
        """Raises Malformed where two files hold different answers to one question."""
        certificates: dict[bytes, Certificate] = {}
        lists: dict[bytes, RevocationList] = {}
        intel: dict[str, bytes] = {}
        for part in parts:
            if isinstance(part, CertificatesPart):
                certificates |= {der: load_certificate(der, "certificate") for der in part.certificates}
            elif isinstance(part, RevocationPart) and not part.ocsp:
                lists[part.der] = load_crl(part.der)
            elif isinstance(part, CollateralPart):
                for name, value in part.endorsements.items():
                    if intel.setdefault(name, value) != value:
                        raise Malformed(f"evidence: two different files for {name}")
        return cls(certificates=tuple(certificates.values()), lists=tuple(lists.values()), intel=intel)

    def fitted(self, bundle: EvidenceBundle) -> EvidenceBundle:
        """``bundle`` with what is for it; what came loose goes before what the bundle had of the same name.

        Raises Malformed where two certificates or lists claim one place.
        """
        found = self._snp(bundle) if bundle.tee == SEV_SNP else self._intel()
        return replace(bundle, endorsements={**bundle.endorsements, **found})

    def _snp(self, bundle: EvidenceBundle) -> dict[str, bytes]:
        """Leaf by the kind of key that the report says signed it; then by issuer, up to the root and its list."""
        report = SnpReport.from_bytes(bundle.evidence)
        found: dict[str, bytes] = {}
        leaves = self._named(_LEAF.get(report.signing_key, ""))
        if len(leaves) > 1:  # several chips': the one that names this chip
            leaves = [each for each in leaves if _names_chip(each, report.chip_id)]
        leaf = self._only(leaves, "leaf certificate")
        above = leaf or _brought(bundle, "leaf")
        if leaf is not None:
            found["leaf"] = leaf.der
        for name in ("intermediate", "root"):
            if above is None:
                return found
            issuer = self._only(self._of_subject(above.issuer), f"{name} certificate")
            if issuer is not None:
                found[name] = issuer.der
            above = issuer or _brought(bundle, name)
        if above is not None and (crl := self._list_of(above)) is not None:
            found["crl"] = crl.der
        return found

    def _intel(self) -> dict[str, bytes]:
        found = dict(self.intel)
        tcb_signer = self._only(self._named(_TCB_SIGNER), "TCB signing certificate")
        if tcb_signer is not None and (chain := self._chain(tcb_signer)) is not None:
            found = {"tcb_info_chain": chain, "qe_identity_chain": chain} | found
        for crl in self.lists:
            if crl.issuer_name == _INTEL_ROOT:
                _place(found, "root_crl", crl.der)
            elif crl.issuer_name in _PCK_AUTHORITIES:
                _place(found, "pck_crl", crl.der)
                authority = self._only(self._of_subject(crl.issuer), "PCK authority")
                if authority is not None and (chain := self._chain(authority)) is not None:
                    found = {"pck_crl_chain": chain} | found
        return found

    def _chain(self, signer: Certificate) -> bytes | None:
        """Signer and root as Intel's service sends them; None where the root did not come along."""
        root = self._only(self._of_subject(signer.issuer), "root certificate")
        return None if root is None else pem_from_certificates((signer.der, root.der))

    def _named(self, wanted: str) -> list[Certificate]:
        return [each for each in self.certificates if each.common_name == wanted]

    def _of_subject(self, name: bytes) -> list[Certificate]:
        return [each for each in self.certificates if each.subject == name]

    def _list_of(self, issuer: Certificate) -> RevocationList | None:
        found = [each for each in self.lists if each.issuer == issuer.subject]
        if len(found) > 1:
            raise Malformed(f"evidence: two revocation lists of {issuer.common_name}", fix="give the newer one only")
        return found[0] if found else None

    @staticmethod
    def _only(found: list[Certificate], what: str) -> Certificate | None:
        if len(found) > 1:
            raise Malformed(f"evidence: two certificates that could be the {what}", fix="give the one that belongs")
        return found[0] if found else None


def _names_chip(leaf: Certificate, chip_id: bytes) -> bool:
    """Whether AMD's hwID extension ends in the chip's identity: 64 bytes, on Turin the first 8."""
    return leaf.extensions.get(_HWID, b"").endswith((chip_id, chip_id[:8]))


def is_platforms(part: RevocationPart) -> bool:
    """Whether a list is one of AMD's or Intel's, by its issuer's name: a device has no use for it."""
    if part.ocsp:
        return False
    issuer = load_crl(part.der).issuer_name
    return issuer.startswith("ARK-") or issuer in (_INTEL_ROOT, *_PCK_AUTHORITIES)


def _place(found: dict[str, bytes], name: str, value: bytes) -> None:
    if found.setdefault(name, value) != value:
        raise Malformed(f"evidence: two different files for {name}")


def _brought(bundle: EvidenceBundle, name: str) -> Certificate | None:
    der = bundle.endorsements.get(name)
    return None if der is None else load_certificate(der, f"{name} certificate")
