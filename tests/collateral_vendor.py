"""A local server that plays the vendors of collateral, over real sockets: honest, and hostile where a test says so.

It publishes what recorded evidence came with, or what the forges sign, under the vendors' own paths, which are written
down here once more.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

import nvidia_forge as forge
from hermetic.evidence import EvidenceBundle, Product, SigningKey, SnpReport
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.sources.collateral import Services

HTML = b"<html><body>The service is being maintained.</body></html>"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer.  ``cut`` sends only so many bytes of what was announced; ``pace`` waits before every further byte."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/octet-stream"
    cut: int | None = None
    pace: float = 0.0


BUSY = Reply(status=429, headers={"Retry-After": "0"})
Answerer = Reply | Callable[[bytes], Reply]


class Vendor:
    """The vendors, all at one address.  ``asked`` counts requests by path."""

    def __init__(self) -> None:
        self.published: dict[str, Answerer] = {}
        self.asked: Counter[str] = Counter()
        self.gate = threading.Event()  # closed, it holds every answer back
        self.gate.set()
        self.stopped = False
        self._before: dict[str, list[Reply]] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler_for(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Vendor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """From here on nobody answers, on no connection."""
        self.stopped = True
        self.gate.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def services(self) -> Services:
        root_crl = f"{self.url}/IntelSGXRootCA.der"
        return Services(kds=self.url, pcs=self.url, intel_root_crl=root_crl, rim=self.url, ocsp=f"{self.url}/ocsp")

    def first(self, path: str, *replies: Reply) -> None:
        """Answers ``path`` with each of ``replies`` once, before what is published there."""
        self._before[path] = list(replies)

    def change(self, path: str, **changes: Any) -> None:
        """Changes some of what is published at ``path``."""
        published = self.published[path]
        assert isinstance(published, Reply)
        self.published[path] = replace(published, **changes)

    def reply(self, path: str, body: bytes) -> Reply:
        with self._lock:
            self.asked[path] += 1
            waiting = self._before.get(path)
            if waiting:
                return waiting.pop(0)
        self.gate.wait(20)
        found = self.published.get(path, Reply(status=404))
        return found(body) if callable(found) else found

    # What is published where

    def publish_amd(self, bundle: EvidenceBundle) -> dict[str, str]:
        """The endorsements of a SEV-SNP report, as AMD's KDS has them.  The paths, by endorsement."""
        report, given = SnpReport.from_bytes(bundle.evidence), bundle.endorsements
        product = _product(given["root"])
        kind = "vlek" if report.signing_key is SigningKey.VLEK else "vcek"
        tcb, turin = report.reported_tcb.decode(product), product is Product.TURIN
        fmc = f"fmcSPL={tcb.fmc:02}&" if turin else ""
        paths = {
            "leaf": f"/vcek/v1/{product}/{report.chip_id[: 8 if turin else 64].hex()}?{fmc}blSPL={tcb.boot_loader:02}"
            f"&teeSPL={tcb.tee:02}&snpSPL={tcb.snp:02}&ucodeSPL={tcb.microcode:02}",
            "chain": f"/{kind}/v1/{product}/cert_chain",
            "crl": f"/vcek/v1/{product}/crl",
        }
        if kind == "vcek":
            self.published[paths["leaf"]] = Reply(body=given["leaf"])
        self.published[paths["chain"]] = Reply(body=pem(given["intermediate"], given["root"]))
        self.published[paths["crl"]] = Reply(body=given["crl"])
        return paths

    def publish_intel(self, bundle: EvidenceBundle, *, fmspc: str, authority: str = "platform") -> dict[str, str]:
        """The endorsements of a quote, as Intel's PCS has them.  The paths, by endorsement."""
        given, base = bundle.endorsements, f"/{bundle.tee}/certification/v4"
        paths = {
            "tcb_info": f"{base}/tcb?fmspc={fmspc}",
            "qe_identity": f"{base}/qe/identity",
            "pck_crl": f"/sgx/certification/v4/pckcrl?ca={authority}&encoding=der",
            "root_crl": "/IntelSGXRootCA.der",
        }
        chains = {
            "tcb_info": "TCB-Info-Issuer-Chain",
            "qe_identity": "SGX-Enclave-Identity-Issuer-Chain",
            "pck_crl": "SGX-PCK-CRL-Issuer-Chain",
        }
        for name, path in paths.items():
            headers = {chains[name]: quote(given[f"{name}_chain"].rstrip(b"\0"))} if name in chains else {}
            self.published[path] = Reply(body=given[name], headers=headers)
        return paths

    def publish_nvidia(self, bundle: DeviceBundle) -> dict[str, str]:
        """The manifests of a device, as NVIDIA's RIM service has them.  The paths, by manifest."""
        paths = {name: f"/v1/rim/{name}" for name in bundle.rims}
        for name, document in bundle.rims.items():
            stated = {
                "id": name,
                "rim": base64.b64encode(document).decode(),
                "sha256": hashlib.sha256(document).hexdigest(),
                "last_updated": "2026-01-01T00:00:00.000000",
                "rim_format": "TCG",
                "request_id": "0",
            }
            self.published[paths[name]] = Reply(body=json.dumps(stated).encode(), content_type="application/json")
        return paths

    def publish_ocsp(self, chains: tuple[tuple[forge.Entry, ...], ...], **changes: Any) -> None:
        """A responder for the forge's certificates, which repeats the nonce of whoever asks with one."""
        pairs = {_named(*pair): pair for chain in chains for pair in itertools.pairwise(chain)}

        def answer(body: bytes) -> Reply:
            request = ocsp.load_der_ocsp_request(body)
            nonces = [entry.value.nonce for entry in request.extensions if isinstance(entry.value, x509.OCSPNonce)]
            subject, issuer = pairs[request.serial_number, request.issuer_key_hash]
            made = forge.answer(subject, issuer, **({"nonce": nonces[0] if nonces else None} | changes))
            return Reply(body=made, content_type="application/ocsp-response")

        self.published["/ocsp"] = answer


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that has seen enough goes away, and that is all."""


def _handler_for(vendor: Vendor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            if vendor.stopped:
                self.close_connection = True
                return
            reply = vendor.reply(self.path, body)
            self.send_response(reply.status)
            for name, value in {"Content-Type": reply.content_type, **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            try:
                if reply.pace:
                    for byte in reply.body:
                        self.wfile.write(bytes((byte,)))
                        time.sleep(reply.pace)
                else:
                    self.wfile.write(reply.body[: reply.cut])
            except OSError:  # the client has seen enough
                self.close_connection = True
            if reply.cut is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _named(subject: forge.Entry, issuer: forge.Entry) -> tuple[int, bytes]:
    """How a request names a certificate."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(subject.certificate, issuer.certificate, hashes.SHA384())
    request = builder.build()
    return request.serial_number, request.issuer_key_hash


def _product(root: bytes) -> Product:
    name = x509.load_der_x509_certificate(root).subject.rfc4514_string()
    return next(product for product in Product if f"CN=ARK-{product}" in name)


def pem(*ders: bytes) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in ders)
