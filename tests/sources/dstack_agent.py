"""A dstack guest agent on a real Unix socket (dstack's agent_rpc.proto), over a simulated Intel.

It answers what the agent answers: ``/GetQuote``, ``/Info`` and ``/Version``, and ``/prpc/Tappd.…`` as agents before
0.5 did.  A test may replace the answer of any path.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

from hermetic.evidence import TDX, EvidenceBundle, TdxQuote
from hermetic.sources.simulator.tdx_platform import TdxPlatform
from quote_support import LAUNCH, intel
from snp_support import NOW

__all__ = ["COMPOSE_HASH", "VM_CONFIG", "Answers", "agent", "dstack_bundle"]

APP_ID, INSTANCE_ID = bytes(range(20)), bytes(range(20, 40))
COMPOSE_HASH = hashlib.sha256(b"services: {}").digest()
VM_CONFIG = json.dumps({"cpu_count": 2, "memory_size": 4294967296})
_EVENTS = (("app-id", APP_ID), ("compose-hash", COMPOSE_HASH), ("instance-id", INSTANCE_ID))

Answers = dict[str, Callable[[dict[str, Any]], tuple[int, bytes]]]
"""By path: from the request's JSON to the status and the body."""


def dstack_bundle(report_data: bytes) -> EvidenceBundle:
    """A quote of a dstack machine, with its event log and Intel's collateral."""
    platform = TdxPlatform(events=_EVENTS)
    return intel().issue(report_data, tee=TDX, launch_digest=LAUNCH, now=NOW, platform=platform)


@contextmanager
def agent(path: Path, answers: Answers | None = None) -> Iterator[Path]:
    """``path`` while an agent listens there."""
    known: Answers = {
        "/GetQuote": _get_quote,
        "/Info": _info,
        "/Version": lambda _: _ok({"version": "0.5.7", "rev": "0123abc"}),
        "/prpc/Tappd.TdxQuote": _tdx_quote,
        "/prpc/Tappd.Info": _info,
        **(answers or {}),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, data = known[self.path](body) if self.path in known else (404, b"{}")
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def address_string(self) -> str:
            return "a process"

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingUnixStreamServer(str(path), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield path
        server.shutdown()
        thread.join()


def _ok(answer: object) -> tuple[int, bytes]:
    return 200, json.dumps(answer).encode()


def _get_quote(body: dict[str, Any]) -> tuple[int, bytes]:
    # As the agent does: shorter report data is padded, longer refused.
    report_data = bytes.fromhex(body["report_data"])
    if len(report_data) > 64:
        return 400, b'{"error": "Report data is too long"}'
    return _ok({**_quote(report_data.ljust(64, b"\0")), "vm_config": VM_CONFIG})


def _tdx_quote(body: dict[str, Any]) -> tuple[int, bytes]:
    report_data = bytes.fromhex(body["report_data"])
    if body.get("hash_algorithm", "sha512") != "raw":
        report_data = hashlib.sha512(b"app-data:" + report_data).digest()
    return _ok({**_quote(report_data), "hash_algorithm": "raw", "prefix": ""})


def _quote(report_data: bytes) -> dict[str, str]:
    bundle = dstack_bundle(report_data)
    log = bundle.event_logs["dstack"].decode()
    return {"quote": bundle.evidence.hex(), "event_log": log, "report_data": report_data.hex()}


def _info(_: dict[str, Any]) -> tuple[int, bytes]:
    bundle = dstack_bundle(bytes(64))
    body = TdxQuote.from_bytes(bundle.evidence).body
    tcb = {
        "mrtd": body.mr_td.hex(),
        **{f"rtmr{index}": value.hex() for index, value in enumerate(body.rtmrs)},
        "mr_aggregated": "00" * 32,
        "os_image_hash": "",
        "compose_hash": COMPOSE_HASH.hex(),
        "device_id": "00" * 32,
        "app_compose": "{}",
        "event_log": json.loads(bundle.event_logs["dstack"]),
    }
    answer = {
        "app_id": APP_ID.hex(),
        "instance_id": INSTANCE_ID.hex(),
        "app_cert": "",
        "app_name": "tests",
        "tcb_info": json.dumps(tcb),
        "device_id": "00" * 32,
        "mr_aggregated": "00" * 32,
        "os_image_hash": "",
        "key_provider_info": "",
        "compose_hash": COMPOSE_HASH.hex(),
        "vm_config": VM_CONFIG,
        "cloud_vendor": "",
        "cloud_product": "",
    }
    return _ok(answer)
