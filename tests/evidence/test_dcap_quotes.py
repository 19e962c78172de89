"""TDX and SGX quotes: what parses comes back byte for byte, and what is malformed does not parse (DCAP 1)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed
from hermetic.evidence import (
    SGX,
    TDX,
    EnclaveAttributes,
    EnclaveFlag,
    EnclaveReport,
    EvidenceBundle,
    QuoteHeader,
    QuoteSignature,
    SgxQuote,
    TdAttributes,
    TdFlag,
    TdReport,
    TdxQuote,
    parse_evidence,
)
from intel_support import RECORDED
from vectors import needs_vectors

u16, u32, u64 = (st.integers(min_value=0, max_value=2**bits - 1) for bits in (16, 32, 64))
TDX_TEE, SGX_TEE = 0x81, 0


def of(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


enclave_reports = st.builds(
    EnclaveReport,
    cpu_svn=of(16),
    misc_select=u32,
    isv_ext_prod_id=of(16),
    attributes=u64.map(EnclaveAttributes.from_int),
    xfrm=u64,
    mr_enclave=of(32),
    mr_signer=of(32),
    config_id=of(64),
    isv_prod_id=u16,
    isv_svn=u16,
    config_svn=u16,
    isv_family_id=of(16),
    report_data=of(64),
)
signatures = st.builds(
    QuoteSignature,
    signature=of(64),
    attestation_key=of(64),
    qe_report=enclave_reports,
    qe_report_signature=of(64),
    auth_data=st.binary(max_size=64),
    pck_chain=st.binary(max_size=200),
)


@st.composite
def td_reports(draw: st.DrawFn, *, later: bool) -> TdReport:
    registers = [draw(of(48)) for _ in range(10)]
    return TdReport(
        tee_tcb_svn=draw(of(16)),
        mr_seam=registers[0],
        mr_signer_seam=registers[1],
        seam_attributes=draw(of(8)),
        td_attributes=draw(u64.map(TdAttributes.from_int)),
        xfam=draw(u64),
        mr_td=registers[2],
        mr_config_id=registers[3],
        mr_owner=registers[4],
        mr_owner_config=registers[5],
        rtmrs=(registers[6], registers[7], registers[8], registers[9]),
        report_data=draw(of(64)),
        tee_tcb_svn2=draw(of(16)) if later else None,
        mr_service_td=draw(of(48)) if later else None,
    )


@st.composite
def tdx_quotes(draw: st.DrawFn) -> TdxQuote:
    """Any TDX quote that the format can express."""
    version = draw(st.sampled_from([4, 5]))
    return TdxQuote(
        header=QuoteHeader(version=version, tee_type=TDX_TEE, user_data=draw(of(20))),
        body=draw(td_reports(later=version == 5 and draw(st.booleans()))),
        signature=draw(signatures),
    )


sgx_headers = st.builds(
    QuoteHeader, version=st.just(3), tee_type=st.just(SGX_TEE), qe_svn=u16, pce_svn=u16, user_data=of(20)
) | st.builds(QuoteHeader, version=st.sampled_from([4, 5]), tee_type=st.just(SGX_TEE), user_data=of(20))
sgx_quotes = st.builds(SgxQuote, header=sgx_headers, body=enclave_reports, signature=signatures)


@given(tdx_quotes() | sgx_quotes)
def test_a_quote_comes_back_as_it_was_written(quote: TdxQuote | SgxQuote) -> None:
    data = quote.to_bytes()
    assert data.startswith(quote.signed_bytes())
    assert type(quote).from_bytes(data) == quote
    tee = TDX if isinstance(quote, TdxQuote) else SGX
    assert parse_evidence(EvidenceBundle(tee=tee, evidence=data, endorsements={})) == quote


@given(u64)
def test_no_attribute_is_lost(value: int) -> None:
    assert TdAttributes.from_int(value).to_int() == value
    assert EnclaveAttributes.from_int(value).to_int() == value


@given(tdx_quotes() | sgx_quotes, st.data())
def test_a_quote_is_exactly_one_quote(quote: TdxQuote | SgxQuote, data: st.DataObject) -> None:
    """Cut anywhere, or with anything after it, it is none."""
    whole = quote.to_bytes()
    cut = data.draw(st.integers(min_value=0, max_value=len(whole) - 1))
    for other in (whole[:cut], whole + data.draw(st.binary(min_size=1, max_size=16))):
        with pytest.raises(Malformed):
            type(quote).from_bytes(other)


@given(tdx_quotes() | sgx_quotes, st.data())
def test_every_length_inside_is_exact(quote: TdxQuote | SgxQuote, data: st.DataObject) -> None:
    """A length that says more or less than there is leaves bytes over, or too few."""
    whole = bytearray(quote.to_bytes())
    signature = len(quote.signed_bytes())
    inner = 4 + 128 + (6 if quote.header.version > 3 else 0) + 384 + 64
    places = [signature, signature + inner, signature + inner + 2 + len(quote.signature.auth_data) + 2]
    if quote.header.version > 3:
        places.append(signature + 4 + 128 + 2)
    place = data.draw(st.sampled_from(places))
    whole[place] ^= data.draw(st.integers(min_value=1, max_value=255))
    with pytest.raises(Malformed):
        type(quote).from_bytes(bytes(whole))


@given(tdx_quotes() | sgx_quotes, st.data())
def test_whatever_parses_says_all_that_was_there(quote: TdxQuote | SgxQuote, data: st.DataObject) -> None:
    """So the verifier may judge what it writes again: there is no byte that parsing loses."""
    whole = bytearray(quote.to_bytes())
    for _ in range(data.draw(st.integers(min_value=1, max_value=3))):
        whole[data.draw(st.integers(min_value=0, max_value=len(whole) - 1))] = data.draw(
            st.integers(min_value=0, max_value=255)
        )
    try:
        parsed = type(quote).from_bytes(bytes(whole))
    except Malformed:
        return
    assert parsed.to_bytes() == bytes(whole)


@given(st.binary(max_size=1200), st.sampled_from([TdxQuote, SgxQuote]))
def test_arbitrary_bytes_are_refused_and_nothing_else(data: bytes, kind: type[TdxQuote] | type[SgxQuote]) -> None:
    with pytest.raises(Malformed):
        kind.from_bytes(data)


REPORT = EnclaveReport(
    cpu_svn=bytes(16),
    misc_select=0,
    isv_ext_prod_id=bytes(16),
    attributes=EnclaveAttributes(flags=EnclaveFlag.INIT | EnclaveFlag.MODE64),
    xfrm=3,
    mr_enclave=bytes(32),
    mr_signer=bytes(32),
    config_id=bytes(64),
    isv_prod_id=1,
    isv_svn=8,
    config_svn=0,
    isv_family_id=bytes(16),
    report_data=bytes(64),
)
SIGNATURE = QuoteSignature(
    signature=bytes(64),
    attestation_key=bytes(64),
    qe_report=REPORT,
    qe_report_signature=bytes(64),
    auth_data=bytes(32),
    pck_chain=b"a chain",
)
TD_REPORT = TdReport(
    tee_tcb_svn=bytes(16),
    mr_seam=bytes(48),
    mr_signer_seam=bytes(48),
    seam_attributes=bytes(8),
    td_attributes=TdAttributes(flags=TdFlag.SEPT_VE_DISABLE),
    xfam=0xE7,
    mr_td=bytes(48),
    mr_config_id=bytes(48),
    mr_owner=bytes(48),
    mr_owner_config=bytes(48),
    rtmrs=(bytes(48), bytes(48), bytes(48), bytes(48)),
    report_data=bytes(64),
    tee_tcb_svn2=bytes(16),
    mr_service_td=bytes(48),
)
SGX_QUOTE = SgxQuote(
    header=QuoteHeader(version=3, tee_type=SGX_TEE, user_data=bytes(20)), body=REPORT, signature=SIGNATURE
)
SGX_QUOTE_4, SGX_QUOTE_5 = (
    replace(SGX_QUOTE, header=QuoteHeader(version=version, tee_type=SGX_TEE, user_data=bytes(20))) for version in (4, 5)
)
TDX_QUOTE = TdxQuote(
    header=QuoteHeader(version=5, tee_type=TDX_TEE, user_data=bytes(20)), body=TD_REPORT, signature=SIGNATURE
)
TDX_QUOTE_4 = TdxQuote(
    header=QuoteHeader(version=4, tee_type=TDX_TEE, user_data=bytes(20)),
    body=replace(TD_REPORT, tee_tcb_svn2=None, mr_service_td=None),
    signature=SIGNATURE,
)
_SGX_END, _TDX_END = 432, 702


@pytest.mark.parametrize(
    ("quote", "offset", "value"),
    [
        pytest.param(SGX_QUOTE, 0, b"\x02", id="SGX in version 2"),
        pytest.param(SGX_QUOTE, 0, b"\x04", id="SGX of version 3 as 4"),
        pytest.param(SGX_QUOTE_4, 0, b"\x03", id="SGX of version 4 as 3"),
        pytest.param(SGX_QUOTE_4, 0, b"\x05", id="SGX of version 4 as 5"),
        pytest.param(SGX_QUOTE_5, 0, b"\x04", id="SGX of version 5 as 4"),
        pytest.param(SGX_QUOTE_5, 0, b"\x06", id="SGX in version 6"),
        pytest.param(SGX_QUOTE_4, 8, b"\x01", id="reserved in the header of SGX, version 4"),
        pytest.param(SGX_QUOTE_5, 48, b"\x02", id="a body of TDX for SGX"),
        pytest.param(SGX_QUOTE_5, 50, b"\x81", id="a body of SGX with another length"),
        pytest.param(TDX_QUOTE, 0, b"\x03", id="TDX in version 3"),
        pytest.param(TDX_QUOTE, 0, b"\x06", id="version 6"),
        pytest.param(TDX_QUOTE, 2, b"\x03", id="another attestation key type"),
        pytest.param(TDX_QUOTE, 4, b"\x00", id="SGX as TDX"),
        pytest.param(SGX_QUOTE, 4, b"\x81", id="TDX as SGX"),
        pytest.param(TDX_QUOTE, 7, b"\x01", id="a TEE beyond a byte"),
        pytest.param(TDX_QUOTE, 8, b"\x01", id="the first reserved byte"),
        pytest.param(TDX_QUOTE, 11, b"\x01", id="the last reserved byte"),
        pytest.param(TDX_QUOTE, 12, b"\x00", id="another vendor"),
        pytest.param(SGX_QUOTE, 27, b"\x00", id="another vendor, last byte"),
        pytest.param(TDX_QUOTE, 48, b"\x01", id="a body of SGX"),
        pytest.param(TDX_QUOTE, 48, b"\x02", id="a body of TDX 1.0 with the length of 1.5"),
        pytest.param(TDX_QUOTE, 48, b"\x04", id="a body of a later TDX"),
        pytest.param(TDX_QUOTE, 50, b"\x48\x02", id="a body of TDX 1.5 with the length of 1.0"),
        pytest.param(SGX_QUOTE, 48 + 20, b"\x01", id="reserved in the enclave's report, 20"),
        pytest.param(SGX_QUOTE, 48 + 31, b"\x01", id="reserved in the enclave's report, 31"),
        pytest.param(SGX_QUOTE, 48 + 96, b"\x01", id="reserved in the enclave's report, 96"),
        pytest.param(SGX_QUOTE, 48 + 160, b"\x01", id="reserved in the enclave's report, 160"),
        pytest.param(SGX_QUOTE, 48 + 303, b"\x01", id="reserved in the enclave's report, 303"),
        pytest.param(SGX_QUOTE, _SGX_END + 4 + 128 + 20, b"\x01", id="reserved in the quoting enclave's report"),
        pytest.param(SGX_QUOTE, _SGX_END + 4 + 128 + 384 + 64 + 2 + 32, b"\x04", id="a single certificate"),
        pytest.param(TDX_QUOTE, _TDX_END + 4 + 128, b"\x05", id="a chain without a report"),
        pytest.param(TDX_QUOTE, _TDX_END + 4 + 128 + 6 + 384 + 64 + 2 + 32, b"\x06", id="a report in a report"),
    ],
)
def test_malformed(quote: TdxQuote | SgxQuote, offset: int, value: bytes) -> None:
    data = bytearray(quote.to_bytes())
    assert type(quote).from_bytes(bytes(data)) == quote
    assert data[offset : offset + len(value)] != value
    data[offset : offset + len(value)] = value
    with pytest.raises(Malformed):
        type(quote).from_bytes(bytes(data))


@pytest.mark.parametrize("version", [3, 4])
def test_nothing_follows_the_certification_data(version: int) -> None:
    whole = SIGNATURE.to_bytes(version=version)
    assert QuoteSignature.from_bytes(whole, version=version) == SIGNATURE
    with pytest.raises(Malformed, match="1 bytes more than it says"):
        QuoteSignature.from_bytes(whole + b"\0", version=version)


@pytest.mark.parametrize("report", [REPORT, TD_REPORT, TDX_QUOTE_4.body], ids=["SGX", "TDX 1.5", "TDX 1.0"])
def test_a_report_has_its_size(report: EnclaveReport | TdReport) -> None:
    whole = report.to_bytes()
    assert type(report).from_bytes(whole) == report
    for other in (whole[:-1], whole + b"\0"):
        with pytest.raises(Malformed, match="bytes, got"):
            type(report).from_bytes(other)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: replace(TD_REPORT, mr_td=bytes(47)), id="a short MRTD"),
        pytest.param(lambda: replace(TD_REPORT, mr_service_td=None), id="half of TDX 1.5"),
        pytest.param(lambda: replace(TD_REPORT, rtmrs=(bytes(48),) * 3), id="three registers"),  # type: ignore[arg-type]
        pytest.param(lambda: replace(TD_REPORT, rtmrs=(bytes(47),) * 4), id="short registers"),
        pytest.param(lambda: replace(REPORT, mr_enclave=bytes(33)), id="a long MRENCLAVE"),
        pytest.param(lambda: replace(SIGNATURE, signature=bytes(65)), id="a long signature"),
        pytest.param(lambda: replace(SIGNATURE, attestation_key=bytes(63)), id="a short key"),
        pytest.param(lambda: replace(SIGNATURE, auth_data=bytes(65536)), id="long authentication data"),
        pytest.param(lambda: replace(TDX_QUOTE_4, body=TD_REPORT), id="TDX 1.5 in version 4"),
    ],
)
def test_no_quote_is_made_that_could_not_be_read(make: Any) -> None:
    with pytest.raises(Malformed):
        make()


@needs_vectors
def test_recorded_quotes_come_back_byte_for_byte() -> None:
    paths = sorted((RECORDED / "tdx").glob("v*/quote.bin")) + sorted((RECORDED / "sgx").glob("v*/quote.bin"))
    read = 0
    for path in paths:
        data = path.read_bytes()
        kind: type[TdxQuote] | type[SgxQuote] = TdxQuote if path.parts[-3] == "tdx" else SgxQuote
        if "v3-none" in str(path):
            with pytest.raises(
                Malformed, match="type 1, the platform's identity in place of its chain; expected type 5"
            ):
                kind.from_bytes(data)
            continue
        assert kind.from_bytes(data).to_bytes() == data
        read += 1
    assert read == len(paths) - 1 == 23


def test_where_an_enclaves_report_lies() -> None:
    """Version 5 alone says what it is about; versions 4 and 5 put the quoting enclave's report into type 6."""
    whole = {quote.header.version: quote.to_bytes() for quote in (SGX_QUOTE, SGX_QUOTE_4, SGX_QUOTE_5)}
    report = REPORT.to_bytes()
    assert [data.index(report) for data in whole.values()] == [48, 48, 54]
    assert whole[5][48:54] == bytes.fromhex("010080010000")
    assert [len(data) - len(whole[3]) for data in whole.values()] == [0, 6, 12]


@pytest.mark.parametrize(
    ("quote", "offset", "value", "says"),
    [
        (TDX_QUOTE, 48, b"\x04", "type 4 .a TDX 1.5 report with .*which this version does not read"),
        (TDX_QUOTE, 48, b"\x05", "type 5 and 648 bytes; expected type 2 of 584 bytes or type 3 of 648 bytes"),
        (SGX_QUOTE_5, 48, b"\x03", "expected type 1 of 384 bytes"),
        (SGX_QUOTE, 432 + 4 + 128 + 384 + 64 + 2 + 32, b"\x01", "type 1, the platform's identity in place of"),
        (SGX_QUOTE, 432 + 4 + 128 + 384 + 64 + 2 + 32, b"\x02", "type 2, the platform's identity, encrypted in place"),
        (SGX_QUOTE, 432 + 4 + 128 + 384 + 64 + 2 + 32, b"\x03", "type 3, the platform's identity, encrypted in place"),
        (SGX_QUOTE, 432 + 4 + 128 + 384 + 64 + 2 + 32, b"\x04", "type 4, a certificate alone in place of its chain"),
        (SGX_QUOTE, 432 + 4 + 128 + 384 + 64 + 2 + 32, b"\x07", "type 7; expected type 5"),
        (TDX_QUOTE, 2, b"\x05", "key type 5 is not 2"),
    ],
    ids=["TDX with history", "unknown TDX", "TDX as SGX", "PPID", "PPID 2", "PPID 3", "PCK", "manifest", "key type"],
)
def test_what_is_known_and_not_read_is_named(quote: TdxQuote | SgxQuote, offset: int, value: bytes, says: str) -> None:
    data = bytearray(quote.to_bytes())
    data[offset : offset + len(value)] = value
    with pytest.raises(Malformed, match=says):
        type(quote).from_bytes(bytes(data))


@needs_vectors
def test_what_a_recorded_quote_says() -> None:
    """Field by field against the offsets of attestation.md, 2, taken from the bytes themselves."""
    data = (RECORDED / "tdx" / "v5-90c06f000000-openenclave-d21a11" / "quote.bin").read_bytes()
    quote, body = TdxQuote.from_bytes(data), data[54:]
    offsets = {
        "tee_tcb_svn": (0, 16),
        "mr_seam": (16, 48),
        "mr_signer_seam": (64, 48),
        "seam_attributes": (112, 8),
        "mr_td": (136, 48),
        "mr_config_id": (184, 48),
        "mr_owner": (232, 48),
        "mr_owner_config": (280, 48),
        "report_data": (520, 64),
        "tee_tcb_svn2": (584, 16),
        "mr_service_td": (600, 48),
    }
    for name, (offset, length) in offsets.items():
        assert getattr(quote.body, name) == body[offset : offset + length], name
    assert quote.body.rtmrs == tuple(body[328 + 48 * index : 376 + 48 * index] for index in range(4))
    assert quote.body.td_attributes == TdAttributes(flags=TdFlag.SEPT_VE_DISABLE)
    assert quote.body.xfam == int.from_bytes(body[128:136], "little")
