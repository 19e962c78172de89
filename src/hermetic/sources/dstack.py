"""TDX evidence inside a dstack machine (Phala Cloud): its guest agent answers over a Unix socket, in JSON over HTTP.

    POST /GetQuote  {"report_data": hex}   → {"quote": hex, "event_log": JSON as text, "vm_config": text, …}
    POST /Info      {}                     → {"app_id": hex, "compose_hash": hex, …}
    POST /Version   {}                     → {"version", "rev"}, from dstack 0.5.7 on

Agents before 0.5 listen on ``tappd.sock`` and know ``/prpc/Tappd.TdxQuote`` instead.

The agent asks nobody who they are: every process that reaches the socket gets a quote over report data of its choice.
So a quote of dstack's says "something in this machine", never "this program"; that nothing else runs there is what the
compose hash in the event log has to show.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hermetic.errors import Malformed, Unavailable
from hermetic.evidence import TDX, EvidenceBundle
from hermetic.sources.device_lock import DeviceLock
from hermetic.sources.quote import quote_bundle
from hermetic.wire import parse_object, unhex

__all__ = ["SOCKETS", "DstackInfo", "DstackQuote", "DstackSource", "find_socket"]

SOCKETS = (
    "var/run/dstack.sock",
    "run/dstack.sock",
    "var/run/dstack/dstack.sock",
    "run/dstack/dstack.sock",
    "var/run/tappd.sock",
    "run/tappd.sock",
    "var/run/dstack/tappd.sock",
    "run/dstack/tappd.sock",
)
"""Where agents have listened, the newest name first; beneath the root of the file system."""

_REPORT_DATA = 64
_ANSWER_LIMIT = 4 * 1024 * 1024
_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DstackQuote:
    """An answer of the agent.  ``event_log`` is JSON and ``vm_config`` text, as they came: the agent's word so far."""

    quote: bytes = field(repr=False)
    event_log: bytes = field(repr=False)
    vm_config: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DstackInfo:
    """What the agent says of the application.  No signature covers it: the event log says the same, measured."""

    app_name: str
    app_id: str
    instance_id: str
    compose_hash: str


class DstackSource:
    """The agent behind ``path``.  Safe to share between threads and objects: one request at a time.

    ``timeout`` is in seconds and covers the wait for other requests.  Methods raise Unavailable where the agent does
    not answer or answers with an error, and Malformed where its answer cannot be read.
    """

    tee = TDX

    def __init__(self, path: Path | None = None, *, timeout: float = _TIMEOUT) -> None:
        self._path = path or find_socket(Path("/")) or Path("/") / SOCKETS[0]
        self._device = DeviceLock(f"dstack ({self._path})", timeout=timeout)
        self._timeout = timeout

    def collect(self, report_data: bytes) -> EvidenceBundle:
        """A fresh quote over ``report_data`` (64 bytes) and dstack's event log."""
        answer = self.quote(report_data)
        logs = {"dstack": answer.event_log} if answer.event_log else {}
        return quote_bundle(TDX, answer.quote, report_data=report_data, event_logs=logs)

    def quote(self, report_data: bytes) -> DstackQuote:
        """What ``GetQuote`` answers, with all that does not fit into an evidence bundle."""
        if len(report_data) != _REPORT_DATA:
            raise Malformed(f"report data: expected {_REPORT_DATA} bytes, got {len(report_data)}")
        asked = {"report_data": report_data.hex()}
        if self._path.name == "tappd.sock":
            # "raw": it would hash the report data otherwise, and nobody could compare it.
            answer = self._post("/prpc/Tappd.TdxQuote", {**asked, "hash_algorithm": "raw"})
        else:
            answer = self._post("/GetQuote", asked)
        quote = _text(answer, "quote").removeprefix("0x")
        return DstackQuote(
            quote=unhex(quote, what="dstack quote"),
            event_log=_text(answer, "event_log").encode(),
            vm_config=_text(answer, "vm_config", ""),
        )

    def info(self) -> DstackInfo:
        """What the agent says of the application."""
        answer = self._post("/prpc/Tappd.Info" if self._path.name == "tappd.sock" else "/Info", {})
        names = ("app_name", "app_id", "instance_id", "compose_hash")
        return DstackInfo(**{name: _text(answer, name, "") for name in names})

    def version(self) -> str:
        """The agent's version, or an empty text for one that is too old to say."""
        try:
            return _text(self._post("/Version", {}), "version")
        except Unavailable as refusal:
            if refusal.code == "dstack_unknown":
                return ""
            raise

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._device.ask(lambda: self._exchange(path, body))

    def _exchange(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        import httpx2

        # No TLS is spoken over the socket; a context that trusts nobody also spares reading the system's roots.
        transport = httpx2.HTTPTransport(uds=os.fspath(self._path), verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        try:
            with (
                httpx2.Client(transport=transport, timeout=self._timeout, trust_env=False) as client,
                client.stream("POST", f"http://dstack{path}", json=body) as response,
            ):
                data = _limited(response.iter_bytes())
                status = response.status_code
        except httpx2.HTTPError as error:
            raise Unavailable(
                f"the dstack agent does not answer: {type(error).__name__} ({self._path})",
                fix="mount its socket into the container: volumes: [/var/run/dstack.sock:/var/run/dstack.sock]",
            ) from error
        if status != 200:
            code = "dstack_unknown" if status == 404 else "dstack_refused"
            raise Unavailable(f"the dstack agent answers {path} with status {status}", code=code)
        answer = parse_object(data, what="the dstack agent's answer", limit=_ANSWER_LIMIT)
        if "error" in answer:
            raise Unavailable(f"the dstack agent answers {path} with an error", code="dstack_refused")
        return answer


def find_socket(root: Path) -> Path | None:
    """The first of SOCKETS that is there beneath ``root``."""
    return next((root / name for name in SOCKETS if (root / name).exists()), None)


def _limited(parts: Iterable[bytes]) -> bytes:
    data = bytearray()
    for part in parts:
        data += part
        if len(data) > _ANSWER_LIMIT:
            raise Malformed(f"the dstack agent's answer is larger than {_ANSWER_LIMIT} bytes")
    return bytes(data)


def _text(answer: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = answer.get(name, default)
    if not isinstance(value, str):
        raise Malformed(f"the dstack agent's answer: expected a text as {name}")
    return value
