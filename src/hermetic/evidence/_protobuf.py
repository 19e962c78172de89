"""Is it an attestation of go-tpm-tools (``attest.Attestation``)?  Told by its fields; nothing of it is interpreted."""

from __future__ import annotations

from hermetic.evidence.parts import Recognised

_AK_PUB, _QUOTES, _EVENT_LOG, _INSTANCE, _CANONICAL_LOG, _AK_CERT, _INTERMEDIATES, _SNP, _TDX = range(1, 10)
_BYTES_WIRE_TYPE = 2
_INSIDE = {_SNP: "with a SEV-SNP attestation inside", _TDX: "with a TDX attestation inside"}
_TPM_ALGORITHMS = (b"\x00\x01", b"\x00\x23")  # TPMT_PUBLIC begins with RSA or ECC


def recognise_protobuf(data: bytes) -> Recognised | None:
    """The kind, or None where the bytes are no such message."""
    fields = _fields(data)
    if fields is None or not {_AK_PUB, _QUOTES} <= fields.keys() or fields[_AK_PUB][:2] not in _TPM_ALGORITHMS:
        return None
    inside = next((words for number, words in _INSIDE.items() if number in fields), "")
    return Recognised.foreign(f"TPM evidence of go-tpm-tools {inside}".rstrip())


def _fields(data: bytes) -> dict[int, bytes] | None:
    """The first value of each field; None unless all of them are of that message and of the type it gives them."""
    fields: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        tag = data[at]
        number, kind = tag >> 3, tag & 7
        if kind != _BYTES_WIRE_TYPE or not _AK_PUB <= number <= _TDX:
            return None
        read = _varint(data, at + 1)
        if read is None:
            return None
        length, start = read
        if start + length > len(data):
            return None
        fields.setdefault(number, data[start : start + length])
        at = start + length
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int] | None:
    """The number, and where it ends."""
    value = 0
    for index in range(5):
        if at + index >= len(data):
            return None
        byte = data[at + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    return None
