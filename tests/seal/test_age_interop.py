"""Other people's age: what they seal we open, what we seal they open, and what is broken all of us refuse.

``age`` (Go; Debian's is classic only), ``pyrage`` (Rust; classic only), ``age-encryption`` (TypeScript; post-quantum
too), and pycryptodome's HPKE as a second opinion on the post-quantum stanza.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest
from Crypto.Protocol import HPKE
from Crypto.PublicKey import Hybrid

from hermetic.seal import FileKey, Identity, generate_identity, parse_identity, parse_recipient, read_header
from hermetic.seal.age import _base64
from seal_support import (
    CHUNK,
    CLASSIC,
    HYBRID,
    INTEROP,
    Refusals,
    flipped,
    needs_age,
    needs_node,
    opened,
    sealed,
    sealed_chunks,
)

pytestmark = pytest.mark.interop

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 300_000]


def damaged(file: bytes) -> dict[str, bytes]:
    """A file of more than one chunk, spoilt in the ways that any reader must notice."""
    start, chunks = sealed_chunks(file)
    header, _ = read_header(io.BytesIO(file))
    return {
        "header bit": flipped(file, 8 * 30),
        "MAC bit": flipped(file, 8 * (len(header.raw) - 10)),
        "nonce bit": flipped(file, 8 * (len(header.raw) + 3)),
        "payload bit": flipped(file, 8 * (len(start) + 100)),
        "tag bit": flipped(file, 8 * (len(file) - 1)),
        "cut at a chunk": start + b"".join(chunks[:-1]),
        "cut": file[:-1],
        "extended": file + b"x",
        "swapped": start + b"".join([chunks[1], chunks[0], *chunks[2:]]),
        "only a header": start[:-16],
    }


# pyrage


@pytest.mark.parametrize("size", SIZES)
def test_pyrage_both_ways(size: int) -> None:
    data = os.urandom(size)
    theirs = pyrage.x25519.Identity.from_str(CLASSIC.reveal())
    assert str(theirs.to_public()) == str(CLASSIC.recipient())
    assert pyrage.decrypt(sealed(data, CLASSIC.recipient()), [theirs]) == data
    assert opened(pyrage.encrypt(data, [theirs.to_public()]), CLASSIC) == data


def test_pyrage_s_keys_are_ours() -> None:
    theirs = pyrage.x25519.Identity.generate()
    identity = parse_identity(str(theirs))
    assert identity.reveal() == str(theirs)
    assert identity.recipient() == parse_recipient(str(theirs.to_public()))


def test_pyrage_refuses_what_we_refuse() -> None:
    theirs = pyrage.x25519.Identity.from_str(CLASSIC.reveal())
    for file in damaged(sealed(bytes(CHUNK + 5), CLASSIC.recipient())).values():
        with pytest.raises(pyrage.DecryptError):
            pyrage.decrypt(file, [theirs])
        with pytest.raises(Refusals):
            opened(file, CLASSIC)


# Debian's age


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(CLASSIC.reveal() + "\n")
    return path


def age(*arguments: str | Path, data: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["age", *arguments], input=data, capture_output=True, check=False, timeout=60)


@needs_age
@pytest.mark.parametrize("size", SIZES)
def test_age_both_ways(key_file: Path, size: int) -> None:
    data = os.urandom(size)
    theirs = age("-d", "-i", key_file, data=sealed(data, CLASSIC.recipient()))
    assert (theirs.returncode, theirs.stdout) == (0, data), theirs.stderr
    file = age("-r", str(CLASSIC.recipient()), data=data)
    assert file.returncode == 0, file.stderr
    assert opened(file.stdout, CLASSIC) == data


@needs_age
def test_age_opens_for_each_of_several_recipients(key_file: Path) -> None:
    others = [generate_identity(classic=True) for _ in range(2)]
    recipients = [others[0].recipient(), CLASSIC.recipient(), others[1].recipient()]
    assert age("-d", "-i", key_file, data=sealed(b"text", *recipients)).stdout == b"text"
    words = [word for recipient in recipients for word in ("-r", str(recipient))]
    file = age(*words, data=b"text").stdout
    assert [opened(file, identity) for identity in (*others, CLASSIC)] == [b"text"] * 3


@needs_age
def test_age_refuses_what_we_refuse(key_file: Path) -> None:
    for what, file in damaged(sealed(bytes(CHUNK + 5), CLASSIC.recipient())).items():
        assert age("-d", "-i", key_file, data=file).returncode != 0, what


# age-encryption


class Node:
    """The TypeScript implementation, driven by a line of JSON a question."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, task: str, **fields: Any) -> dict[str, str]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"do": task, **fields}) + "\n")
        stdin.flush()
        answer: dict[str, str] = json.loads(stdout.readline())
        return answer

    def seal(self, data: bytes, *recipients: str) -> bytes:
        answer = self.ask("seal", recipients=recipients, data=base64.b64encode(data).decode())
        return base64.b64decode(answer["data"])

    def open(self, data: bytes, identity: Identity) -> dict[str, str]:
        return self.ask("open", identity=identity.reveal(), data=base64.b64encode(data).decode())


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with subprocess.Popen(
        ["node", "age.mjs"], cwd=INTEROP / "age", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Node(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=30) == 0


@needs_node
@pytest.mark.parametrize("identity", [HYBRID, CLASSIC], ids=["post-quantum", "classic"])
@pytest.mark.parametrize("size", SIZES)
def test_age_encryption_both_ways(node: Node, identity: Identity, size: int) -> None:
    data = os.urandom(size)
    answer = node.open(sealed(data, identity.recipient()), identity)
    assert base64.b64decode(answer["data"]) == data
    assert opened(node.seal(data, str(identity.recipient())), identity) == data


@needs_node
def test_age_encryption_s_keys_are_ours(node: Node) -> None:
    theirs = node.ask("generate")
    identity = parse_identity(theirs["identity"])
    assert str(identity.recipient()) == theirs["recipient"]
    assert identity.reveal() == theirs["identity"]
    assert node.ask("recipient", identity=HYBRID.reveal())["recipient"] == str(HYBRID.recipient())


@needs_node
def test_age_encryption_opens_for_each_of_several_recipients(node: Node) -> None:
    identities = [generate_identity() for _ in range(3)]
    file = sealed(b"text", *(identity.recipient() for identity in identities))
    assert [base64.b64decode(node.open(file, identity)["data"]) for identity in identities] == [b"text"] * 3
    theirs = node.seal(b"text", *(str(identity.recipient()) for identity in identities))
    assert [opened(theirs, identity) for identity in identities] == [b"text"] * 3


@needs_node
@pytest.mark.parametrize("identity", [HYBRID, CLASSIC], ids=["post-quantum", "classic"])
def test_age_encryption_refuses_what_we_refuse(node: Node, identity: Identity) -> None:
    for what, file in damaged(sealed(bytes(CHUNK + 5), identity.recipient())).items():
        assert "error" in node.open(file, identity), what
        with pytest.raises(Refusals):
            opened(file, identity)


# pycryptodome


def second_opinion(identity: Identity) -> Hybrid.HybridKey:
    """X-Wing's private key from the same seed, by an implementation that shares no code with ours."""
    return Hybrid.generate(param_set=Hybrid.MLKEM768_X25519, randfunc=lambda _: identity.secret)


def hpke(key: Hybrid.HybridKey, enc: bytes | None = None) -> HPKE.HPKE_Cipher:
    info = b"age-encryption.org/mlkem768x25519"
    return HPKE.new(receiver_key=key, aead_id=HPKE.AEAD.CHACHA20_POLY1305, enc=enc, info=info)


def test_the_post_quantum_stanza_is_hpke_as_pycryptodome_does_it() -> None:
    for _ in range(5):
        identity, file_key = generate_identity(), FileKey.generate()
        theirs = second_opinion(identity)
        stanza = identity.recipient().wrap(file_key)
        encapsulation = _base64.decode(stanza.arguments[0].encode(), what="test")
        assert hpke(theirs, encapsulation).unseal(stanza.body) == file_key.secret
        sender = hpke(theirs.public_key())
        body = sender.seal(file_key.secret)
        made = type(stanza)(kind=stanza.kind, arguments=(_base64.encode(sender.enc).decode(),), body=body)
        unwrapped = identity.unwrap(made)
        assert unwrapped is not None
        assert unwrapped.secret == file_key.secret
