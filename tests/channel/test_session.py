"""Only Accepted opens a session, and only with evidence that was made for talking."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from attested_support import NONCE, NOT_AFTER, NOW, attester, policy
from hermetic.channel import Session, X25519PrivateKey, XWingPrivateKey, open_session, strict
from hermetic.errors import Malformed, NotAcceptable
from hermetic.identity import EHBP, STRICT, Keyset, PublicKey, Purpose, verify_report
from hermetic.policy import Accepted, appraise
from identity_support import keyset

STRICT_KEY = XWingPrivateKey(bytes(32))
EHBP_KEY = X25519PrivateKey(bytes(32))
STRICT_ENTRY = PublicKey(key_id="s-1", algo=STRICT, public_key=STRICT_KEY.public_key().raw)
EHBP_ENTRY = PublicKey(key_id="e-1", algo=EHBP, public_key=EHBP_KEY.public_key().raw)


def accepted(keys: Keyset, purpose: Purpose = Purpose.SESSION) -> Accepted:
    report = attester(keys=keys).attest(purpose=purpose, nonce=NONCE)
    wanted = policy()
    roots = wanted.roots(allow_simulated=True)
    return appraise(verify_report(report, roots=roots, now=NOW, purpose=purpose, nonce=NONCE), wanted)


def with_keys(*entries: PublicKey, **changes: Any) -> Keyset:
    return keyset(not_after=NOT_AFTER, e2ee_public_keys=entries, **changes)


def test_a_session_is_what_was_attested() -> None:
    keys = with_keys(STRICT_ENTRY, EHBP_ENTRY)
    session = open_session(accepted(keys))
    assert session == Session(
        strict=strict.Recipient(
            public_key=STRICT_KEY.public_key(), key_id="s-1", keyset_digest=keys.digest, service="clinic-chat"
        ),
        ehbp=EHBP_KEY.public_key(),
        not_after=datetime.fromtimestamp(NOT_AFTER, UTC),
        simulated=True,
    )
    assert (session.service, session.keyset_digest) == ("clinic-chat", keys.digest)


def test_what_a_session_seals_the_server_opens() -> None:
    keys = with_keys(STRICT_ENTRY)
    session = open_session(accepted(keys))
    assert session.ehbp is None
    client = strict.seal_request(session.strict, method="POST", target="/", fields=(), now=NOW)
    key = strict.ServerKey(
        private_key=STRICT_KEY, key_id="s-1", keyset_digest=keys.digest, service=attester().launch.service
    )
    server = strict.RequestOpener(key, method="POST", target="/", now=NOW, max_body=10)
    assert server.push(client.push(b"hello") + client.finish()) == [b"hello"]


def test_evidence_made_for_another_purpose_is_refused() -> None:
    with pytest.raises(NotAcceptable, match="purpose"):
        open_session(accepted(with_keys(STRICT_ENTRY), Purpose.RELEASE))


def test_a_keyset_without_exactly_one_strict_key_is_refused() -> None:
    another = PublicKey(key_id="s-2", algo=STRICT, public_key=XWingPrivateKey.generate().public_key().raw)
    for keys in (with_keys(EHBP_ENTRY), with_keys(STRICT_ENTRY, another)):
        with pytest.raises(NotAcceptable, match="strict"):
            open_session(accepted(keys))


def test_bytes_that_are_no_key_are_refused() -> None:
    with pytest.raises(Malformed, match="ML-KEM"):
        open_session(accepted(with_keys(PublicKey(key_id="s-1", algo=STRICT, public_key=b"\xff" * 1216))))
