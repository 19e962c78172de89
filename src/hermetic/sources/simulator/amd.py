"""A whole AMD in software: root, intermediates, chip keys, revocation list, and SEV-SNP reports in the real format.

It proves the chain and keeps no secret from the machine it runs on: whoever can read its state can issue anything.  So
its root is nobody's but its own, drawn anew for each installation, and a relying party must pin it by hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hermetic.evidence import SEV_SNP, EcdsaSignature, EvidenceBundle, Product, SigningKey, SnpReport
from hermetic.sources.simulator.day import yesterday
from hermetic.sources.simulator.installation import AmdInstallation
from hermetic.sources.simulator.pki import CertificateTemplate, CrlTemplate
from hermetic.sources.simulator.snp_platform import SnpPlatform
from hermetic.verify.kds import LeafIdentity
from hermetic.wire import Digest, sha256_digest, transcript

SIMULATED_MEASUREMENT = hashlib.sha384(b"hermetic simulated guest image v1").digest()
"""What a simulated guest is measured as unless told otherwise (48 bytes): there is no firmware, so it names none."""

_P384_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
_YEAR = timedelta(days=365)
_CRL_LIFE = timedelta(days=30)
_CSP_ID = "CN=hermetic-simulator.example"
_REMEMBERED = 64
_HWID_BYTES = {Product.MILAN: 64, Product.GENOA: 64, Product.TURIN: 8}


class SimulatedAmd:
    """One simulated vendor with one chip, of one product line.  Safe to share between threads.

    Like AMD's, its chip keys are derived: from the chip's seed and the TCB that the platform reports.
    """

    def __init__(self, installation: AmdInstallation) -> None:
        self._installation = installation
        self._signed: dict[Hashable, bytes] = {}

    @classmethod
    def load_or_create(cls, state_dir: Path, *, now: datetime, product: Product = Product.GENOA) -> SimulatedAmd:
        """The simulated AMD kept in ``state_dir``; see :meth:`AmdInstallation.load_or_create` for what it raises."""
        return cls(AmdInstallation.load_or_create(state_dir, product=product, now=now))

    @property
    def product(self) -> Product:
        return self._installation.product

    @property
    def root_digest(self) -> Digest:
        """What a relying party pins as ``simulated_root``."""
        return sha256_digest(self._installation.ark)

    @property
    def chip_id(self) -> bytes:
        """The chip's identity as its certificate names it: 64 bytes, 8 on Turin."""
        return self._derive("chip", _HWID_BYTES[self.product])

    def issue(
        self,
        report_data: bytes,
        *,
        host_data: bytes,
        now: datetime,
        measurement: bytes = SIMULATED_MEASUREMENT,
        platform: SnpPlatform | None = None,
        leaf: CertificateTemplate | None = None,
        crl: CrlTemplate | None = None,
        signer: ec.EllipticCurvePrivateKey | None = None,
    ) -> EvidenceBundle:
        """A signed report over ``report_data`` (64 bytes) with everything needed to verify it at ``now``.

        ``host_data`` (32 bytes) is what the host gave at launch; ``platform`` sets every other field.  ``leaf``,
        ``crl`` and ``signer`` replace a part of the endorsements, or the key that signs, with another one.
        """
        platform = platform or SnpPlatform()
        report = platform.report(
            self.product,
            chip_id=self.chip_id,
            report_id=self._derive("report", 32, host_data, measurement),
            report_data=report_data,
            measurement=measurement,
            host_data=host_data,
        )
        signed = self.sign(report, signer or self.chip_key(platform))
        vlek = platform.signing_key is SigningKey.VLEK
        endorsements = {
            "leaf": self._sign_leaf(leaf, vlek) if leaf else self._leaf_of_the_day(platform, now),
            "intermediate": self._installation.asvk if vlek else self._installation.ask,
            "root": self._installation.ark,
            "crl": self._sign_crl(crl) if crl else self._crl_of_the_day(now),
        }
        return EvidenceBundle(tee=SEV_SNP, evidence=signed.to_bytes(), endorsements=endorsements)

    def sign(self, report: SnpReport, key: ec.EllipticCurvePrivateKey) -> SnpReport:
        """The report with a signature by ``key`` over its signed bytes."""
        r, s = decode_dss_signature(key.sign(report.signed_bytes(), ec.ECDSA(hashes.SHA384())))
        return replace(report, signature=EcdsaSignature(r=r, s=s))

    def chip_key(self, platform: SnpPlatform) -> ec.EllipticCurvePrivateKey:
        """The VCEK or VLEK of this chip for the TCB that ``platform`` reports."""
        label = "vlek" if platform.signing_key is SigningKey.VLEK else "vcek"
        tcb = platform.reported(self.product).encode(self.product)
        # 64 bytes reduced modulo a 384-bit order: the bias is below 2**-128.
        scalar = int.from_bytes(self._derive(label, 64, tcb.raw), "big") % (_P384_ORDER - 1) + 1
        return ec.derive_private_key(scalar, ec.SECP384R1())

    def leaf_identity(self, platform: SnpPlatform) -> LeafIdentity:
        """What the certificate of :meth:`chip_key` says of it."""
        vlek = platform.signing_key is SigningKey.VLEK
        return LeafIdentity(
            product=self.product,
            product_name=str(self.product),
            tcb=platform.reported(self.product),
            hwid=None if vlek else self.chip_id,
            csp_id=_CSP_ID if vlek else None,
        )

    def leaf_template(self, platform: SnpPlatform, *, now: datetime) -> CertificateTemplate:
        """The certificate of :meth:`chip_key`.  A VCEK's lives seven years from the installation, a VLEK's one."""
        vlek = platform.signing_key is SigningKey.VLEK
        not_before = yesterday(now) if vlek else self._installation.created
        return CertificateTemplate(
            common_name="SEV-VLEK" if vlek else "SEV-VCEK",
            serial=1,  # AMD's are zero, which the library that signs here refuses
            not_before=not_before,
            not_after=not_before + (_YEAR if vlek else 7 * _YEAR),
            public_key=self.chip_key(platform).public_key(),
            extensions=self.leaf_identity(platform).to_extensions(),
        )

    def crl_template(self, *, now: datetime) -> CrlTemplate:
        """An empty list of the day, valid for 30."""
        return CrlTemplate(this_update=yesterday(now), next_update=yesterday(now) + _CRL_LIFE)

    def _leaf_of_the_day(self, platform: SnpPlatform, now: datetime) -> bytes:
        vlek = platform.signing_key is SigningKey.VLEK
        of = (vlek, platform.reported(self.product), yesterday(now))
        return self._once(of, lambda: self._sign_leaf(self.leaf_template(platform, now=now), vlek))

    def _crl_of_the_day(self, now: datetime) -> bytes:
        template = self.crl_template(now=now)
        return self._once(template, lambda: self._sign_crl(template))

    def _sign_leaf(self, leaf: CertificateTemplate, vlek: bool) -> bytes:
        keys = self._installation.keys
        if vlek:
            return leaf.sign(f"SEV-VLEK-{self.product}", keys.asvk)
        return leaf.sign(f"SEV-{self.product}", keys.ask)

    def _sign_crl(self, crl: CrlTemplate) -> bytes:
        return crl.sign(f"ARK-{self.product}", self._installation.keys.ark)

    def _once(self, of: Hashable, sign: Callable[[], bytes]) -> bytes:
        """What was signed before need not be signed again: an RSA-4096 signature costs more than the whole report."""
        signed = self._signed.get(of)
        if signed is None:
            if len(self._signed) >= _REMEMBERED:
                self._signed = {}
            signed = self._signed[of] = sign()
        return signed

    def _derive(self, label: str, length: int, *context: bytes) -> bytes:
        info = transcript(f"hermetic.simulator.amd.{label}.v1", self.product.encode(), *context)
        return HKDF(algorithm=hashes.SHA384(), length=length, salt=None, info=info).derive(self._installation.seed)
