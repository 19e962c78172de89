"""The C2SP age test vectors (CCTV), each with the outcome that its authors expect.

Passphrases and ASCII armor are not supported: those vectors must be refused here, whatever they are.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from hermetic.errors import Malformed, NotAuthentic, Refused
from hermetic.seal import parse_identity, read_header, unwrap
from hermetic.seal.age import MemorySource, PayloadOpener, open_payload
from seal_support import INTEROP, needs_node

pytestmark = [pytest.mark.interop, needs_node]

OUTCOMES = ["success", "header failure", "no match", "HMAC failure", "payload failure"]

UNTOLD = {
    "hybrid_identity": "the X-Wing decapsulation does not say that the X25519 half had low order",
    "hybrid_low_order": "the same",
}
"""Expected to be a header failure, and refused here as not authentic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One vector: ``about`` holds its keys (expect, payload, identity, …), ``file`` the age file."""

    name: str
    about: Mapping[str, Sequence[str]]
    file: bytes

    @classmethod
    def parse(cls, name: str, data: bytes) -> Vector:
        head, _, file = data.partition(b"\n\n")
        about = defaultdict(list)
        for line in head.decode("utf-8").split("\n"):
            key, _, value = line.partition(": ")
            about[key].append(value)
        return cls(name=name, about=about, file=zlib.decompress(file) if about["compressed"] else file)

    @property
    def expect(self) -> str:
        return self.about["expect"][0]

    @property
    def supported(self) -> bool:
        return not self.about["passphrase"] and not self.about["armored"]

    def outcome(self) -> tuple[str, bytes]:
        """What happens here, in the vectors' words, and every byte that was given out on the way."""
        identities = [parse_identity(text) for text in self.about["identity"]]
        stream, out = io.BytesIO(self.file), io.BytesIO()
        try:
            header, _ = read_header(stream)
            file_key = unwrap(header, *identities)
            opener = PayloadOpener(file_key.payload_key(stream.read(16)))
        except Malformed:
            return "header failure", b""
        except NotAuthentic:
            return "no match", b""
        try:
            while data := stream.read(10_000):
                out.write(opener.push(data))
            out.write(opener.finish())
        except NotAuthentic:
            return "payload failure", out.getvalue()
        return "success", out.getvalue()


@pytest.fixture(scope="module")
def vectors() -> list[Vector]:
    dumped = subprocess.run(["node", "vectors.mjs"], cwd=INTEROP / "age", check=True, capture_output=True, timeout=60)
    return [Vector.parse(name, base64.b64decode(text)) for name, text in json.loads(dumped.stdout).items()]


def test_they_are_all_here(vectors: list[Vector]) -> None:
    assert len(vectors) >= 143
    assert sum(vector.supported for vector in vectors) >= 85
    assert sum(vector.name.startswith("hybrid") for vector in vectors) >= 10
    assert {vector.expect for vector in vectors} == {*OUTCOMES, "armor failure"}


@pytest.mark.parametrize("expect", OUTCOMES)
def test_each_has_the_outcome_that_its_authors_expect(vectors: list[Vector], expect: str) -> None:
    # An HMAC failure and a missing match are told apart by nobody here: that is on purpose (test_wrap.py).
    wanted = "no match" if expect == "HMAC failure" else expect
    of_this_kind = [vector for vector in vectors if vector.supported and vector.expect == expect]
    assert of_this_kind
    other = {vector.name: vector.outcome()[0] for vector in of_this_kind if vector.outcome()[0] != wanted}
    assert other.keys() <= UNTOLD.keys()
    assert "success" not in other.values()


def test_every_payload_is_the_one_that_they_hashed(vectors: list[Vector]) -> None:
    opened = [vector for vector in vectors if vector.supported and vector.expect == "success"]
    for vector in opened:
        assert [hashlib.sha256(vector.outcome()[1]).hexdigest()] == vector.about["payload"], vector.name
        assert by_reader(vector) == vector.outcome()[1], vector.name


def test_of_a_broken_payload_nothing_but_its_beginning_is_given_out(vectors: list[Vector]) -> None:
    """The authors hash all chunks before the fault; here the last of them may be held back."""
    broken = [vector for vector in vectors if vector.supported and vector.expect == "payload failure"]
    for vector in broken:
        given = vector.outcome()[1]
        as_they_hash = [hashlib.sha256(given).hexdigest()] == vector.about["payload"]
        assert as_they_hash or len(given) % 65_536 == 0, vector.name
        with pytest.raises(Refused):
            by_reader(vector)


def test_what_is_not_supported_is_refused(vectors: list[Vector]) -> None:
    for vector in vectors:
        if not vector.supported:
            assert vector.outcome()[0] != "success", vector.name


def by_reader(vector: Vector) -> bytes:
    """The same by the random-access reader."""
    header, _ = read_header(io.BytesIO(vector.file))
    file_key = unwrap(header, *(parse_identity(text) for text in vector.about["identity"]))
    return open_payload(file_key, header, MemorySource(vector.file)).read()
