"""Is this SEV-SNP report authentic?  The complete check-list, in order; it ends at the first failure.

    SNP 1   the report has the size, version, algorithm and reserved zeros of one (AMD 56860, 7.3)
    SNP 2   report, leaf, intermediate and the leaf's identity agree on whose key signed: VCEK or VLEK (57230, 3.1)
    SNP 3   leaf ← ASK or ASVK ← ARK: names, uses, RSASSA-PSS over SHA-384, validity; the ARK is pinned (57230, 2.1)
    SNP 4   the ARK's revocation list holds now and lists neither the intermediate nor the leaf (57230, 2.2)
    SNP 5   the leaf's key signed exactly bytes 0x000 to 0x29F: ECDSA P-384, SHA-384 (56860, 7.3)
    SNP 6   product, firmware versions and chip of the leaf are those of the report (57230, 3.1)
    SNP 7   the report carries the bytes that the caller asked for

What is *wanted* of an authentic report (guest policy, platform, versions, measurements) is hermetic.policy.snp's.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime

from hermetic.errors import NotAuthentic
from hermetic.evidence import SEV_SNP, EvidenceBundle, Product, SigningKey, SnpReport
from hermetic.evidence.snp import SIGNED_LENGTH
from hermetic.evidence.x509 import Certificate, RevocationList, load_certificate, load_crl
from hermetic.verify._algorithms import ECDSA_P384
from hermetic.verify._checks import Checklist
from hermetic.verify._claims import SnpClaims
from hermetic.verify.chain import (
    AMD,
    require_authority,
    require_current,
    require_issued,
    require_leaf,
    require_listed_by,
    require_pinned,
    require_unrevoked,
    require_valid,
)
from hermetic.verify.kds import LeafIdentity
from hermetic.verify.roots import Root, names_of

_LEAF_NAME = {SigningKey.VCEK: "SEV-VCEK", SigningKey.VLEK: "SEV-VLEK"}
_INTERMEDIATE_NAME = {SigningKey.VCEK: "SEV-", SigningKey.VLEK: "SEV-VLEK-"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chain:
    """The endorsements, read but not yet believed; ``identity`` is what the leaf says of its key."""

    leaf: Certificate
    intermediate: Certificate
    root: Certificate
    identity: LeafIdentity
    crl: RevocationList | None

    @classmethod
    def from_bundle(cls, bundle: EvidenceBundle) -> _Chain:
        """Raises Malformed where an endorsement cannot be read, NotAuthentic where a certificate is missing."""
        certificates = {}
        for name in ("leaf", "intermediate", "root"):
            if name not in bundle.endorsements:
                raise NotAuthentic(
                    f"the evidence comes without its {name} certificate",
                    fix="ask the attester for its certificates, or fetch them from https://kdsintf.amd.com",
                )
            certificates[name] = load_certificate(bundle.endorsements[name], f"{name} certificate")
        crl = bundle.endorsements.get("crl")
        return cls(
            **certificates,
            identity=LeafIdentity.from_extensions(certificates["leaf"].extensions),
            crl=None if crl is None else load_crl(crl),
        )


def verify_snp(
    bundle: EvidenceBundle, *, roots: tuple[Root, ...], now: datetime, report_data: bytes | None, crl_required: bool
) -> SnpClaims:
    """The claims of an authentic report.  Parameters and errors as in :func:`hermetic.verify.verify`."""
    checks = Checklist()
    # 1. It is a report, and it comes with certificates.
    with checks.step(
        "snp.format",
        "The bytes are an SEV-SNP report with its certificates",
        section="SNP 1: AMD 56860, 7.3",
        expected="a report of version 2 to 5, and a leaf, an intermediate and a root that can be read",
    ):
        report = SnpReport.from_bytes(bundle.evidence)
        chain = _Chain.from_bundle(bundle)

    _check_signing_key(checks, report, chain)  # 2
    root, product = _check_chain(checks, chain, roots, now)  # 3
    _check_revocation(checks, chain, now, crl_required=crl_required)  # 4
    _check_signature(checks, report, chain, bundle.evidence)  # 5
    _check_identity(checks, report, chain.identity, product)  # 6
    _check_report_data(checks, report, report_data)  # 7
    return SnpClaims(
        tee=SEV_SNP,
        root=root,
        product=product,
        report=report,
        chip_id=_chip_id(report, chain.identity),
        provider=chain.identity.csp_id,
        measurement=report.measurement,
        host_data=report.host_data,
        report_data=report.report_data,
        dates=_dates(chain),
        checks=checks.made,
    )


def _check_signing_key(checks: Checklist, report: SnpReport, chain: _Chain) -> None:
    # 2. A VLEK is a cloud provider's and a VCEK one chip's: neither may pass for the other, so all four places agree.
    kind = report.signing_key
    names = (chain.leaf.common_name, chain.intermediate.common_name)
    with checks.step(
        "snp.signing-key",
        "Report and certificates agree on whose key signed",
        section="SNP 2: AMD 56860, 7.3; 57230, 3.1",
        expected="VCEK with a chip's certificate, or VLEK with a provider's",
        got=f"{kind.name}, {names[0]} from {names[1]}",
    ):
        if kind is SigningKey.NONE:
            raise NotAuthentic("a report that no key signed")
        if kind is SigningKey.VCEK and report.mask_chip_key:
            raise NotAuthentic("a chip's key on a platform that says it does not use it")
        identity = SigningKey.VCEK if chain.identity.hwid is not None else SigningKey.VLEK
        expected_names = (_LEAF_NAME[kind], f"{_INTERMEDIATE_NAME[kind]}{chain.identity.product}")
        if identity is not kind or names != expected_names:
            raise NotAuthentic(
                f"the report says {kind.name}, the certificates are {names[0]} from {names[1]}, for a {identity.name}"
            )


def _check_chain(checks: Checklist, chain: _Chain, roots: tuple[Root, ...], now: datetime) -> tuple[Root, Product]:
    # 3. The leaf leads to a root that the caller pinned.  From here on the product is the root's, not the evidence's.
    section = "SNP 3: AMD 57230, 2.1"
    with checks.step(
        "snp.chain.root",
        "The chain starts at a root that we pinned",
        section=section,
        expected=names_of(roots),
        got=f"{chain.root.common_name} {chain.root.digest[:19]}…",
    ):
        root = require_pinned(chain.root, roots)
        require_authority(chain.root, AMD, below=1)

    product = chain.identity.product
    with checks.step(
        "snp.chain.product",
        "One product line runs through the chain",
        section=section,
        expected=f"ARK-{product}",
        got=chain.root.common_name,
    ):
        if chain.root.common_name != f"ARK-{product}" or root.product not in (None, product):
            raise NotAuthentic(f"a root named {chain.root.common_name}, pinned as {root.name}")
    with checks.step(
        "snp.chain.intermediate",
        "The root signed the intermediate",
        section=section,
        expected=f"{chain.intermediate.common_name} signed by {chain.root.common_name}",
    ):
        require_issued(chain.intermediate, chain.root, AMD)
        require_authority(chain.intermediate, AMD, below=0)
    with checks.step(
        "snp.chain.leaf",
        "The intermediate signed the certificate of the signing key",
        section=section,
        expected=f"{chain.leaf.common_name} signed by {chain.intermediate.common_name}",
    ):
        require_issued(chain.leaf, chain.intermediate, AMD)
        require_leaf(chain.leaf, AMD)
    with checks.step(
        "snp.validity",
        "Every certificate is valid at this time",
        section=section,
        expected=f"valid at {now:%Y-%m-%d %H:%M} UTC",
        fix="check the clock; a provider's VLEK lasts a year and is renewed by attesting again",
    ):
        require_valid(now, chain.root, chain.intermediate, chain.leaf)
    return root, product


def _check_revocation(checks: Checklist, chain: _Chain, now: datetime, *, crl_required: bool) -> None:
    # 4. Not theoretical: Genoa's list revokes 0x20001, the first Genoa ASK.
    name, title, section = "snp.revocation", "No certificate of the chain is revoked", "SNP 4: AMD 57230, 2.2"
    expected = f"{chain.root.common_name}'s list, holding at {now:%Y-%m-%d %H:%M} UTC"
    fix = f"fetch https://kdsintf.amd.com/vcek/v1/{chain.identity.product}/crl and give it as the endorsement crl"
    if chain.crl is None and not crl_required:
        checks.not_performed(name, title, section=section, expected=expected, got="no list", fix=fix)
        return
    with checks.step(name, title, section=section, expected=expected, got="on no list", fix=fix):
        if chain.crl is None:
            raise NotAuthentic("evidence without a revocation list")
        require_listed_by(chain.crl, chain.root, AMD)
        require_current(chain.crl, now)
        require_unrevoked(chain.crl, chain.intermediate, chain.leaf)


def _check_signature(checks: Checklist, report: SnpReport, chain: _Chain, evidence: bytes) -> None:
    # 5. Over the bytes as they were received, never over what we would have written.
    with checks.step(
        "snp.signature",
        "That key signed exactly these bytes",
        section="SNP 5: AMD 56860, 7.3",
        expected="ECDSA P-384 with SHA-384 over bytes 0x000 to 0x29F",
    ):
        ECDSA_P384.require_numbers(
            chain.leaf.public_key, evidence[:SIGNED_LENGTH], r=report.signature.r, s=report.signature.s
        )


def _check_identity(checks: Checklist, report: SnpReport, identity: LeafIdentity, product: Product) -> None:
    # 6. The key is one of this product, for this firmware and of this chip.
    section = "SNP 6: AMD 57230, 3.1; 56860, 2.2"
    cpuid = "no CPUID before version 3"
    if report.cpuid is not None:
        cpuid = f"CPUID family 0x{report.cpuid.family:02x} model 0x{report.cpuid.model:02x}"
    with checks.step(
        "snp.product",
        "The report comes from the product that the certificate is for",
        section=section,
        expected=str(product),
        got=f"{identity.product_name}, {cpuid}",
    ):
        if report.cpuid is not None and Product.from_cpuid(report.cpuid.family, report.cpuid.model) is not product:
            raise NotAuthentic(cpuid)
        if report.cpuid is None and product is Product.TURIN:
            raise NotAuthentic("a report of version 2, which this product does not make")
    with checks.step(
        "snp.tcb",
        "The key exists only at the firmware versions that the report states",
        section=section,
        expected=str(identity.tcb),
    ):
        if (reported := report.reported_tcb.decode(product)) != identity.tcb:
            raise NotAuthentic(str(reported))
        for other in (report.current_tcb, report.committed_tcb, report.launch_tcb):
            other.decode(product)  # so that whoever holds claims can read them all
    if identity.hwid is None:
        return  # a VLEK is many chips'; what it names instead is its provider, which step 2 demanded
    with checks.step(
        "snp.chip-id",
        "The report comes from the chip that the certificate is for",
        section=section,
        expected=_short(identity.hwid),
        got=_short(report.chip_id) if any(report.chip_id) else "masked by the platform; the key is that chip's alone",
    ):
        if any(report.chip_id) and report.chip_id != identity.hwid.ljust(64, b"\0"):
            raise NotAuthentic(_short(report.chip_id))


def _check_report_data(checks: Checklist, report: SnpReport, expected: bytes | None) -> None:
    # 7. Freshness, keys and context are bound here; compared before any claim leaves this module.
    name, title, section = "snp.report-data", "The report was made over what we asked for", "SNP 7: AMD 56860, 7.3"
    if expected is None:
        checks.not_performed(
            name,
            title,
            section=section,
            expected="report data of the caller's own",
            got=_short(report.report_data),
            fix="compare with the report data that your own nonce makes",
        )
        return
    with checks.step(name, title, section=section, expected=_short(expected)):
        if not hmac.compare_digest(report.report_data, expected):
            raise NotAuthentic(
                _short(report.report_data), fix="it answers another question: ask for evidence over a new nonce"
            )


def _chip_id(report: SnpReport, identity: LeafIdentity) -> bytes:
    """The certificate's word if it has one; under a VLEK the firmware's, or nothing where it is masked."""
    if identity.hwid is not None:
        return identity.hwid
    return report.chip_id if any(report.chip_id) else b""


def _dates(chain: _Chain) -> tuple[datetime, ...]:
    certificates = (chain.root, chain.intermediate, chain.leaf)
    lists = () if chain.crl is None else (chain.crl.this_update,)
    return (*(certificate.not_before for certificate in certificates), *lists)


def _short(value: bytes) -> str:
    return value.hex() if len(value) <= 8 else f"{value[:8].hex()}…"
