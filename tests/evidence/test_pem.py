"""PEM is read as loosely as it is written, and written in one spelling."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed
from hermetic.evidence.pem import (
    CERTIFICATE,
    MAX_CERTIFICATE,
    REVOCATION_LIST,
    certificates_from_pem,
    pem_blocks,
    pem_from_certificates,
)

ONE, TWO = b"one certificate", b"another certificate"


def block(label: str, body: str) -> bytes:
    return f"-----BEGIN {label}-----{body}-----END {label}-----".encode()


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=4), st.sampled_from([4, 64, 76]))
def test_what_is_written_is_read(ders: list[bytes], width: int) -> None:
    assert certificates_from_pem(pem_from_certificates(tuple(ders), width=width)) == tuple(ders)


def test_the_one_spelling() -> None:
    body = base64.b64encode(bytes(60)).decode()
    lines = ("-----BEGIN CERTIFICATE-----", body[:64], body[64:], "-----END CERTIFICATE-----", "")
    assert pem_from_certificates((bytes(60),)) == "\n".join(lines).encode()


@pytest.mark.parametrize("gap", ["", "\n", "\r\n", " \n\t"], ids=["none", "LF", "CR LF", "spaces"])
def test_what_stands_around_and_how_lines_break_is_ignored(gap: str) -> None:
    body = base64.b64encode(ONE).decode()
    text = b"a comment\n" + block(CERTIFICATE, gap.join(["", body[:8], body[8:], ""])) + b"-----BEGIN CERTIFICATE-----"
    assert certificates_from_pem(text) == (ONE,)


def test_blocks_keep_their_labels_and_their_order() -> None:
    body = base64.b64encode(TWO).decode()
    text = pem_from_certificates((ONE,)) + block(REVOCATION_LIST, body) + block("PUBLIC KEY", body)
    assert pem_blocks(text) == ((CERTIFICATE, ONE), (REVOCATION_LIST, TWO), ("PUBLIC KEY", TWO))
    assert certificates_from_pem(text) == (ONE,)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(b"", "no CERTIFICATE in PEM", id="nothing"),
        pytest.param(block(REVOCATION_LIST, "AAAA"), "no CERTIFICATE in PEM", id="a list"),
        pytest.param(block(CERTIFICATE, "AAAA")[:-1], "no CERTIFICATE in PEM", id="cut short"),
        pytest.param(b"-----BEGIN CERTIFICATE-----AAAA-----END X509 CRL-----", "no CERTIFICATE", id="two labels"),
        pytest.param(block(CERTIFICATE, "AAA"), "not base64", id="not base64"),
        pytest.param(block(CERTIFICATE, "AAB="), "not canonical", id="another spelling of base64"),
        pytest.param(pem_from_certificates((bytes(MAX_CERTIFICATE + 1),)), "more than 8192 bytes", id="long"),
    ],
)
def test_what_is_refused(text: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        certificates_from_pem(text)


def test_the_longest_certificate() -> None:
    assert certificates_from_pem(pem_from_certificates((bytes(MAX_CERTIFICATE),))) == (bytes(MAX_CERTIFICATE),)
