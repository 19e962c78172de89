"""What collateral costs: fetched from a vendor on this machine, out of the cache on disk, and not at all.

    python -m bench.collateral [--rounds N]      prints one JSON object, times in milliseconds

For a SEV-SNP report, a TDX quote and a GPU, each simulated.  ``cold``: nothing is kept; every document is fetched over
a socket from a server in a process of its own, which has them ready.  So this is our own share of fetching: a real
vendor adds its latency, once for each stage (a GPU has two), since documents are fetched at the same time.  Of it,
``client`` is what making an HTTP client costs, once in a process: it loads the system's TLS roots.  ``warm``: all is
read from the disk and judged again.  ``stapled``: the evidence brings it along.  ``verify``: what verifying the result
takes, for scale.  All take turns within a round.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx2

from hermetic.evidence import TDX
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.sources.collateral import Endorser, Services
from hermetic.sources.collateral.amd import amd_wanted
from hermetic.sources.collateral.intel import intel_wanted
from hermetic.sources.collateral.nvidia import manifests_wanted, statuses_wanted
from hermetic.sources.collateral.question import Kind, Parts
from hermetic.sources.collateral.supply import Wanted
from hermetic.sources.simulator.amd import SimulatedAmd
from hermetic.sources.simulator.intel import SimulatedIntel
from hermetic.sources.simulator.nvidia import SimulatedNvidia
from hermetic.verify import simulated_root, verify
from hermetic.verify.nvidia import verify_device

NOW = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
_NOWHERE = "http://127.0.0.1:1"

Published = dict[str, tuple[str, dict[str, str]]]
"""Body (base64) and headers, by path and digest of what was posted there."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One kind of evidence: all that its vendor says, and the four things that are timed."""

    published: Published
    endorse: Callable[[Endorser], object]
    stapled: Callable[[Endorser], object]
    verify: Callable[[], object]


def cases() -> dict[str, Case]:
    with tempfile.TemporaryDirectory() as folder:
        amd = SimulatedAmd.load_or_create(Path(folder), now=NOW)
    snp = amd.issue(bytes(64), host_data=bytes(32), now=NOW)
    intel = SimulatedIntel.create(created=NOW, seed=bytes(32))
    tdx = intel.issue(bytes(64), tee=TDX, launch_digest=bytes(32), now=NOW)
    nvidia = SimulatedNvidia.create(created=NOW, seed=bytes(32))
    (gpu,) = nvidia.issue(bytes(32), now=NOW)
    nowhere = _services(_NOWHERE)
    found: dict[str, Case] = {}
    for name, bundle, wanted, root in (
        ("sev_snp", snp, amd_wanted(snp, nowhere), amd.root_digest),
        ("tdx", tdx, intel_wanted(tdx, nowhere), intel.root_digest),
    ):
        bare, roots = replace(bundle, endorsements={}), (simulated_root(root),)
        found[name] = Case(
            published=dict(_publish(each, bundle.endorsements) for each in wanted),
            endorse=partial(Endorser.endorse, bundle=bare, now=NOW),
            stapled=partial(Endorser.endorse, bundle=bundle, now=NOW),
            verify=partial(verify, bundle, roots=roots, now=NOW, report_data=bytes(64)),
        )
    found["gpu"] = Case(
        published=_publish_device(gpu, nowhere),
        endorse=partial(Endorser.endorse_device, bundle=replace(gpu, rims={}, ocsp=()), now=NOW),
        stapled=partial(Endorser.endorse_device, bundle=gpu, now=NOW),
        verify=partial(verify_device, gpu, roots=nvidia.roots, now=NOW, nonce=bytes(32)),
    )
    return found


def _publish(wanted: Wanted, parts: Parts) -> tuple[str, tuple[str, dict[str, str]]]:
    """What a vendor answers, so that our own reading of it gives ``parts``."""
    request = wanted.question.request
    assert request is not None
    (name, kind), *others = wanted.question.names.items()
    body, headers = parts[name], {}
    if kind is Kind.CERTIFICATE and others:
        body = b"".join(_pem(parts[each]) for each in wanted.question.names)
    elif others:
        headers = {request.headers[0]: quote(parts[others[0][0]])}
    elif kind is Kind.RIM:
        stated = {"id": name, "rim": base64.b64encode(body).decode(), "sha256": hashlib.sha256(body).hexdigest()}
        body = json.dumps(stated).encode()
    return _key(_path(request.url), request.body or b""), (base64.b64encode(body).decode(), headers)


def _publish_device(gpu: DeviceBundle, services: Services) -> Published:
    published = dict(_publish(wanted, gpu.rims) for wanted in manifests_wanted(gpu, services))
    for wanted in statuses_wanted(gpu, gpu.rims, services):
        parts = next(parts for parts in wanted.came if wanted.question.judge(parts))
        published |= dict([_publish(wanted, parts)])
    return published


def _pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


def _path(url: str) -> str:
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _key(path: str, body: bytes) -> str:
    return f"{path} {hashlib.sha256(body).hexdigest()}"


def _services(url: str) -> Services:
    return Services(kds=url, pcs=url, intel_root_crl=f"{url}/root", rim=url, ocsp=f"{url}/ocsp")


def serve() -> None:
    """The vendor: reads what is published, says its address, answers until it is killed."""
    published: Published = json.loads(sys.stdin.readline())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, posted: bytes) -> None:
            text, headers = published[_key(self.path, posted)]
            body = base64.b64decode(text)
            self.send_response(200)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


@contextmanager
def vendor(published: Published) -> Iterator[Services]:
    command = [sys.executable, "-m", "bench.collateral", "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(published) + "\n")
        process.stdin.flush()
        try:
            yield _services(process.stdout.readline().strip())
        finally:
            process.kill()


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def measure_case(case: Case, rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {"cold": [], "warm": [], "stapled": [], "verify": [], "client": []}
    with vendor(case.published) as services, tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            with Endorser(Path(folder) / str(number), services=services) as made:
                times["cold"].append(timed(partial(case.endorse, made)))
            with Endorser(Path(folder) / str(number), services=services) as made:  # a process that starts warm
                times["warm"].append(timed(partial(case.endorse, made)))
                times["stapled"].append(timed(partial(case.stapled, made)))
            times["verify"].append(timed(case.verify))
            times["client"].append(timed(partial(httpx2.Client, trust_env=False)))
    return {name: round(statistics.median(each), 3) for name, each in times.items()}


def measure(rounds: int) -> dict[str, object]:
    found = {name: measure_case(case, rounds) for name, case in cases().items()}
    documents = {name: len(case.published) for name, case in cases().items()}
    return {"name": "collateral", "unit": "ms", "rounds": rounds, "documents": documents, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--serve", action="store_true", help="be the vendor")
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    print(json.dumps(measure(options.rounds)))


if __name__ == "__main__":
    main()
