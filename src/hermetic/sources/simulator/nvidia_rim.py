"""Reference integrity manifests of the simulated NVIDIA: SWID tags with one XML signature, shaped as the real ones.

The text is written in canonical form; :mod:`lxml` makes sure of it, so whoever signs manifests needs the extra
``nvidia``.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hermetic.errors import Misconfigured
from hermetic.sources.simulator.ec import raw_signature
from hermetic.sources.simulator.nvidia_pki import Issued

DS = "http://www.w3.org/2000/09/xmldsig#"
C14N = "http://www.w3.org/2006/12/xml-c14n11"

_END = "</SoftwareIdentity>"
_SIZE = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Rim:
    """What a manifest says.  ``golden`` maps an index to its alternatives, ``inactive`` lists indexes without weight.

    ``version`` is what manifests call colloquial: of the driver, or of the firmware.
    """

    product: str
    version: str
    golden: Mapping[int, tuple[bytes, ...]] = field(default_factory=dict)
    inactive: tuple[int, ...] = (60,)

    def content(self) -> str:
        """The document without a signature."""
        resources = "".join(
            [_resource(index, values, "True") for index, values in self.golden.items()]
            + [_resource(index, (bytes(_SIZE),), "False") for index in self.inactive]
        )
        return (
            '<SoftwareIdentity xmlns="http://standards.iso.org/iso/19770/-2/2015/schema.xsd" '
            'xmlns:ns2="http://www.w3.org/2001/04/xmlenc#sha384" name="SIMULATED" tagId="0f">'
            '<Entity name="SIMULATED"/>'
            '<Meta xmlns:ns1="https://trustedcomputinggroup.org/resource/'
            'tcg-reference-integrity-manifest-rim-information-model/" '
            f'colloquialVersion="{self.version}" edition="GPU" product="{self.product}" ns1:BindingSpec="RIMIM" '
            'ns1:PlatformManufacturerId="5703"/>'
            f"<Payload>{resources}</Payload>{_END}"
        )


def sign_manifest(content: str, signer: Sequence[Issued]) -> bytes:
    """``content`` with a signature by the first of ``signer`` (leaf first) as the last child of its root."""
    return content.replace(_END, f"{signature_of(content, signer)}{_END}").encode()


def signature_of(content: str, signer: Sequence[Issued]) -> str:
    """The signature element over ``content``."""
    digest = base64.b64encode(hashlib.sha384(_canonical(content)).digest()).decode()
    info = (
        f'<ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{C14N}"/>'
        '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"/>'
        f'<ds:Reference URI=""><ds:Transforms><ds:Transform Algorithm="{DS}enveloped-signature"/>'
        f'<ds:Transform Algorithm="{C14N}"/></ds:Transforms>'
        '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#sha384"/>'
        f"<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
    )
    value = base64.b64encode(raw_signature(signer[0].key, _canonical_in(content, info), "sha384")).decode()
    certificates = "".join(
        f"<ds:X509Certificate>{base64.encodebytes(entry.der).decode()}</ds:X509Certificate>" for entry in signer
    )
    return (
        f'<ds:Signature xmlns:ds="{DS}">{info}<ds:SignatureValue>{value}</ds:SignatureValue>'
        f"<ds:KeyInfo><ds:X509Data>{certificates}</ds:X509Data></ds:KeyInfo></ds:Signature>"
    )


def _resource(index: int, values: Sequence[bytes], active: str) -> str:
    alternatives = " ".join(f'ns2:Hash{n}="{value.hex()}"' for n, value in enumerate(values))
    return (
        f'<Resource type="Measurement" index="{index}" active="{active}" alternatives="{len(values)}" {alternatives} '
        f'name="Measurement_{index}" size="{_SIZE}"/>'
    )


def _canonical(content: str) -> bytes:
    etree = _etree()
    data: bytes = etree.tostring(etree.fromstring(content), method="c14n")
    return data


def _canonical_in(content: str, info: str) -> bytes:
    """``info`` canonical where it will stand: in the scope of the root's namespaces and of the signature's."""
    etree = _etree()
    scoped = etree.fromstring(content.replace(_END, f'<ds:S xmlns:ds="{DS}">{info}</ds:S>{_END}'))
    data: bytes = etree.tostring(scoped[-1][0], method="c14n")
    return data


def _etree() -> Any:
    try:
        from lxml import etree
    except ImportError as error:
        raise Misconfigured(
            "manifests of devices are XML, and lxml is not installed", fix="pip install 'hermetic[nvidia]'"
        ) from error
    return etree
