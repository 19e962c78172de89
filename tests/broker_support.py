"""A broker for tests: real sockets, a real log and database, the simulated platform, and headers sealed by an owner."""

from __future__ import annotations

import base64
import contextlib
import io
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import identity_support
from hermetic.broker import BrokerServer, Initialised, Seen, initialise, load_config, releases
from hermetic.channel.kem import XWingPrivateKey
from hermetic.client.broker import LeafSigner
from hermetic.evidence import SEV_SNP, EvidenceBundle, Product
from hermetic.identity import (
    ED25519,
    RELEASE,
    Attester,
    Keyset,
    LaunchDocument,
    MeasuredModel,
    PublicKey,
    Purpose,
    format_ed25519,
)
from hermetic.policy import Profile, draft_policy
from hermetic.release import Want, context_digest
from hermetic.seal import FileKey, Header, ResourceVersion, parse_recipient, sign_version
from hermetic.seal.age import make_header
from hermetic.sources.simulator.amd import SIMULATED_MEASUREMENT, SimulatedAmd
from hermetic.wire import Digest, sha256_digest

RESOURCE = "broker/clinic/triage"
OTHER = "broker/clinic/other"
VERSION = "1"
SERVICE = "clinic-chat"


@cache
def amd() -> SimulatedAmd:
    """One simulated vendor for the whole run: making its keys takes seconds."""
    with tempfile.TemporaryDirectory() as folder:
        return SimulatedAmd.load_or_create(Path(folder), now=datetime.now(UTC), product=Product.GENOA)


@dataclass(frozen=True)
class Platform:
    """The simulated platform, started with one launch document."""

    vendor: SimulatedAmd
    host_data: bytes
    tee: str = SEV_SNP

    def collect(self, report_data: bytes) -> EvidenceBundle:
        return self.vendor.issue(report_data, host_data=self.host_data, now=datetime.now(UTC))


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A launched workload with its private keys."""

    launch: LaunchDocument
    keyset: Keyset
    receipt_key: Ed25519PrivateKey
    release_key: XWingPrivateKey
    vendor: SimulatedAmd = field(default_factory=amd)

    @classmethod
    def launched(cls, launch: LaunchDocument) -> Workload:
        """With fresh keys that live for an hour."""
        receipt_key, release_key = Ed25519PrivateKey.generate(), XWingPrivateKey.generate()
        receipt = receipt_key.public_key().public_bytes_raw()
        release = release_key.public_key().raw
        keyset = Keyset(
            subject=launch.service,
            not_after=int((datetime.now(UTC) + timedelta(hours=1)).timestamp()),
            receipt_signing_keys=(PublicKey(key_id="receipt", algo=ED25519, public_key=receipt),),
            e2ee_public_keys=(PublicKey(key_id="release", algo=RELEASE, public_key=release),),
        )
        return cls(launch=launch, keyset=keyset, receipt_key=receipt_key, release_key=release_key)

    @property
    def attester(self) -> Attester:
        host_data = bytes.fromhex(self.launch.digest.removeprefix("sha256:"))
        return Attester(Platform(self.vendor, host_data), keyset=self.keyset, launch=self.launch)

    @property
    def signer(self) -> LeafSigner:
        return LeafSigner(keyset_digest=self.keyset.digest, key_id="receipt", private_key=self.receipt_key)


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """What an owner sealed for one resource: the headers, their file keys, and the manifest they belong to."""

    headers: tuple[Header, ...]
    file_keys: tuple[FileKey, ...]
    manifest_digest: Digest

    def want(self, **changes: Any) -> Want:
        fields = {"resource": RESOURCE, "version": VERSION, "headers": tuple(header.raw for header in self.headers)}
        return Want.of(**(fields | changes))


class House:
    """A broker's folder with its configuration, owner, policies and sealed versions."""

    def __init__(
        self, folder: Path, *, resource_class: str = "simulated", names: tuple[str, ...] = (RESOURCE,)
    ) -> None:
        self.folder = folder
        self.owner = Ed25519PrivateKey.generate()
        self.resources: dict[str, dict[str, str]] = {
            name: {
                "class": resource_class,
                "owner": format_ed25519(self.owner.public_key().public_bytes_raw()),
                "policy": f"{self._short(name)}.policy.toml",
                "version": f"{self._short(name)}.version.json",
            }
            for name in names
        }
        self.limits: dict[str, float] = {"requests_per_second": 100_000.0, "burst": 100_000}
        self.sealed: dict[str, Sealed] = {}
        self.write_config()
        self.made: Initialised = initialise(load_config(self.config_path))
        for name in names:
            self.seal(name)
        self.write_policies(self.launch())

    @property
    def config_path(self) -> Path:
        return self.folder / "broker.toml"

    @property
    def database(self) -> Path:
        return self.folder / "data" / "broker.sqlite3"

    def write_config(self) -> None:
        lines = ['name = "log.clinic.example/broker"', 'data = "data"', "[listen]", "port = 0", "[limits]"]
        lines += [f"{name} = {value}" for name, value in self.limits.items()]
        for name, fields in self.resources.items():
            lines += [
                "[[resources]]",
                f'name = "{name}"',
                *(f'{field} = "{fields[field]}"' for field in ("class", "owner", "policy")),
                f'versions = ["{fields["version"]}"]',
            ]
        self.config_path.write_text("\n".join(lines) + "\n")

    def seal(self, name: str = RESOURCE, *, version: str = VERSION, files: int = 2) -> Sealed:
        """The owner seals ``files`` files for the resource and signs the version."""
        recipient = parse_recipient(self.made.recipients[name])
        keys = tuple(FileKey.generate() for _ in range(files))
        headers = tuple(make_header(key, [recipient]) for key in keys)
        manifest = sha256_digest(f"manifest of {name}".encode())
        said = ResourceVersion(
            resource=name,
            version=version,
            manifest_digest=manifest,
            headers=tuple(sorted(header.digest for header in headers)),
        )
        (self.folder / self.resources[name]["version"]).write_bytes(sign_version(said, self.owner).encode())
        self.sealed[name] = Sealed(headers=headers, file_keys=keys, manifest_digest=manifest)
        return self.sealed[name]

    def launch(self, **changes: Any) -> LaunchDocument:
        models = tuple(
            MeasuredModel(name=self._short(name), manifest_digest=sealed.manifest_digest)
            for name, sealed in self.sealed.items()
        )
        fields = {"service": SERVICE, "models": models, "broker_key": self.made.broker_key}
        return identity_support.launch(**(fields | changes))

    def workload(self, **changes: Any) -> Workload:
        return Workload.launched(self.launch(**changes))

    def request(
        self,
        workload: Workload,
        *wants: Want,
        challenge: Mapping[str, Any],
        purpose: Purpose = Purpose.RELEASE,
        attested: tuple[Want, ...] | None = None,
        nonce: bytes | None = None,
    ) -> dict[str, Any]:
        """A release request as JSON.  Every argument makes a part of it differ from what an honest workload sends."""
        wants = wants or (self.sealed[RESOURCE].want(),)
        report = workload.attester.attest(
            purpose=purpose,
            nonce=bytes.fromhex(challenge["nonce"]) if nonce is None else nonce,
            context_digest=context_digest(self.made.broker_key, wants if attested is None else attested),
        )
        return {
            "challenge_id": challenge["challenge_id"],
            "log_size": 0,
            "report": report.to_json(),
            "wants": msgspec.to_builtins(wants),
        }

    def policy_text(
        self, launch: LaunchDocument, *, profile: Profile = "development", simulated_root: str | None = None
    ) -> str:
        floor = {"boot_loader": 1, "tee": 0, "snp": 1, "microcode": 1}
        measurements = [SIMULATED_MEASUREMENT.hex()]
        return draft_policy(
            launch,
            profile=profile,
            tables={"snp": {"products": ["Genoa"], "measurements": measurements, "tcb": {"Genoa": floor}}},
            simulated_root=simulated_root,
        )

    def write_policies(self, launch: LaunchDocument) -> None:
        """Policies that pin this launch document, and our simulator where the resource is a simulated one."""
        simulated = self.policy_text(launch, simulated_root=amd().root_digest)
        hardware = self.policy_text(launch, profile="production")
        for fields in self.resources.values():
            text = simulated if fields["class"] == "simulated" else hardware
            (self.folder / fields["policy"]).write_text(text)

    def seen(self, *, resource: str | None = None) -> tuple[Seen, ...]:
        return releases(load_config(self.config_path), resource=resource, limit=1000)

    @contextlib.contextmanager
    def serving(self) -> Iterator[Running]:
        """The broker on a real socket, in a thread of this process."""
        server = BrokerServer.open(self.config_path, log=(said := io.BytesIO()))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        with httpx2.Client(base_url=server.url, trust_env=False) as http:
            try:
                yield Running(house=self, server=server, http=http, said=said)
            finally:
                server.stop()
                thread.join(timeout=20)
                assert not thread.is_alive()

    @staticmethod
    def _short(name: str) -> str:
        return name.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Running:
    """A serving broker, and requests to it as anybody could write them.  ``said`` is everything it logged."""

    house: House
    server: BrokerServer
    http: httpx2.Client
    said: io.BytesIO

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    @property
    def broker_key(self) -> str:
        return self.house.made.broker_key

    def challenge(self) -> dict[str, Any]:
        answer = self.http.post("/v1/challenge")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()["document"]
        return document

    def request(self, workload: Workload, *wants: Want, **changes: Any) -> dict[str, Any]:
        """:meth:`House.request` for a fresh challenge, unless one is given."""
        return self.house.request(workload, *wants, **({"challenge": self.challenge()} | changes))

    def post(self, request: Mapping[str, Any]) -> httpx2.Response:
        return self.http.post("/v1/release", content=msgspec.json.encode(request))

    def denied(self, request: Mapping[str, Any]) -> Seen:
        """Sends a request that must be denied: tersely to the workload, and in full in the owner's newest entry."""
        before = self.server.broker.log.checkpoint.size
        answer = self.post(request)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_released"), answer.text
        newest = self.house.seen()[0]
        assert newest.log_index == before, "the denial is in the log"
        assert newest.decision.decision_id in answer.json()["error"]["message"]
        assert newest.decision.outcome == "denied"
        assert newest.decision.box_digest is None
        return newest


def checks(seen: Seen) -> set[str]:
    """The names of the checks that failed."""
    return {finding.check for finding in seen.findings}


def changed(workload: Workload, **changes: Any) -> Workload:
    """The same workload, launched with another document."""
    launch = replace(workload.launch, **changes)
    return replace(workload, launch=launch, keyset=replace(workload.keyset, subject=launch.service))


def with_keyset(workload: Workload, **changes: Any) -> Workload:
    """The same workload with another keyset."""
    return replace(workload, keyset=replace(workload.keyset, **changes))


def canary_forms(secret: bytes) -> tuple[bytes, ...]:
    """How a secret could show itself: raw, hex, base64, and base64 without padding."""
    encoded = base64.b64encode(secret)
    return (secret, secret.hex().encode(), secret.hex().upper().encode(), encoded, encoded.rstrip(b"="))
