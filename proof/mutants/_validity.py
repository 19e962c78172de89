"""From when until when everything in a specimen holds: read here once more, by other means than the verifiers'.

An accepted mutant that differs in time, or in an endorsement of another time, is judged by this.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509 import ocsp

from proof.specimens import AT, Parts

Window = tuple[datetime, datetime]

_BEGINNING, _END = datetime(1990, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_XML_CERTIFICATE = re.compile(rb"X509Certificate>([A-Za-z0-9+/=\s]+)</")


def window(parts: Parts) -> Window:
    """The time in which all parts hold."""
    spans = [span for name, data in parts.items() if name != AT for span in spans_of(data)]
    return max([_BEGINNING, *(first for first, _ in spans)]), min([_END, *(last for _, last in spans)])


def holds(parts: Parts) -> bool:
    """Whether it does at its own time.  A list or answer that ends at a moment no longer holds at it."""
    first, last = window(parts)
    return first <= datetime.fromisoformat(parts[AT].decode()) <= last


def spans_of(data: bytes) -> Iterator[Window]:
    """The spans of every certificate, list, answer and document in ``data``."""
    for der in _certificates(data):
        certificate = x509.load_der_x509_certificate(der)
        yield certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if data[:1] == b"{" and (document := json.loads(data)):
        for inner in document.values():
            if isinstance(inner, dict) and "issueDate" in inner:
                yield datetime.fromisoformat(inner["issueDate"]), datetime.fromisoformat(inner["nextUpdate"])
    if data[:1] == b"\x30":
        yield from _status(data)


def _certificates(data: bytes) -> Iterator[bytes]:
    for pem in _PEM.findall(data):
        yield base64.b64decode(pem.split(b"-----")[2])
    for text in _XML_CERTIFICATE.findall(data):
        yield base64.b64decode(text)
    if data[:1] == b"\x30":
        try:
            x509.load_der_x509_certificate(data)
        except ValueError:
            return
        yield data


def _status(der: bytes) -> Iterator[Window]:
    try:
        crl = x509.load_der_x509_crl(der)
        yield crl.last_update_utc, crl.next_update_utc or _END
    except ValueError:
        pass
    try:
        answer = ocsp.load_der_ocsp_response(der)
        yield answer.this_update_utc, answer.next_update_utc or _END
    except ValueError:
        pass
