"""What every source of DCAP quotes does with one: cut its padding off, and see that it answers what was asked.

Nothing is verified here.  A source that hands out somebody else's quote would only be found out by the verifier, far
away; here it can be asked again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType

from hermetic.errors import Malformed, Unavailable
from hermetic.evidence import SGX, TDX, EvidenceBundle, SgxQuote, TdxQuote

__all__ = ["exact_quote", "quote_bundle"]

_PARSERS: Mapping[str, Callable[[bytes], TdxQuote | SgxQuote]] = MappingProxyType(
    {TDX: TdxQuote.from_bytes, SGX: SgxQuote.from_bytes}
)
_HEADER, _TD_REPORT, _ENCLAVE_REPORT = 48, 584, 384
_LENGTH = struct.Struct("<I")
_BODY = struct.Struct("<HI")


def exact_quote(data: bytes) -> bytes:
    """``data`` without the zeros behind its quote, which some hosts pad to a fixed size.

    What is no quote, or is followed by anything but zeros, is returned as it is: the parser refuses it.
    """
    try:
        position = _signature(data)
        end = position + _LENGTH.size + _LENGTH.unpack_from(data, position)[0]
    except struct.error:
        return data
    return data[:end] if not any(data[end:]) else data


def _signature(data: bytes) -> int:
    """Where the signature's length stands, by version (DCAP, Quote Format, A.3 to A.5)."""
    (version,) = struct.unpack_from("<H", data)
    if version == 3:
        return _HEADER + _ENCLAVE_REPORT
    if version == 4:
        return _HEADER + _TD_REPORT
    _, length = _BODY.unpack_from(data, _HEADER)
    return _HEADER + _BODY.size + int(length)


def quote_bundle(
    tee: str, quote: bytes, *, report_data: bytes, event_logs: Mapping[str, bytes] | None = None
) -> EvidenceBundle:
    """``quote`` as a bundle without endorsements: Intel's collateral is fetched elsewhere, or stapled later.

    Raises Malformed where it is no quote of that TEE, Unavailable where it is over other report data.
    """
    parse = _PARSERS.get(tee)
    if parse is None:
        raise Malformed(f"{tee} evidence is no quote")
    bundle = EvidenceBundle(tee=tee, evidence=exact_quote(quote), endorsements={}, event_logs=event_logs or {})
    if parse(bundle.evidence).body.report_data != report_data:
        raise Unavailable("the quote is over other report data than was asked for", code="device_disturbed")
    return bundle
