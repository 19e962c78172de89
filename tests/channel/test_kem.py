"""Keys: their lengths, their refusals, and that private ones do not show themselves."""

from __future__ import annotations

import json
import pickle

import pytest

from hermetic.channel import kem
from hermetic.errors import Malformed
from vectors import ROOT, needs_vectors

LOW_ORDER_POINTS = [  # u-coordinates of the points of small order on Curve25519 and its twist (canonical forms)
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


@pytest.mark.parametrize("point", LOW_ORDER_POINTS)
def test_points_of_low_order_are_refused_on_both_sides(point: str) -> None:
    raw = bytes.fromhex(point)
    with pytest.raises(Malformed, match="low order"):
        kem.X25519PublicKey(raw).encapsulate()
    with pytest.raises(Malformed, match="low order"):
        kem.X25519PrivateKey.generate().decapsulate(raw)

    key = kem.XWingPrivateKey.generate()
    lattice_half = key.public_key().raw[:1184]
    with pytest.raises(Malformed, match="low order"):
        kem.XWingPublicKey(lattice_half + raw).encapsulate()
    with pytest.raises(Malformed, match="low order"):
        key.decapsulate(key.public_key().encapsulate().enc[:1088] + raw)


@pytest.mark.parametrize("make", [kem.X25519PublicKey, kem.X25519PrivateKey, kem.XWingPublicKey, kem.XWingPrivateKey])
def test_keys_of_another_length_are_refused(make: type) -> None:
    for length in (0, 31, 33, 1215, 1217):
        with pytest.raises(Malformed, match="bytes, got"):
            make(bytes(length))


@pytest.mark.parametrize("key", [kem.X25519PrivateKey.generate(), kem.XWingPrivateKey.generate()])
def test_encapsulated_keys_of_another_length_are_refused(key: kem.KemPrivateKey) -> None:
    enc = key.public_key().encapsulate().enc
    assert len(enc) == key.enc_length
    for other in (b"", enc[:-1], enc + b"\x00"):
        with pytest.raises(Malformed, match="encapsulated key"):
            key.decapsulate(other)


def test_an_ml_kem_half_with_coefficients_out_of_range_is_refused() -> None:
    with pytest.raises(Malformed, match="ML-KEM-768"):
        kem.XWingPublicKey(b"\xff" * 1216)  # FIPS 203 §7.2, the modulus check


@needs_vectors
def test_x25519_against_wycheproof() -> None:
    """The raw exchange agrees wherever it is not a low-order point, which we refuse."""
    from cryptography.hazmat.primitives.asymmetric import x25519

    groups = json.loads((ROOT / "independent/wycheproof/x25519_test.json").read_bytes())["testGroups"]
    agreed = refused = 0
    for case in (case for group in groups for case in group["tests"]):
        private = x25519.X25519PrivateKey.from_private_bytes(bytes.fromhex(case["private"]))
        public = kem.X25519PublicKey(bytes.fromhex(case["public"]))
        if bytes.fromhex(case["shared"]) == bytes(32):
            with pytest.raises(Malformed):
                kem._exchange(private, public._key)
            refused += 1
        else:
            assert kem._exchange(private, public._key).hex() == case["shared"]
            agreed += 1
    assert agreed > 400
    assert refused > 10


@pytest.mark.parametrize("make", [kem.X25519PrivateKey, kem.XWingPrivateKey])
def test_private_keys_are_redacted_and_do_not_pickle(make: type[kem.X25519PrivateKey]) -> None:
    key = make.generate()
    assert make(key.private_bytes()).public_key() == key.public_key()
    assert make.generate().public_key() != key.public_key()
    assert repr(key) == f"{make.__name__}(<redacted>)"
    with pytest.raises(TypeError):
        pickle.dumps(key)
