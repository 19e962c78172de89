"""Certificate chains as Intel sends them: PEM in one spelling, so that no byte of it can change unnoticed."""

from __future__ import annotations

from hermetic.errors import Malformed
from hermetic.evidence.pem import certificates_from_pem, pem_from_certificates

_WIDTHS = (64, 76)  # RFC 7468's, which Intel uses, and MIME's, which some quotes from before 2021 use


def exact_chain(data: bytes, what: str) -> tuple[bytes, ...]:
    """The certificates (DER) of a chain, leaf first: at least one, as many as there are.

    Lines are of 64 or of 76 characters throughout a certificate and end in LF; after the last, one NUL may follow,
    which C programs keep.  Raises Malformed on anything else.
    """
    text = data.removesuffix(b"\0")
    try:
        certificates = certificates_from_pem(text)
    except Malformed as reason:
        raise Malformed(f"{what}: {reason.message}") from reason
    # Written again and compared: what base64, line breaks and text around blocks leave open is closed here.
    if not _is_written(certificates, text):
        raise Malformed(f"{what}: not in the one spelling of PEM that is accepted")
    return certificates


def _is_written(certificates: tuple[bytes, ...], text: bytes) -> bool:
    for der in certificates:
        spellings = (pem_from_certificates((der,), width=width) for width in _WIDTHS)
        spelling = next((each for each in spellings if text.startswith(each)), None)
        if spelling is None:
            return False
        text = text[len(spelling) :]
    return not text
