"""Evidence in CBOR: conceptual message wrappers (draft-ietf-rats-msg-wrap), and tokens known by their shape."""

from __future__ import annotations

from collections.abc import Callable

from hermetic.errors import Malformed
from hermetic.evidence._cbor import Pairs, Tagged, decode
from hermetic.evidence.parts import Recognised

_COSE_SIGN1 = 18
_CMW_TAGS = range(1668546817, 1668612095 + 1)  # RFC 9277, 4.3: a content format as a tag
_CCA_TAG, _CCA_PLATFORM, _CCA_REALM = 399, 44234, 44241
_EAT_PROFILE = 265
_PSA_NONCE = (10, -75008)
_COLLECTION_TYPE = "__cmwc_t"

Inner = Callable[[bytes], Recognised]
"""How to recognise what a wrapper holds."""


def recognise_cbor(data: bytes, inner: Inner) -> Recognised | None:
    """What one CBOR item is; None where it is nothing known.  Raises Malformed where it is not CBOR."""
    value = decode(data)
    if isinstance(value, Tagged) and value.tag in _CMW_TAGS:
        return _wrapped("CMW tag", value.value, inner)
    if isinstance(value, tuple) and 2 <= len(value) <= 3 and isinstance(value[0], int | str):
        if value[0] == "#cmw-j2c-tunnel":
            return _wrapped("CMW tunnel", value[1], inner)
        return _wrapped("CMW record", value[1], inner)
    if isinstance(value, Pairs) and value.entries and all(_is_member(*entry) for entry in value.entries):
        return _collection(value, inner)
    return _token(value)


def _wrapped(form: str, value: object, inner: Inner) -> Recognised:
    if not isinstance(value, bytes):
        raise Malformed(f"{form}: expected a byte string")
    found = inner(value)
    return Recognised(form=f"{form} (CBOR) around {found.form}", parts=found.parts)


def _is_member(label: object, value: object) -> bool:
    if label == _COLLECTION_TYPE:
        return True
    if isinstance(value, Tagged):
        return value.tag in _CMW_TAGS
    return isinstance(value, tuple) and 2 <= len(value) <= 3 and isinstance(value[1], bytes)


def _collection(value: Pairs, inner: Inner) -> Recognised:
    found = []
    for label, member in value.entries:
        if label == _COLLECTION_TYPE:
            continue
        found.append(inner(_content(member)))
    if not found:
        raise Malformed("CMW collection (CBOR): there is nothing in it")
    form = f"CMW collection (CBOR) of {', '.join(member.form for member in found)}"
    return Recognised(form=form, parts=tuple(part for member in found for part in member.parts))


def _content(member: object) -> bytes:
    content = member.value if isinstance(member, Tagged) else member[1] if isinstance(member, tuple) else None
    if not isinstance(content, bytes):
        raise Malformed("CMW collection (CBOR): expected byte strings")
    return content


def _token(value: object) -> Recognised | None:
    if isinstance(value, Tagged) and value.tag == _CCA_TAG:
        value = value.value
    kind = _map_kind(value) if isinstance(value, Pairs) else _cose_kind(value)
    return None if kind is None else Recognised.foreign(kind)


def _map_kind(value: Pairs) -> str | None:
    if value.get(_CCA_PLATFORM) is not None and value.get(_CCA_REALM) is not None:
        return "an Arm CCA token"
    if isinstance(value.get("kat"), Pairs) and isinstance(value.get("pat"), Pairs):
        return "Parsec TPM evidence"
    return None


def _cose_kind(value: object) -> str | None:
    claims = _cose_claims(value)
    if claims is None:
        return None
    if isinstance(claims.get("module_id"), str) and isinstance(claims.get("pcrs"), Pairs):
        return "an AWS Nitro attestation document"
    profile = claims.get(_EAT_PROFILE)
    if (isinstance(profile, str) and "psa" in profile) or any(claims.get(name) is not None for name in _PSA_NONCE):
        return "a PSA attestation token"
    return "a signed CBOR token (COSE)"


def _cose_claims(value: object) -> Pairs | None:
    """The claims of a COSE_Sign1, with or without its tag."""
    if isinstance(value, Tagged) and value.tag == _COSE_SIGN1:
        value = value.value
    if not isinstance(value, tuple) or len(value) != 4:
        return None
    protected, _, payload, signature = value
    if not (isinstance(protected, bytes) and isinstance(payload, bytes) and isinstance(signature, bytes)):
        return None
    try:
        claims = decode(payload)
    except Malformed:
        return None
    return claims if isinstance(claims, Pairs) else None
