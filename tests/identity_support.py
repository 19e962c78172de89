"""Keysets and launch documents for tests: by hand, and drawn by hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from hermetic.identity import (
    ED25519,
    EHBP,
    RELEASE,
    STRICT,
    Keyset,
    LaunchDocument,
    MeasuredModel,
    PublicKey,
    TlsKey,
    format_ed25519,
)
from hermetic.wire import sha256_digest

SIZES = {ED25519: 32, EHBP: 32, STRICT: 1216, RELEASE: 1216}
NOT_AFTER = 4_000_000_000


def keyset(**changes: Any) -> Keyset:
    """A keyset with one key for each role, filled with recognisable bytes."""
    fields: dict[str, Any] = {
        "subject": "clinic-chat",
        "not_after": NOT_AFTER,
        "receipt_signing_keys": (PublicKey(key_id="sign", algo=ED25519, public_key=b"\x01" * 32),),
        "e2ee_public_keys": (
            PublicKey(key_id="ehbp", algo=EHBP, public_key=b"\x02" * 32),
            PublicKey(key_id="strict", algo=STRICT, public_key=b"\x03" * 1216),
            PublicKey(key_id="release", algo=RELEASE, public_key=b"\x04" * 1216),
        ),
    }
    return Keyset(**(fields | changes))


def launch(**changes: Any) -> LaunchDocument:
    fields: dict[str, Any] = {
        "service": "clinic-chat",
        "program_digest": sha256_digest(b"program"),
        "argv": ("hermetic", "serve", "--config", "server.toml"),
        "environment": {},
        "config_digest": sha256_digest(b"config"),
        "models": (MeasuredModel(name="toy", manifest_digest=sha256_digest(b"manifest")),),
        "broker_key": format_ed25519(b"\x05" * 32),
        "outbound": {},
    }
    return LaunchDocument(**(fields | changes))


names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=24)
digests = st.binary(max_size=8).map(sha256_digest)
tls_keys = st.builds(TlsKey, spki_sha256=digests, domain=names)


@st.composite
def keysets(draw: st.DrawFn) -> Keyset:
    """Any valid keyset: distinct ids, distinct keys, at least one of them."""
    algos = draw(st.lists(st.sampled_from([EHBP, STRICT, RELEASE]), max_size=3))
    signing = draw(st.integers(min_value=0 if algos else 1, max_value=2))
    ids = iter(draw(st.lists(names, min_size=len(algos) + signing, max_size=len(algos) + signing, unique=True)))
    roles = [ED25519] * signing + algos
    keys = [
        PublicKey(key_id=next(ids), algo=algo, public_key=bytes([number]) * SIZES[algo])
        for number, algo in enumerate(roles)
    ]
    return Keyset(
        subject=draw(names),
        not_after=draw(st.integers(min_value=0, max_value=253_402_300_799)),
        receipt_signing_keys=tuple(keys[:signing]),
        e2ee_public_keys=tuple(keys[signing:]),
        tls_public_keys=tuple(draw(st.lists(tls_keys, max_size=2))),
    )


launches = st.builds(
    LaunchDocument,
    service=names,
    program_digest=digests,
    argv=st.lists(names, max_size=4).map(tuple),
    environment=st.dictionaries(names, names, max_size=3),
    config_digest=digests,
    models=st.lists(st.builds(MeasuredModel, name=names, manifest_digest=digests), max_size=3).map(tuple),
    broker_key=st.none() | st.binary(min_size=32, max_size=32).map(format_ed25519),
    outbound=st.dictionaries(names, digests, max_size=3),
)
