"""The signed XML of a reference integrity manifest, read so that only what is signed is seen (W3C XML Signature).

XML signatures fail by ambiguity: a verifier checks one element and its caller reads another, an entity or a comment
changes what a text means, a transform selects something else.  So there is one shape, the one that NVIDIA signs, and
no options: one enveloped signature, the root's last child, over the whole document; no declarations, comments,
processing instructions or entities anywhere.  What comes out is the canonical bytes under the signature, and everything
that is believed later is read from those bytes alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hermetic.errors import Malformed, Misconfigured
from hermetic.wire import b64decode

MAX_DOCUMENT = 262144
# Making a document canonical costs elements times namespaces times depth, and attributes of one element squared.
# NVIDIA writes fewer than a hundred elements, declares six namespaces, and has at most twelve attributes in one place.
MAX_ELEMENTS, MAX_NAMESPACES, MAX_ATTRIBUTES = 2048, 16, 256
_MAX_CERTIFICATES = 8
_DS = "{http://www.w3.org/2000/09/xmldsig#}"
_XML = "{http://www.w3.org/XML/1998/namespace}"
# Canonical XML 1.1 and 1.0 differ only in attributes of the xml: namespace, and those are refused below.
_C14N = "http://www.w3.org/2006/12/xml-c14n11"
_ECDSA_SHA384 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"
_SHA384 = "http://www.w3.org/2001/04/xmldsig-more#sha384"
_ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedXml:
    """A document taken apart; nothing in it is believed.

    ``content`` is what the digest is over: the canonical document without its signature.  ``signed_info`` is what the
    signature (r‖s, 96 bytes) is over; it states ``digest`` (48 bytes).  ``certificates`` are the signer's, leaf first.
    """

    content: bytes = field(repr=False)
    signed_info: bytes = field(repr=False)
    digest: bytes
    signature: bytes = field(repr=False)
    certificates: tuple[bytes, ...] = field(repr=False)


def parse_xml(document: bytes) -> Any:
    """The root element.  Raises Malformed on anything but plain elements, attributes and ASCII text.

    Raises Misconfigured where lxml is not installed.
    """
    etree = _etree()
    if len(document) > MAX_DOCUMENT:
        raise Malformed(f"manifest: at most {MAX_DOCUMENT} bytes, got {len(document)}")
    # Declarations, entities, comments, CDATA and processing instructions all begin so, and nothing else does.
    if not document.isascii() or b"<!" in document or b"<?" in document or b"\0" in document:
        raise Malformed("manifest: expected plain elements in ASCII, without declarations, comments or entities")
    if document.count(b"xmlns") > MAX_NAMESPACES:
        raise Malformed(f"manifest: more than {MAX_NAMESPACES} declarations of namespaces")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=False,
        collect_ids=False,
    )
    try:
        root = etree.fromstring(document, parser)
    except etree.XMLSyntaxError as error:
        raise Malformed("manifest: not XML that can be read") from error
    for count, element in enumerate(root.iter(), 1):
        if count > MAX_ELEMENTS:
            raise Malformed(f"manifest: more than {MAX_ELEMENTS} elements")
        if len(element.attrib) > MAX_ATTRIBUTES:
            raise Malformed(f"manifest: more than {MAX_ATTRIBUTES} attributes in one element")
        if any(name.startswith(_XML) for name in element.attrib):
            raise Malformed(
                "manifest: an attribute of the xml: namespace, which a signature does not treat as any other"
            )
    return root


def read_signed_xml(document: bytes) -> SignedXml:
    """Raises Malformed unless ``document`` is signed in the one way that this module knows."""
    root = parse_xml(document)
    signature = _the_signature(root)
    info, value, key_info = _children(signature, "Signature", {}, "SignedInfo", "SignatureValue", "KeyInfo")
    digest = _signed_info(info)
    (data,) = _children(key_info, "KeyInfo", {}, "X509Data")
    certificates = _certificates(data)
    raw_signature = b64decode(_text(value, "SignatureValue"), what="manifest: signature", length=96)
    signed_info = _canonical(info)
    # The enveloped-signature transform: the signature is the last child and nothing follows it, so no text moves.
    root.remove(signature)
    return SignedXml(
        content=_canonical(root),
        signed_info=signed_info,
        digest=digest,
        signature=raw_signature,
        certificates=certificates,
    )


def _the_signature(root: Any) -> Any:
    """The one signature.  A second one, or one elsewhere, is how signed content is wrapped in other content."""
    found = [element for element in root.iter() if element.tag == f"{_DS}Signature"]
    if len(found) != 1 or found[0].getparent() is not root or found[0].getnext() is not None:
        raise Malformed("manifest: expected exactly one signature, as the last child of the root")
    if found[0].tail:
        raise Malformed("manifest: text follows the signature")
    return found[0]


def _signed_info(info: Any) -> bytes:
    """The digest that it states; everything else in it must be what this module does."""
    method, algorithm, reference = _children(
        info, "SignedInfo", {}, "CanonicalizationMethod", "SignatureMethod", "Reference"
    )
    _children(method, "CanonicalizationMethod", {"Algorithm": _C14N})
    _children(algorithm, "SignatureMethod", {"Algorithm": _ECDSA_SHA384})
    # An empty URI is the document that holds the signature; anything else could point at a part of it.
    transforms, digest_method, value = _children(
        reference, "Reference", {"URI": ""}, "Transforms", "DigestMethod", "DigestValue"
    )
    enveloped, canonical = _children(transforms, "Transforms", {}, "Transform", "Transform")
    _children(enveloped, "Transform", {"Algorithm": _ENVELOPED})
    _children(canonical, "Transform", {"Algorithm": _C14N})
    _children(digest_method, "DigestMethod", {"Algorithm": _SHA384})
    return b64decode(_text(value, "DigestValue"), what="manifest: digest", length=48)


def _certificates(data: Any) -> tuple[bytes, ...]:
    count = len(data)
    if not 2 <= count <= _MAX_CERTIFICATES:
        raise Malformed(f"manifest: expected 2 to {_MAX_CERTIFICATES} certificates of its signer, got {count}")
    ders = []
    for element in _children(data, "X509Data", {}, *["X509Certificate"] * count):
        text = _text(element, "X509Certificate").replace("\n", "")  # in lines, as PEM is
        ders.append(b64decode(text, what="manifest: certificate"))
    return tuple(ders)


def _children(element: Any, what: str, attributes: dict[str, str], *names: str) -> list[Any]:
    """The children of ``element``, which must be ``names`` and nothing else, under exactly ``attributes``."""
    children = list(element)
    if [child.tag for child in children] != [_DS + name for name in names] or dict(element.attrib) != attributes:
        raise Malformed(f"manifest: {what} is not what NVIDIA writes there")
    if any(part and part.strip() for part in (element.text, *(child.tail for child in children))):
        raise Malformed(f"manifest: text between the elements of {what}")
    return children


def _text(element: Any, what: str) -> str:
    if len(element) or element.attrib:
        raise Malformed(f"manifest: {what} is not plain text")
    return element.text or ""


def _canonical(element: Any) -> bytes:
    etree = _etree()
    try:
        canonical: bytes = etree.tostring(element, method="c14n", exclusive=False, with_comments=False, with_tail=False)
    except etree.LxmlError as error:  # a namespace that is a relative address, for one
        raise Malformed("manifest: it has no canonical form") from error
    return canonical


def _etree() -> Any:
    # Imported here, so that whoever verifies no GPU needs no XML.
    try:
        from lxml import etree
    except ImportError as error:
        raise Misconfigured(
            "reference integrity manifests are XML, and lxml is not installed", fix="pip install 'hermetic[nvidia]'"
        ) from error
    return etree
