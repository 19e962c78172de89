"""Challenge, verification and release against a serving broker, at 1, 16 and 64 clients.

    python -m bench.broker [--requests N] [--clients 1,16,64]      prints one JSON object

The broker is ``hermetic broker serve`` in a process of its own, with its database and its log on this disk: every grant
waits for both to be durable.  At each level all challenges are asked for first, then the simulated platform makes the
evidence, off the clock, then all releases are asked for, each by as many connections as there are clients.  *Both* is
one challenge and one release together: what a workload waits for beside its own hardware.  Each release is verified
evidence, an appraised policy, an unwrapped post-quantum header, a signed decision in the log, and a sealed box.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hermetic.broker import initialise, load_config
from hermetic.channel.kem import XWingPrivateKey
from hermetic.evidence import SEV_SNP, EvidenceBundle
from hermetic.identity import (
    RELEASE,
    Attester,
    Keyset,
    LaunchDocument,
    MeasuredModel,
    PublicKey,
    Purpose,
    format_ed25519,
)
from hermetic.policy import draft_policy
from hermetic.release import Want, context_digest
from hermetic.seal import FileKey, ResourceVersion, parse_recipient, sign_version
from hermetic.seal.age import make_header
from hermetic.sources.simulator.amd import SIMULATED_MEASUREMENT, SimulatedAmd
from hermetic.wire import sha256_digest

RESOURCE = "broker/bench/model"
MANIFEST = sha256_digest(b"manifest")


@dataclass(frozen=True)
class Platform:
    """The simulated platform, started with one launch document."""

    vendor: SimulatedAmd
    host_data: bytes
    tee: str = SEV_SNP

    def collect(self, report_data: bytes) -> EvidenceBundle:
        return self.vendor.issue(report_data, host_data=self.host_data, now=datetime.now(UTC))


@dataclass(frozen=True)
class Setting:
    """A broker's folder that is ready to serve, and a workload that its policy accepts."""

    config: Path
    broker_key: str
    attester: Attester
    want: Want

    def request(self, challenge: dict[str, Any]) -> bytes:
        """The body of a release, evidence included."""
        report = self.attester.attest(
            purpose=Purpose.RELEASE,
            nonce=bytes.fromhex(challenge["nonce"]),
            context_digest=context_digest(self.broker_key, (self.want,)),
        )
        fields = {
            "challenge_id": challenge["challenge_id"],
            "log_size": 0,
            "report": report.to_json(),
            "wants": [msgspec.to_builtins(self.want)],
        }
        return msgspec.json.encode(fields)


def prepare(folder: Path, requests: int) -> Setting:
    """Makes the broker, seals for it, pins the workload."""
    owner, vendor = Ed25519PrivateKey.generate(), SimulatedAmd.load_or_create(folder / "amd", now=datetime.now(UTC))
    owner_key = format_ed25519(owner.public_key().public_bytes_raw())
    config = folder / "broker.toml"
    config.write_text(
        'name = "log.bench.example/broker"\ndata = "data"\n[listen]\nport = 0\n'
        f"[limits]\nrequests_per_second = 1000000.0\nburst = 1000000\nchallenges = {8 * requests}\n"
        f'[[resources]]\nname = "{RESOURCE}"\nclass = "simulated"\nowner = "{owner_key}"\n'
        'policy = "policy.toml"\nversions = ["version.json"]\n'
    )
    made = initialise(load_config(config))
    header = make_header(FileKey.generate(), [parse_recipient(made.recipients[RESOURCE])])
    version = ResourceVersion(resource=RESOURCE, version="1", manifest_digest=MANIFEST, headers=(header.digest,))
    (folder / "version.json").write_bytes(sign_version(version, owner).encode())
    launch = LaunchDocument(
        service="bench",
        program_digest=sha256_digest(b"program"),
        argv=("hermetic", "serve"),
        environment={},
        config_digest=sha256_digest(b"config"),
        models=(MeasuredModel(name="model", manifest_digest=MANIFEST),),
        broker_key=made.broker_key,
        outbound={},
    )
    policy = draft_policy(
        launch,
        profile="development",
        tables={"snp": {"products": [str(vendor.product)], "measurements": [SIMULATED_MEASUREMENT.hex()]}},
        simulated_root=vendor.root_digest,
    )
    (folder / "policy.toml").write_text(policy)
    release_key = XWingPrivateKey.generate().public_key().raw
    keyset = Keyset(
        subject=launch.service,
        not_after=int((datetime.now(UTC) + timedelta(hours=1)).timestamp()),
        receipt_signing_keys=(),
        e2ee_public_keys=(PublicKey(key_id="release", algo=RELEASE, public_key=release_key),),
    )
    platform = Platform(vendor, bytes.fromhex(launch.digest.removeprefix("sha256:")))
    return Setting(
        config=config,
        broker_key=made.broker_key,
        attester=Attester(platform, keyset=keyset, launch=launch),
        want=Want.of(resource=RESOURCE, version="1", headers=(header.raw,)),
    )


@contextmanager
def serving(setting: Setting) -> Iterator[tuple[str, int]]:
    """The broker in a process of its own; host and port."""
    command = [sys.executable, "-m", "hermetic", "broker", "serve", "--config", str(setting.config), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        host, _, port = json.loads(process.stdout.readline())["url"].removeprefix("http://").rpartition(":")
        yield host, int(port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        process.stdout.close()


async def ask(address: tuple[str, int], path: str, bodies: Sequence[bytes], clients: int) -> list[tuple[float, bytes]]:
    """Posts every body, ``clients`` at a time, each on its own connection: seconds and answer, in order."""
    answers: list[tuple[float, bytes]] = [(0.0, b"")] * len(bodies)
    waiting = iter(range(len(bodies)))

    async def client() -> None:
        reader, writer = await asyncio.open_connection(*address, limit=1 << 20)
        for number in waiting:
            head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-length: {len(bodies[number])}\r\n\r\n".encode()
            started = time.perf_counter()
            writer.write(head + bodies[number])
            answer = await _answer(reader)
            answers[number] = (time.perf_counter() - started, answer)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(client() for _ in range(clients)))
    return answers


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 200 "), head
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    return await reader.readexactly(length)


def level(setting: Setting, address: tuple[str, int], *, clients: int, requests: int) -> dict[str, Any]:
    """Figures for one number of clients."""
    challenges = asyncio.run(ask(address, "/v1/challenge", [b""] * requests, clients))
    bodies = [setting.request(json.loads(answer)["document"]) for _, answer in challenges]
    started = time.perf_counter()
    grants = asyncio.run(ask(address, "/v1/release", bodies, clients))
    seconds = time.perf_counter() - started
    assert all(json.loads(answer)["receipt"]["document"]["outcome"] == "granted" for _, answer in grants)
    both = [first + second for (first, _), (second, _) in zip(challenges, grants, strict=True)]
    return {
        "clients": clients,
        "requests": requests,
        "challenge_ms": _figures([took for took, _ in challenges]),
        "release_ms": _figures([took for took, _ in grants]),
        "both_ms": _figures(both),
        "releases_per_second": round(requests / seconds, 1),
    }


def _figures(seconds: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"p50": round(cuts[49] * 1000, 2), "p99": round(cuts[98] * 1000, 2)}


def run(*, clients: Sequence[int] = (1, 16, 64), requests: int = 500) -> dict[str, Any]:
    """Every level against one broker, after a warm-up."""
    with tempfile.TemporaryDirectory() as name:
        setting = prepare(Path(name), requests)
        with serving(setting) as address:
            level(setting, address, clients=max(clients), requests=max(clients))
            levels = [level(setting, address, clients=count, requests=requests) for count in clients]
    return {"name": "broker", "cores": os.cpu_count(), "levels": levels}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=500, help="challenges and releases at each level")
    parser.add_argument("--clients", default="1,16,64", help="comma-separated")
    arguments = parser.parse_args()
    clients = [int(count) for count in arguments.clients.split(",")]
    print(json.dumps(run(clients=clients, requests=arguments.requests), indent=2))


if __name__ == "__main__":
    main()
