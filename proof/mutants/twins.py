"""The second signature of ECDSA: where (r, s) verifies, so does (r, n − s)."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from hermetic.evidence import SEV_SNP, SgxQuote, TdxQuote
from proof.mutants._change import Changes
from proof.specimens import Specimen

P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P384 = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
_SNP_S = slice(0x2E8, 0x330)
_HEX = re.compile(rb'(?<="signature":")[0-9a-f]{128}(?=")')
_XML = re.compile(rb"(?<=SignatureValue>)[^<]+(?=<)")


def changes(each: Specimen, part: str) -> Changes:
    """Of every signature in ``part`` that is one of ECDSA."""
    for what, data in _variants(each, part, each.parts[part]).items():
        if data is not None:
            yield what, partial(each.with_part, part, data)


def _variants(each: Specimen, part: str, data: bytes) -> dict[str, bytes | None]:
    if part == "quote":
        return _quote(each, data)
    if part == "report":
        return {"of the report": _snp(data) if each.tee == SEV_SNP else data[:-96] + _raw(data[-96:], P384)}
    other = _BY_FORMAT.get(data[:1])
    return {} if other is None else {"of its issuer": other(data)}


def _json(data: bytes) -> bytes:
    return _HEX.sub(lambda found: _raw(bytes.fromhex(found[0].decode()), P256).hex().encode(), data)


def _xml(data: bytes) -> bytes:
    return _XML.sub(lambda found: base64.b64encode(_raw(base64.b64decode(found[0]), P384)), data)


def _raw(signature: bytes, order: int) -> bytes:
    half = len(signature) // 2
    return signature[:half] + (order - int.from_bytes(signature[half:], "big")).to_bytes(half, "big")


def _snp(data: bytes) -> bytes:
    twin = P384 - int.from_bytes(data[_SNP_S], "little")
    return data[: _SNP_S.start] + twin.to_bytes(72, "little") + data[_SNP_S.stop :]


def _quote(each: Specimen, data: bytes) -> dict[str, bytes | None]:
    kind: type[TdxQuote] | type[SgxQuote] = TdxQuote if each.tee == "tdx" else SgxQuote
    quote = kind.from_bytes(data)
    given = quote.signature
    others = {
        "of the attestation key": replace(given, signature=_raw(given.signature, P256)),
        "of the PCK": replace(given, qe_report_signature=_raw(given.qe_report_signature, P256)),
    }
    return {what: replace(quote, signature=other).to_bytes() for what, other in others.items()}


def _der(data: bytes) -> bytes | None:
    """What an issuer signed, in DER: the signature is the last bit string of the outermost sequence."""
    for order, size in ((P384, 48), (P256, 32)):
        for length in range(2 * size + 2, 2 * size + 9):
            old = data[-length:]
            try:
                r, s = decode_dss_signature(old)
            except ValueError:
                continue
            new = encode_dss_signature(r, order - s)
            return data[:-length] + new if len(new) == length else None
    return None


_BY_FORMAT: dict[bytes, Callable[[bytes], bytes | None]] = {b"\x30": _der, b"{": _json, b"<": _xml}
"""First byte → the same document with its issuer's other signature."""
