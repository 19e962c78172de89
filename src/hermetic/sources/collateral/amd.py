"""What AMD's key distribution service (KDS) is asked for a report: its key's certificate, the chain, the list (57230).

GET {kds}/vcek/v1/{product}/{chip}?…SPL=…     the chip's certificate at one TCB; about one in 10 s and address
GET {kds}/{vcek|vlek}/v1/{product}/cert_chain  ASK or ASVK, and ARK, in PEM
GET {kds}/vcek/v1/{product}/crl                the ARK's revocation list, which covers VLEKs' intermediate too
"""

from __future__ import annotations

from functools import partial

from hermetic.errors import Malformed, Misconfigured
from hermetic.evidence import EvidenceBundle, Product, SigningKey, SnpReport, Tcb
from hermetic.evidence.pem import certificates_from_pem
from hermetic.evidence.x509 import load_certificate
from hermetic.sources.collateral.question import Answer, Kind, Parts, Period, Question, Request
from hermetic.sources.collateral.reading import certificate_period, crl_from_any, crl_period
from hermetic.sources.collateral.services import Services
from hermetic.sources.collateral.supply import Wanted
from hermetic.verify.kds import LeafIdentity

__all__ = ["amd_wanted", "vcek_url"]

_HWID = {Product.MILAN: 64, Product.GENOA: 64, Product.TURIN: 8}
_SPL = {"fmc": "fmcSPL", "boot_loader": "blSPL", "tee": "teeSPL", "snp": "snpSPL", "microcode": "ucodeSPL"}
_CERTIFICATE, _LIST = 8192, 65536


def amd_wanted(bundle: EvidenceBundle, services: Services) -> tuple[Wanted, ...]:
    """What a SEV-SNP report needs.  Raises Malformed for something else, Misconfigured where it is nobody's product."""
    report = SnpReport.from_bytes(bundle.evidence)
    product = _product_of(report, bundle)
    kind = "vlek" if report.signing_key is SigningKey.VLEK else "vcek"
    questions = (_leaf(report, product, kind, services), _chain(product, kind, services), _crl(product, services))
    return tuple(Wanted.among(question, bundle.endorsements) for question in questions)


def vcek_url(kds: str, product: Product, hwid: bytes, tcb: Tcb) -> str:
    """Where the certificate of one chip's key at one TCB is.  ``hwid`` is 64 bytes; on Turin 8, and an FMC is named."""
    levels = "&".join(f"{_SPL[name]}={level:02}" for name, level in tcb.components().items())
    return f"{kds}/vcek/v1/{product}/{hwid.hex()}?{levels}"


def _product_of(report: SnpReport, bundle: EvidenceBundle) -> Product:
    """By the report's word; before version 3 it has none, and a certificate that came along may."""
    if report.cpuid is not None:
        return Product.from_cpuid(report.cpuid.family, report.cpuid.model)
    if (leaf := bundle.endorsements.get("leaf")) is not None:
        return LeafIdentity.from_extensions(load_certificate(leaf, "leaf certificate").extensions).product
    if (root := bundle.endorsements.get("root")) is not None:
        name = load_certificate(root, "root certificate").common_name.removeprefix("ARK-")
        if name in tuple(Product):
            return Product(name)
    raise Misconfigured(
        "a report of version 2 does not say which product it is from",
        code="collateral_product",
        fix="give it with its certificate (VCEK), or with the root of its product",
    )


def _leaf(report: SnpReport, product: Product, kind: str, services: Services) -> Question:
    hwid, tcb = report.chip_id[: _HWID[product]], report.reported_tcb.decode(product)
    request, advice = None, "only the cloud provider has it: ask the attester for its certificate table"
    if kind == "vcek":
        advice = "the report does not name its chip: ask the attester for its certificate table"
        if any(hwid):
            request, advice = Request(url=vcek_url(services.kds, product, hwid, tcb), largest=_CERTIFICATE), ""
    return Question(
        what=f"the {kind.upper()} certificate for {product}, {tcb}",
        names={"leaf": Kind.CERTIFICATE},
        request=request,
        advice=advice,
        parts=lambda answer: {"leaf": answer.content},
        periods={"leaf": partial(_leaf_period, product=product, tcb=tcb, hwid=hwid if kind == "vcek" else None)},
    )


def _leaf_period(der: bytes, *, product: Product, tcb: Tcb, hwid: bytes | None) -> Period:
    """``hwid`` is None for a VLEK, and zeros where the platform masks it."""
    leaf = load_certificate(der, "leaf certificate")
    identity = LeafIdentity.from_extensions(leaf.extensions)
    if identity.product is not product or (identity.hwid is None) != (hwid is None):
        raise Malformed(f"a certificate for {identity.product_name}, {'VLEK' if identity.csp_id else 'VCEK'}")
    if identity.tcb != tcb:
        raise Malformed(f"a certificate for {identity.tcb}, not for {tcb}")
    if hwid is not None and any(hwid) and identity.hwid != hwid:
        raise Malformed("a certificate for another chip")
    return certificate_period(leaf)


def _chain(product: Product, kind: str, services: Services) -> Question:
    intermediate = f"SEV-VLEK-{product}" if kind == "vlek" else f"SEV-{product}"
    return Question(
        what=f"AMD's chain {intermediate}, ARK-{product}",
        names={"intermediate": Kind.CERTIFICATE, "root": Kind.CERTIFICATE},
        request=Request(url=f"{services.kds}/{kind}/v1/{product}/cert_chain", largest=4 * _CERTIFICATE),
        parts=_chain_parts,
        periods={
            "intermediate": partial(_named_period, name=intermediate),
            "root": partial(_named_period, name=f"ARK-{product}"),
        },
    )


def _chain_parts(answer: Answer) -> Parts:
    chain = certificates_from_pem(answer.content)
    if len(chain) != 2:
        raise Malformed(f"{len(chain)} certificates, not an intermediate and a root")
    return {"intermediate": chain[0], "root": chain[1]}


def _named_period(der: bytes, *, name: str) -> Period:
    certificate = load_certificate(der, f"certificate of {name}")
    if certificate.common_name != name:
        raise Malformed(f"expected {name}, got {certificate.common_name[:200]}")
    return certificate_period(certificate)


def _crl(product: Product, services: Services) -> Question:
    return Question(
        what=f"the revocation list of ARK-{product}",
        names={"crl": Kind.CRL},
        request=Request(url=f"{services.kds}/vcek/v1/{product}/crl", largest=_LIST),
        parts=lambda answer: {"crl": crl_from_any(answer.content)},
        periods={"crl": partial(crl_period, issuer=f"ARK-{product}")},
    )
