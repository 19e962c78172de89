"""Manifests: what NVIDIA signs is read, and nothing that was wrapped around it, put beside it or hidden in it."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hermetic.errors import Malformed, Misconfigured, NotAuthentic, Refused
from hermetic.verify import Outcome
from hermetic.verify._nvidia_xml import MAX_ATTRIBUTES, MAX_DOCUMENT, MAX_ELEMENTS, MAX_NAMESPACES
from hermetic.verify.nvidia import NVIDIA_ROOTS
from hermetic.verify.rim import RimClaims, verify_rim
from nvidia_forge import (
    C14N,
    DRIVER,
    DS,
    NOW,
    Rim,
    certify,
    chain,
    measured,
    roots,
    sign_rim,
    signature_of,
    signer_chain,
    signer_templates,
)
from nvidia_support import HOPPER_RIMS, IN_2024, flipped, read
from vectors import needs_vectors

pytestmark = [
    pytest.mark.filterwarnings("ignore:Parsed a serial number"),
    pytest.mark.filterwarnings("ignore:Attribute's length"),
]

GOOD = DRIVER.content()
SIGNED = sign_rim(DRIVER).decode()
XMLNS = SIGNED.count("xmlns")
SIGNATURE = signature_of(GOOD, signer_chain())
EVIL = replace(DRIVER, golden={7: (b"e" * 48,)}).content()
END = "</SoftwareIdentity>"


def verified(document: bytes | str, **changes: Any) -> RimClaims:
    asked: dict[str, Any] = {
        "roots": roots().manifest,
        "now": NOW,
        "product": "GH100",
        "version": "550.144.03",
        "revocation_required": False,
    }
    return verify_rim(document.encode() if isinstance(document, str) else document, **(asked | changes))


def refusal(document: bytes | str, **changes: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        verified(document, **changes)
    assert caught.value.checks[-1].outcome is Outcome.FAIL
    assert caught.value.checks[-1].name == caught.value.code
    return caught.value


def test_a_healthy_manifest() -> None:
    claims = verified(SIGNED)
    assert (claims.manifest.product, claims.manifest.version) == ("GH100", "550.144.03")
    assert [(entry.index, entry.values) for entry in claims.manifest.golden] == [
        (index, (measured(index),)) for index in (7, 21, 35)
    ]
    assert claims.root.simulated
    assert [check.name for check in claims.checks] == [
        "rim.format",
        "rim.chain.root",
        "rim.chain",
        "rim.validity",
        "rim.revocation.signer",
        "rim.revocation.authority-1",
        "rim.revocation.authority-2",
        "rim.signature",
        "rim.product",
        "rim.version",
    ]


def test_what_the_signature_does_not_see_may_differ() -> None:
    """Canonicalisation is there for this: quotes, order and spelling of the same content."""
    for other in (
        SIGNED.replace('active="True" alternatives="1"', 'alternatives="1"   active="True"'),
        SIGNED.replace('edition="GPU"', "edition='&#71;PU'"),
        SIGNED + "\n",
    ):
        assert other != SIGNED
        assert verified(other).manifest == verified(SIGNED).manifest


# What was signed


def test_reference_values_that_changed() -> None:
    changed = SIGNED.replace(measured(7).hex(), bytes(48).hex())
    refused = refusal(changed)
    assert refused.code == "rim.signature"
    assert "other reference values" in refused.message


@pytest.mark.parametrize(("old", "new"), [('active="False"', 'active="True"'), ('index="7"', 'index="8"')])
def test_attributes_that_changed(old: str, new: str) -> None:
    assert refusal(SIGNED.replace(old, new)).code == "rim.signature"


def test_a_digest_that_was_made_to_fit() -> None:
    """The digest fits the changed content, but nobody signed that digest."""
    fitting = signature_of(EVIL, signer_chain())
    value = re.search(r"<ds:SignatureValue>.*?</ds:SignatureValue>", SIGNATURE)
    assert value is not None
    forged = re.sub(r"<ds:SignatureValue>.*?</ds:SignatureValue>", value.group(), fitting)
    refused = refusal(EVIL.replace(END, forged + END))
    assert refused.code == "rim.signature"
    assert "another signature" in refused.message


def test_a_signature_by_another_key() -> None:
    stranger = replace(signer_chain()[0], key=ec.generate_private_key(ec.SECP384R1()))
    assert refusal(sign_rim(DRIVER, (stranger, *signer_chain()[1:]))).code == "rim.signature"


# Wrapping: the signed content is still there, and something else is read


@pytest.mark.parametrize(
    "wrapped",
    [
        # The signed document inside another, its signature with it.
        EVIL.replace(END, SIGNED + END),
        # The signed document inside another, its signature taken out.
        EVIL.replace(END, GOOD + SIGNATURE + END),
        # … and kept inside the signature, as an object.
        EVIL.replace(END, SIGNATURE.replace("</ds:Signature>", f"<ds:Object>{GOOD}</ds:Object></ds:Signature>") + END),
        # Two signatures, one of them good.
        EVIL.replace(END, SIGNATURE + SIGNATURE + END),
        GOOD.replace(END, SIGNATURE + SIGNATURE + END),
        # The signature is not the last child.
        GOOD.replace("<Payload>", SIGNATURE + "<Payload>"),
        SIGNED.replace(END, "<Payload/>" + END),
        # A signature somewhere deeper, beside the good one.
        SIGNED.replace('<Entity name="SIMULATED"/>', f'<Entity name="SIMULATED">{SIGNATURE}</Entity>'),
        # No signature.
        GOOD,
        # The root is the signature.
        SIGNATURE,
    ],
    ids=range(10),
)
def test_signature_wrapping(wrapped: str) -> None:
    refused = refusal(wrapped)
    assert isinstance(refused, Malformed)
    assert refused.code == "rim.format"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('URI=""', 'URI="#x"'),
        ('URI=""', 'Id="r" URI=""'),
        ('<ds:Reference URI="">', "<ds:Reference>"),
        (f'Algorithm="{DS}enveloped-signature"', 'Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"'),
        (f'<ds:Transform Algorithm="{C14N}"/>', ""),
        (f'<ds:Transform Algorithm="{C14N}"/>', '<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>'),
        (
            f'<ds:Transform Algorithm="{C14N}"/>',
            f'<ds:Transform Algorithm="{C14N}"/><ds:Transform Algorithm="{C14N}"/>',
        ),
        (f'CanonicalizationMethod Algorithm="{C14N}"', f'CanonicalizationMethod Algorithm="{C14N}#WithComments"'),
        ("xmldsig-more#ecdsa-sha384", "xmldsig-more#ecdsa-sha1"),
        ("xmldsig-more#ecdsa-sha384", "xmldsig-more#hmac-sha384"),
        (
            'Algorithm="http://www.w3.org/2001/04/xmldsig-more#sha384"',
            'Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"',
        ),
        ("<ds:KeyInfo>", "<ds:KeyInfo><ds:KeyName>mine</ds:KeyName>"),
        ("</ds:KeyInfo>", "</ds:KeyInfo><ds:Object/>"),
        ("<ds:X509Data>", '<ds:X509Data Id="x">'),
        ("<ds:X509Data>", "<ds:X509Data>text"),
        ("<ds:SignedInfo>", '<ds:SignedInfo Id="s">'),
        ("<ds:SignatureValue>", '<ds:SignatureValue Id="v">'),
        ("<ds:SignatureValue>", "<ds:SignatureValue> "),
        ("<ds:DigestValue>", "<ds:DigestValue>AAAA"),
        ("</ds:Signature>", "</ds:Signature>text"),
        (f'<ds:Signature xmlns:ds="{DS}">', f'<ds:Signature xmlns:ds="{DS}" Id="x">'),
    ],
    ids=range(21),
)
def test_a_signature_of_another_kind(old: str, new: str) -> None:
    assert old in SIGNED
    refused = refusal(SIGNED.replace(old, new, 1))
    assert isinstance(refused, Malformed)
    assert refused.code == "rim.format"


def test_a_reference_to_the_genuine_part_of_a_forged_document() -> None:
    """The classic: the signed content stays, marked by an Id that the reference points at, and another is read."""
    inner = GOOD.replace("<SoftwareIdentity", '<SoftwareIdentity Id="signed"', 1)
    pointing = signature_of(inner, signer_chain()).replace('URI=""', 'URI="#signed"')
    assert refusal(EVIL.replace(END, inner + pointing + END)).code == "rim.format"


# XML


@pytest.mark.parametrize(
    "document",
    [
        '<?xml version="1.0"?>' + SIGNED,
        '<?xml version="1.0" encoding="UTF-7"?>' + SIGNED,
        "<!DOCTYPE SoftwareIdentity>" + SIGNED,
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + SIGNED.replace('name="SIMULATED"', 'name="&e;"', 1),
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">' + SIGNED,
        SIGNED.replace('name="SIMULATED"', 'name="&e;"', 1),
        SIGNED.replace("<Payload>", "<!-- --><Payload>"),
        SIGNED.replace("<ds:DigestValue>", "<ds:DigestValue><!-- -->"),
        SIGNED.replace("<Payload>", "<?go?><Payload>"),
        SIGNED.replace("<Payload>", "<Payload><![CDATA[]]>"),
        SIGNED.replace('name="SIMULATED"', 'name="SIMU\xadLATED"', 1),
        SIGNED.replace("<Payload>", '<Payload xml:space="preserve">'),
        SIGNED.replace("<SoftwareIdentity ", '<SoftwareIdentity xml:id="x" ', 1),
        SIGNED + SIGNED,
        SIGNED[:-1],
        "",
        "text",
    ],
    ids=range(17),
)
def test_xml_that_is_more_than_elements(document: str) -> None:
    refused = refusal(document)
    assert isinstance(refused, Malformed)
    assert refused.code == "rim.format"


@pytest.mark.parametrize("put", ["<x/>", "<ds:SignatureValue/>"])
def test_a_value_that_holds_more_than_its_text(put: str) -> None:
    """What stands in the signature's own value, nothing signs."""
    verified(SIGNED)
    refused = refusal(SIGNED.replace("</ds:SignatureValue>", f"{put}</ds:SignatureValue>"))
    assert "plain text" in refused.message


@pytest.mark.parametrize("certificates", [1, 9])
def test_as_many_certificates_as_no_signer_has(certificates: int) -> None:
    (first, *_) = re.findall("<ds:X509Certificate>.*?</ds:X509Certificate>", SIGNED, re.DOTALL)
    data = re.sub(
        "<ds:X509Data>.*</ds:X509Data>", f"<ds:X509Data>{first * certificates}</ds:X509Data>", SIGNED, flags=re.DOTALL
    )
    assert f"2 to 8 certificates of its signer, got {certificates}" in refusal(data).message


def test_other_encodings() -> None:
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):
        assert refusal(SIGNED.encode(encoding)).code == "rim.format"
    assert refusal(SIGNED.encode() + b"\0").code == "rim.format"


def test_entities_that_multiply_cost_nothing() -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE x [<!ENTITY e0 "x">{entities}]>' + SIGNED.replace('name="SIMULATED"', 'name="&e9;"', 1)
    start = time.process_time()
    assert refusal(bomb).code == "rim.format"
    assert time.process_time() - start < 5, "it was expanded"


def test_an_endless_document_and_a_deep_one() -> None:
    assert "at most" in refusal(SIGNED + " " * 262144).message
    deep = "<a>" * 20000 + "</a>" * 20000
    assert isinstance(refusal(SIGNED.replace("<Payload>", "<Payload>" + deep)), Malformed)


def test_namespaces_and_attributes_that_cost_much() -> None:
    """Canonical form sorts attributes, and looks for every namespace at every element."""

    def filled(declared: int, attributes: int) -> str:
        names = "".join(f' xmlns:n{number}="urn:{number}"' for number in range(declared - XMLNS))
        more = "".join(f' a{number}=""' for number in range(attributes))
        return SIGNED.replace("<Payload>", f"<Payload><a{names}{more}/>", 1)

    assert "not a measurement" in refusal(filled(MAX_NAMESPACES, MAX_ATTRIBUTES)).message
    assert "namespaces" in refusal(filled(MAX_NAMESPACES + 1, 0)).message
    assert "attributes" in refusal(filled(XMLNS, MAX_ATTRIBUTES + 1)).message


NAMES = "".join(f' xmlns:n{number:x}="urn:{number}"' for number in range(MAX_NAMESPACES - XMLNS))
ATTRIBUTES = "".join(f' a{number:x}=""' for number in range(MAX_ATTRIBUTES))
ELEMENTS = SIGNED.count("<") - SIGNED.count("</")
LARGEST = {
    "elements": (f"<a{NAMES}>", "<a/>", "</a>"),
    "elements of a namespace": (f"<a{NAMES}>", "<n0:a/>", "</a>"),
    "elements far down": (f"<a{NAMES}>" + "<a>" * 200, "<a/>", "</a>" * 201),
    "attributes": (f"<a{NAMES}>", f"<a{ATTRIBUTES}/>", "</a>"),
    "attributes of a namespace": (f"<a{NAMES}>", f"<a{ATTRIBUTES.replace(' a', ' n0:a')}/>", "</a>"),
    "text": ("<a>", "text ", "</a>"),
    "characters by number": ("<a>", "&#65;", "</a>"),
}


@pytest.mark.parametrize("shape", LARGEST)
def test_the_largest_document_of_every_shape_costs_little(shape: str) -> None:
    """All of it is made canonical before a signature is looked at, so whoever sends it decides what it is."""
    before, filling, after = LARGEST[shape]
    room = (MAX_DOCUMENT - len(SIGNED) - len(before) - len(after)) // len(filling)
    if "<" in filling:
        room = min(room, MAX_ELEMENTS - ELEMENTS - before.count("<a"))
    document = SIGNED.replace("<Payload>", "<Payload>" + before + filling * room + after, 1)
    start = time.process_time()
    assert "not a measurement" in refusal(document).message
    assert time.process_time() - start < 5, "it costs more than it is long"


def test_more_elements_than_any_manifest_has() -> None:
    def filled(elements: int) -> str:
        return SIGNED.replace("<Payload>", "<Payload>" + "<a/>" * (elements - ELEMENTS), 1)

    assert "not a measurement" in refusal(filled(MAX_ELEMENTS)).message
    assert "elements" in refusal(filled(MAX_ELEMENTS + 1)).message


# The content


def resigned(change: Callable[[str], str]) -> bytes:
    """NVIDIA signs something else than it ever did."""
    content = change(GOOD)
    assert content != GOOD
    return sign_rim(content)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('<Entity name="SIMULATED"/>', ""),
        ('<Entity name="SIMULATED"/>', '<Entity name="SIMULATED"/><Entity name="SIMULATED"/>'),
        ("SoftwareIdentity", "SoftwareIdentities"),
        ('ns1:PlatformManufacturerId="5703"', 'ns1:PlatformManufacturerId="1"'),
        ('ns1:BindingSpec="RIMIM"', ""),
        ('product="GH100" ', ""),
        ('colloquialVersion="550.144.03"', 'colloquialVersion=""'),
        ('edition="GPU" ', ""),
        ('tagId="0f"', ""),
        ('active="True"', 'active="true"'),
        ('active="True"', 'active="1"'),
        ('active="True" ', ""),
        ('index="21"', 'index="7"'),
        ('index="60"', 'index="7"'),
        ('index="7"', 'index="07"'),
        ('index="7"', 'index="-7"'),
        ('index="7"', 'index="254"'),
        ('index="7"', 'index="1234"'),
        ('size="48"', 'size="32"'),
        ('alternatives="1"', 'alternatives="2"'),
        ('alternatives="1"', 'alternatives="0"'),
        ("ns2:Hash0", "ns2:Hash1"),
        ("ns2:Hash0", "Hash0"),
        (measured(7).hex(), measured(7).hex()[:-2]),
        (measured(7).hex(), measured(7).hex().upper()),
        ('type="Measurement"', 'type="Opaque"'),
        ('type="Measurement"', 'type="Measurement" unless="tuesday"'),
        ("<Resource ", "<File "),
        ('name="Measurement_7"', f'name="{"x" * 129}"'),
        ('name="Measurement_7"', 'name="Measurement&#10;7"'),
    ],
    ids=range(30),
)
def test_content_of_another_shape(old: str, new: str) -> None:
    end = END.replace("SoftwareIdentity", "SoftwareIdentities")
    if new == "SoftwareIdentities":
        document = sign_rim(DRIVER).decode().replace("<SoftwareIdentity ", "<SoftwareIdentities ").replace(END, end)
    else:
        document = resigned(lambda text: text.replace(old, new, 1)).decode()
    refused = refusal(document)
    assert isinstance(refused, Malformed)
    assert refused.code == "rim.format"


@pytest.mark.parametrize(
    ("found", "put"),
    [
        pytest.param(
            r'alternatives="1"(.*?) ns2:Hash0="\w+"', r'alternatives="0"\1', id="no value, and none announced"
        ),
        pytest.param('index="7"', f'index="{"7" * 5000}"', id="more digits than Python reads"),
    ],
)
def test_a_measurement_that_cannot_be(found: str, put: str) -> None:
    refused = refusal(resigned(lambda text: re.sub(found, put, text, count=1)))
    assert isinstance(refused, Malformed)
    assert "is not a number" in refused.message or "exactly its alternatives" in refused.message


def test_a_manifest_with_another_element_in_its_payload() -> None:
    document = resigned(lambda text: text.replace("</Payload>", "<Directory/></Payload>"))
    assert refusal(document).code == "rim.format"
    nested = resigned(lambda text: text.replace('size="48"/>', 'size="48"><x/></Resource>', 1))
    assert refusal(nested).code == "rim.format"


def test_another_product_or_version() -> None:
    assert refusal(SIGNED, product="GB100").code == "rim.product"
    assert refusal(SIGNED, version="550.144.3").code == "rim.version"
    # Equal means equal: no prefix, no case.
    assert refusal(sign_rim(replace(DRIVER, version="96.00.5e.00.01")), version="96.00.5E.00.01").code == "rim.version"


# The signer


def signed_by(at: int, **changes: Any) -> tuple[bytes, dict[str, Any]]:
    templates = list(signer_templates())
    templates[at] = replace(templates[at], **changes)
    entries = chain(templates)
    return sign_rim(DRIVER, entries), {"roots": roots(manifest=entries[-1]).manifest}


@pytest.mark.parametrize(
    ("at", "change"),
    [
        (0, {"ca": True}),
        (0, {"usage": ("key_cert_sign",)}),
        (0, {"hash_name": "sha256"}),
        (1, {"ca": False, "path_length": None}),
        (1, {"ca": None}),
        (1, {"usage": ("digital_signature",)}),
        (1, {"curve": "secp256r1"}),
        (2, {"path_length": 0}),
        (3, {"path_length": 1}),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "-".join(value),
)
def test_a_signer_that_was_not_entitled(at: int, change: dict[str, Any]) -> None:
    document, asked = signed_by(at, **change)
    assert refusal(document, **asked).code == "rim.chain"


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize(
    "change", [{"last": NOW - timedelta(seconds=1)}, {"first": NOW + timedelta(seconds=1)}], ids=str
)
def test_a_signer_of_another_time(at: int, change: dict[str, Any]) -> None:
    document, asked = signed_by(at, **change)
    assert refusal(document, **asked).code == "rim.validity"


def test_a_signer_that_is_the_root() -> None:
    """One certificate is no chain, and a pinned root signs no manifest itself."""
    assert refusal(sign_rim(DRIVER, signer_chain()[3:])).code == "rim.format"


def test_a_root_that_is_not_pinned() -> None:
    document, _ = signed_by(3, name="Another CoRIM Root")
    assert refusal(document).code == "rim.chain.root"


def test_a_shorter_chain_is_a_chain() -> None:
    root = signer_chain()[3]
    leaf = certify(signer_templates()[0], root)
    assert verified(sign_rim(DRIVER, (leaf, root))).manifest.golden


def test_revocation_is_asked_for_unless_the_caller_says_otherwise() -> None:
    assert refusal(SIGNED, revocation_required=True).code == "rim.revocation.signer"


def test_a_namespace_that_cannot_be_made_canonical() -> None:
    assert refusal(SIGNED.replace("<Payload>", '<Payload xmlns:a="relative">')).code == "rim.format"


# One bit, anywhere


@needs_vectors
def test_a_bit_of_the_bytes_of_a_real_manifest() -> None:
    document = read(HOPPER_RIMS["NV_GPU_DRIVER_GH100_545.00"])
    asked: dict[str, Any] = {"version": "545.00", "now": IN_2024, "roots": NVIDIA_ROOTS.manifest}
    verified(document, **asked)
    for offset in range(0, len(document), 9):
        with pytest.raises((Malformed, NotAuthentic)):
            verified(flipped(document, 8 * offset + offset % 8), **asked)


# Without lxml


def test_without_lxml_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lxml", None)  # as the interpreter notes what is not there
    with pytest.raises(Misconfigured) as caught:
        verified(SIGNED)
    assert caught.value.fix == "pip install 'hermetic[nvidia]'"


def test_an_inactive_entry_is_no_reference_value() -> None:
    assert [entry.index for entry in verified(sign_rim(Rim(golden={1: (measured(1),)}))).manifest.golden] == [1]
