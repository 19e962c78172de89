"""Every parser that reads what a stranger sends, with genuine inputs to begin from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import event_log_support
from channel_support import ehbp_key
from hermetic.channel import ehbp
from hermetic.channel.strict._frames import Direction, FrameOpener, FrameSealer
from hermetic.errors import HermeticError, Malformed
from hermetic.evidence import Composite, DstackLog, EventLog, EvidenceBundle, SgxQuote, SnpReport, TdxQuote
from hermetic.evidence.assemble import assemble
from hermetic.evidence.nvidia import DeviceBundle, NvidiaReport, nvat_evidence
from hermetic.evidence.pem import certificates_from_pem
from hermetic.evidence.recognise import recognise
from hermetic.evidence.x509 import load_certificate, load_crl
from hermetic.identity import AttestationReport, Keyset, LaunchDocument
from hermetic.ledger.checkpoint import parse_checkpoint
from hermetic.ledger.envelope import ReceiptFile
from hermetic.ledger.note import VerifierKey, parse_note
from hermetic.ledger.receipt import Receipt
from hermetic.ledger.tiles import encode_bundle, parse_bundle, parse_path
from hermetic.policy import Policy
from hermetic.results.describe import describe
from hermetic.results.ear_reader import open_ear
from hermetic.results.jws import b64url, key_id, open_jws
from hermetic.seal.age.header import parse_header
from hermetic.seal.manifest import parse_manifest
from hermetic.seal.version import SignedVersion
from hermetic.sources.certificate_table import read_certificate_table
from hermetic.verify._dcap_pem import exact_chain
from hermetic.verify._nvidia_manifest import read_manifest
from hermetic.verify._nvidia_xml import read_signed_xml
from hermetic.verify.intel_collateral import load_qe_identity, load_tcb_info
from hermetic.verify.intel_pck import PckIdentity
from hermetic.verify.kds import LeafIdentity
from hermetic.verify.ocsp import load_ocsp
from hermetic.wire import FrameReader, canonical, frame, parse_json
from proof.specimens import ASKED, AT, all_specimens, kind_of

_NOW = datetime(2026, 6, 1, tzinfo=UTC)
_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One parser: it returns or raises a HermeticError, whatever it is given."""

    name: str
    parse: Callable[[bytes], object] = field(repr=False)
    seeds: Callable[[], Sequence[bytes]] = field(repr=False)


@cache
def _parts(kind: str, *, tee: str = "") -> tuple[bytes, ...]:
    """Every genuine item that specimens have under this name, up to a dozen."""
    found = {
        data: None
        for each in all_specimens()
        if not tee or each.tee == tee
        for part, data in each.parts.items()
        if kind_of(part) == kind
    }
    return tuple(found)[:12]


def _files() -> list[bytes]:
    loose = (*_parts("certificate"), *_parts("leaf"), *_parts("crl"), *_parts("tcb_info_chain"), *_parts("tcb_info"))
    devices = [canonical(each.to_json()) for each in _devices()]
    return [*_parts("report"), *_parts("quote"), *_bundles(), *devices, *_boot_logs(), *loose]


def _bundles() -> list[bytes]:
    bundles = [event_log_support.bundle(event_log_support.ccel(*event_log_support.BOOT))]
    for each in all_specimens():
        if each.evidence in ("quote", "report") and each.tee != "nvidia":
            others = (each.evidence, ASKED, AT)
            endorsements = {k: v for k, v in each.parts.items() if k not in others and kind_of(k) != "log"}
            bundles.append(EvidenceBundle(tee=each.tee, evidence=each.parts[each.evidence], endorsements=endorsements))
    return [canonical(bundle.to_json()) for bundle in bundles[:8]]


def _devices() -> list[DeviceBundle]:
    return [
        DeviceBundle(
            evidence=each.parts["report"],
            certificates=tuple(data for part, data in each.parts.items() if kind_of(part) == "certificate"),
            ocsp=tuple(data for part, data in each.parts.items() if kind_of(part) == "ocsp"),
        )
        for each in all_specimens()
        if each.tee == "nvidia" and each.evidence == "report"
    ][:4]


def _from_json(read: Callable[[object], object], data: bytes) -> object:
    return read(parse_json(data))


def _file(data: bytes) -> object:
    """What becomes of a file that somebody gives: recognised, put together, and shown."""
    found = recognise(data)
    with suppress(HermeticError):
        assemble([found])
    return describe(found)


def _leaf(data: bytes) -> object:
    return LeafIdentity.from_extensions(load_certificate(data, "certificate").extensions)


def _pck(data: bytes) -> object:
    return PckIdentity.from_extensions(load_certificate(data, "certificate").extensions)


def _manifest(data: bytes) -> object:
    return read_manifest(read_signed_xml(data).content)


def _pck_certificates() -> list[bytes]:
    chains = [TdxQuote.from_bytes(quote).signature.pck_chain for quote in _parts("quote", tee="tdx")]
    return [exact_chain(chain, "chain")[0] for chain in chains]


def _frames(data: bytes) -> object:
    reader = FrameReader(max_frame=4096)
    whole = list(reader.push(data))
    reader.finish()
    return whole


class _NoCipher:
    """Opens and seals without a key, so that noise reaches what is behind a cipher too."""

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        return plaintext + bytes(16)

    def open(self, ciphertext: bytes, aad: bytes) -> bytes:
        return ciphertext[:-16]


def _strict_frames(data: bytes) -> object:
    opener = FrameOpener(_NoCipher(), Direction.REQUEST)
    whole = list(opener.push(data))
    opener.finish()
    return whole


def _strict_seeds() -> list[bytes]:
    sealer = FrameSealer(_NoCipher(), Direction.REQUEST)
    return [sealer.frame(b"head"), sealer.frame(b"body" * 300), sealer.frame(b"", last=True)]


def _ehbp_request(data: bytes) -> object:
    opener = ehbp.RequestOpener(ehbp_key(), data[:32].ljust(32, b"\0").hex(), max_body=1 << 16)
    parts = opener.push(data[32:])
    opener.finish()
    return parts


def _ehbp_seeds() -> list[bytes]:
    client = ehbp.RequestSealer(ehbp_key().private_key.public_key())
    return [bytes.fromhex(client.header) + client.push(b"hello")]


def _token(payload: bytes) -> bytes:
    header = canonical({"alg": "EdDSA", "kid": key_id(_KEY.public_key()), "typ": "JWT"})
    signed = f"{b64url(header)}.{b64url(payload)}".encode()
    return signed + b"." + b64url(_KEY.sign(signed)).encode()


def _ear_payload(data: bytes) -> object:
    """Signed anew, so that noise is in what is read after the signature."""
    token = _token(data).decode()
    return open_ear(token, _KEY.public_key(), now=_NOW, nonce=None, max_age=timedelta(days=10000))


def _text(read: Callable[[str], object], data: bytes) -> object:
    try:
        return read(data.decode())
    except UnicodeDecodeError as error:
        raise Malformed("not text") from error


def _receipts() -> list[bytes]:
    import receipt_support

    file, _ = receipt_support.logged(receipt_support.pending_file(), before=5, after=2)
    return [canonical(file.to_json()), canonical(receipt_support.pending_file().to_json())]


def _receipt() -> list[bytes]:
    import receipt_support

    return [receipt_support.receipt().to_bytes()]


def _notes() -> list[bytes]:
    import receipt_support

    file, _ = receipt_support.logged(receipt_support.pending_file(), before=5, after=2)
    assert file.inclusion is not None
    return [file.inclusion.note]


def _policies() -> list[bytes]:
    return [_POLICY.encode(), _POLICY.replace("[snp]", "[tdx]").encode(), b"version = 1\n"]


_POLICY = """
version = 1
profile = "development"
max_keyset_hours = 24
[workload]
services = ["clinic-chat"]
programs = ["sha256:0000000000000000000000000000000000000000000000000000000000000000"]
configs = ["sha256:0000000000000000000000000000000000000000000000000000000000000000"]
models = []
argv = ["hermetic", "serve"]
[snp]
products = ["Genoa"]
measurements = ["%s"]
[snp.tcb.Genoa]
boot_loader = 1
tee = 0
snp = 1
microcode = 1
""" % ("0" * 96)


def _age_headers() -> list[bytes]:
    from seal_support import sealed

    whole = sealed(b"hello")
    return [whole[: whole.index(b"\n", whole.index(b"\n--- ") + 1) + 1]]


def _manifests() -> list[bytes]:
    from hermetic.seal.manifest import Kind, ManifestFile, make_manifest
    from hermetic.wire import sha256_digest

    files = [ManifestFile(name="model.gguf", size=7, tree=sha256_digest(b"model"))]
    return [make_manifest(kind=Kind.MODEL, name="toy", licence="MIT", files=files, salt=bytes(32)).encode()]


def _versions() -> list[bytes]:
    from hermetic.seal.version import ResourceVersion, sign_version
    from hermetic.wire import sha256_digest

    version = ResourceVersion(
        resource="broker/acme/smol",
        version="1.2",
        manifest_digest=sha256_digest(b"manifest"),
        headers=tuple(sorted(sha256_digest(bytes([number])) for number in range(3))),
    )
    return [sign_version(version, _KEY).encode()]


def _verifier_keys() -> list[bytes]:
    from ledger_support import LOG_KEY

    return [str(LOG_KEY).encode()]


def _table() -> list[bytes]:
    from certificate_table_support import GUIDS, certificate_table

    return [certificate_table((GUIDS["leaf"], b"leaf"), (GUIDS["root"], b"root" * 9))]


def _boot_logs() -> list[bytes]:
    from snp_support import RECORDED

    own = event_log_support.ccel(*event_log_support.BOOT).to_bytes()
    return [own, (RECORDED / "tdx-eventlogs" / "CCEL_data_ovmf").read_bytes()]


def _runtime_logs() -> list[bytes]:
    return [event_log_support.dstack(*event_log_support.RUNTIME).to_bytes()]


def _ears() -> list[bytes]:
    claims = {
        "eat_profile": "tag:github.com,2023:veraison/ear",
        "iat": 1770000000,
        "exp": 1800000000,
        "ear.verifier-id": {"developer": "the Hermetic authors", "build": "1"},
        "submods": {"platform": {"ear.status": "affirming", "ear.trustworthiness-vector": {"hardware": 2}}},
    }
    return [json.dumps(claims).encode()]


def _nvat() -> list[bytes]:
    from snp_support import RECORDED

    return [path.read_bytes() for path in sorted((RECORDED / "nvidia" / "json").glob("*.json"))]


def _all() -> tuple[Target, ...]:
    documents: dict[str, tuple[Callable[[bytes], object], Callable[[], Sequence[bytes]]]] = {
        "snp-report": (SnpReport.from_bytes, partial(_parts, "report", tee="sev-snp")),
        "tdx-quote": (TdxQuote.from_bytes, partial(_parts, "quote", tee="tdx")),
        "sgx-quote": (SgxQuote.from_bytes, partial(_parts, "quote", tee="sgx")),
        "nvidia-report": (NvidiaReport.from_bytes, partial(_parts, "report", tee="nvidia")),
        "nvidia-manifest": (_manifest, partial(_parts, "rim")),
        "nvat": (partial(_from_json, nvat_evidence), _nvat),
        "certificate-table": (read_certificate_table, _table),
        "certificate": (partial(load_certificate, what="fuzzed"), lambda: (*_parts("leaf"), *_parts("certificate"))),
        "vcek-extensions": (_leaf, partial(_parts, "leaf")),
        "pck-extensions": (_pck, _pck_certificates),
        "revocation-list": (load_crl, lambda: (*_parts("crl"), *_parts("root_crl"))),
        "ocsp": (load_ocsp, partial(_parts, "ocsp")),
        "pem": (certificates_from_pem, partial(_parts, "tcb_info_chain")),
        "pck-pem": (partial(exact_chain, what="fuzzed"), partial(_parts, "tcb_info_chain")),
        "tcb-info": (load_tcb_info, partial(_parts, "tcb_info")),
        "qe-identity": (load_qe_identity, partial(_parts, "qe_identity")),
        "ccel": (EventLog.from_bytes, _boot_logs),
        "ccel-area": (EventLog.from_ccel, lambda: [log + b"\xff" * 64 for log in _boot_logs()]),
        "dstack-log": (DstackLog.from_bytes, _runtime_logs),
        "bundle": (partial(_from_json, EvidenceBundle.from_json), _bundles),
        "device-bundle": (
            partial(_from_json, DeviceBundle.from_json),
            lambda: [canonical(each.to_json()) for each in _devices()],
        ),
        "composite": (
            Composite.from_bytes,
            lambda: [canonical(Composite(platform=None, devices=tuple(_devices())).to_json())],
        ),
        "recognise": (_file, _files),
        "attestation-report": (AttestationReport.from_bytes, partial(_parts, "document")),
        "keyset": (partial(_from_json, Keyset.from_json), lambda: [_member("keyset")]),
        "launch-document": (partial(_from_json, LaunchDocument.from_json), lambda: [_member("launch")]),
        "policy": (Policy.parse, _policies),
        "json": (parse_json, lambda: [*_ears(), b'[1, "a", {"b": null}]']),
        "ear": (_ear_payload, _ears),
        "jws": (
            partial(_text, partial(open_jws, key=_KEY.public_key(), typs=frozenset({"JWT"}))),
            lambda: [_token(b"{}")],
        ),
        "receipt": (Receipt.from_bytes, _receipt),
        "receipt-file": (ReceiptFile.from_bytes, _receipts),
        "note": (parse_note, _notes),
        "checkpoint": (partial(_text, parse_checkpoint), lambda: [b"log.example/a\n7\n" + b"A" * 43 + b"=\n"]),
        "verifier-key": (partial(_text, VerifierKey.parse), _verifier_keys),
        "tile-path": (partial(_text, parse_path), lambda: [b"tile/0/x001/067", b"tile/entries/000.p/5"]),
        "entry-bundle": (partial(parse_bundle, width=3), lambda: [encode_bundle([b"a", b"bb", b""])]),
        "wire-frames": (_frames, lambda: [frame(b"hello") + frame(b"")]),
        "strict-frames": (_strict_frames, _strict_seeds),
        "ehbp-key": (ehbp.parse_key_config, lambda: [ehbp.encode_key_config(ehbp_key().private_key.public_key())]),
        "ehbp-request": (_ehbp_request, _ehbp_seeds),
        "age-header": (parse_header, _age_headers),
        "bundle-manifest": (parse_manifest, _manifests),
        "signed-version": (SignedVersion.parse, _versions),
    }
    return tuple(Target(name=name, parse=parse, seeds=seeds) for name, (parse, seeds) in documents.items())


def _member(name: str) -> bytes:
    document, *_ = _parts("document")
    return canonical(json.loads(document)[name])


TARGETS: Mapping[str, Target] = MappingProxyType({target.name: target for target in _all()})
"""By name."""
