"""Two sources of SEV-SNP evidence for tests: a simulated AMD with fixed keys, and what real hardware once signed."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from hermetic.evidence import SEV_SNP, EvidenceBundle, Product, SigningKey
from hermetic.sources.simulator.amd import SimulatedAmd
from hermetic.sources.simulator.installation import AmdInstallation
from hermetic.sources.simulator.pki import AmdKeys
from hermetic.sources.simulator.snp_platform import SnpPlatform
from hermetic.verify import PlatformClaims, Root, simulated_root, verify
from vectors import ROOT

CREATED = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)
NOW = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
REPORT_DATA = bytes(range(64))
HOST_DATA = bytes(range(100, 132))
SEED = b"a seed that is fixed in tests...."[:32]

_KEYS = Path(__file__).parent / "data" / "simulated-amd-keys.pem"
_PEM = re.compile(rb"-----BEGIN [A-Z0-9 ]+-----.+?-----END [A-Z0-9 ]+-----", re.DOTALL)
RECORDED = ROOT / "attestation"


@cache
def keys() -> AmdKeys:
    """The test PKI's keys, which are in the repository because RSA-4096 keys take seconds to make."""
    ark, ask, asvk = (_rsa(pem) for pem in _PEM.findall(_KEYS.read_bytes()))
    return AmdKeys(ark=ark, ask=ask, asvk=asvk)


def _rsa(pem: bytes) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def installation(product: Product, **templates: Any) -> AmdInstallation:
    """A new installation; ``ark``, ``ask`` and ``asvk`` templates replace AMD's."""
    return AmdInstallation.create(product=product, created=CREATED, seed=SEED, keys=keys(), **templates)


@cache
def simulated(product: Product = Product.GENOA) -> SimulatedAmd:
    """One simulated AMD for each product, shared by all tests: issuing changes nothing in it."""
    return SimulatedAmd(installation(product))


def roots(amd: SimulatedAmd) -> tuple[Root, ...]:
    return (simulated_root(amd.root_digest),)


def issue(amd: SimulatedAmd | None = None, **changes: Any) -> EvidenceBundle:
    """Evidence over REPORT_DATA and HOST_DATA at NOW, with any argument of ``SimulatedAmd.issue`` changed."""
    arguments: dict[str, Any] = {"report_data": REPORT_DATA, "host_data": HOST_DATA, "now": NOW} | changes
    report_data = arguments.pop("report_data")
    return (amd or simulated()).issue(report_data, **arguments)


def claims(platform: SnpPlatform | None = None, product: Product = Product.GENOA, **changes: Any) -> PlatformClaims:
    """What the verifier makes of evidence from ``platform``."""
    amd = simulated(product)
    bundle = issue(amd, platform=platform, **changes)
    return verify(bundle, roots=roots(amd), now=NOW, report_data=REPORT_DATA)


def endorsed(bundle: EvidenceBundle, **endorsements: bytes | None) -> EvidenceBundle:
    """``bundle`` with some endorsements replaced, or left out where the value is None."""
    changed = {**bundle.endorsements, **endorsements}
    kept = {name: value for name, value in changed.items() if value is not None}
    return EvidenceBundle(tee=bundle.tee, evidence=bundle.evidence, endorsements=kept)


def with_evidence(bundle: EvidenceBundle, evidence: bytes) -> EvidenceBundle:
    return EvidenceBundle(tee=bundle.tee, evidence=evidence, endorsements=bundle.endorsements)


@cache
def amd_chain(product: Product, kind: SigningKey) -> dict[str, bytes]:
    """AMD's own ASK or ASVK and ARK, as recorded."""
    suffix = "_vlek" if kind is SigningKey.VLEK else "_vcek" if product is Product.TURIN else ""
    pem = (RECORDED / "roots" / "amd" / f"ask_ark_{product.lower()}{suffix}.pem").read_bytes()
    intermediate, root = (_der(block) for block in _PEM.findall(pem))
    return {"intermediate": intermediate, "root": root}


@cache
def amd_crl(product: Product) -> bytes | None:
    """AMD's own revocation list of 2024-10 (Genoa) and 2025-05 (Milan); none is recorded for Turin."""
    text = (RECORDED / "roots" / "amd" / "sev_certificates_with_crls.txt").read_bytes()
    name = f"-- test_amd_{product.lower()}_crl.pem --\n".encode()
    if name not in text:
        return None
    block = _PEM.match(text.partition(name)[2])
    assert block is not None
    return x509.load_pem_x509_crl(block.group()).public_bytes(serialization.Encoding.DER)


def _der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


def recorded(report: bytes, leaf: bytes, product: Product, kind: SigningKey) -> EvidenceBundle:
    """Real evidence with AMD's real chain, and its list where one is recorded."""
    crl = amd_crl(product)
    endorsements = {"leaf": leaf, **amd_chain(product, kind)} | ({} if crl is None else {"crl": crl})
    return EvidenceBundle(tee=SEV_SNP, evidence=report, endorsements=endorsements)
