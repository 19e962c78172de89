"""A whole NVIDIA in software: roots, device chains, manifests, answers about revocation, and reports as real ones are.

It proves the chain and keeps no secret from the machine it runs on: whoever can read its state can issue anything.  So
its two roots are nobody's but its own, drawn anew for each installation, and a relying party must pin them by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar, cast

from cryptography import x509

from hermetic.evidence.nvidia import DeviceBundle, NvidiaReport
from hermetic.sources.simulator.day import yesterday
from hermetic.sources.simulator.ec import EcKeys, raw_signature
from hermetic.sources.simulator.nvidia_device import Links, NvidiaDevice, NvidiaSwitch
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.sources.simulator.nvidia_pki import (
    Issued,
    device_root,
    device_templates,
    issue_chain,
    signer_templates,
)
from hermetic.sources.simulator.nvidia_rim import Rim, sign_manifest
from hermetic.sources.simulator.nvidia_status import answer
from hermetic.sources.simulator.seeded import SeededInstallation
from hermetic.verify.nvidia import NvidiaRoots, simulated_nvidia_roots
from hermetic.wire import Digest, sha256_digest

VENDOR = "nvidia"

_ANSWER_LIFE = timedelta(days=7)
_PDI = 8
_REMEMBERED = 512
T = TypeVar("T")
_REVOCABLE_OF_DEVICE, _REVOCABLE_OF_SIGNER = range(1, 4), range(3)


class SimulatedNvidia:
    """One simulated vendor with any number of devices, told apart by number.  Safe to share between threads."""

    def __init__(self, installation: SeededInstallation) -> None:
        self._installation = installation
        self._keys = installation.keys
        self._made: dict[Hashable, object] = {}

    @classmethod
    def create(cls, *, created: datetime, seed: bytes) -> SimulatedNvidia:
        """The vendor of a seed (32 bytes).  For tests: whoever knows the seed can issue its evidence."""
        return cls(SeededInstallation.create(vendor=VENDOR, created=created, seed=seed, make_roots=_roots))

    @classmethod
    def load_or_create(cls, state_dir: Path, *, now: datetime) -> SimulatedNvidia:
        """The simulated NVIDIA kept in ``state_dir``; see :meth:`SeededInstallation.load_or_create`."""
        return cls(SeededInstallation.load_or_create(state_dir, vendor=VENDOR, now=now, make_roots=_roots))

    @property
    def device_root_digest(self) -> Digest:
        """What a relying party pins as ``simulated_device_root``."""
        return sha256_digest(self._installation.roots["device"])

    @property
    def manifest_root_digest(self) -> Digest:
        """What a relying party pins as ``simulated_manifest_root``."""
        return sha256_digest(self._installation.roots["manifest"])

    @property
    def roots(self) -> NvidiaRoots:
        """Both, as verifiers take them."""
        return simulated_nvidia_roots(self.device_root_digest, self.manifest_root_digest)

    @property
    def keys(self) -> EcKeys:
        """Its keys, for whoever exchanges parts of what it issues."""
        return self._keys

    def issue(self, nonce: bytes, *, now: datetime, machine: NvidiaMachine | None = None) -> tuple[DeviceBundle, ...]:
        """A report over ``nonce`` (32 bytes) of each device, with everything needed to verify it at ``now``."""
        made = machine or NvidiaMachine()
        devices = tuple(enumerate(made.devices(), made.first))
        switches = tuple(number for number, device in devices if isinstance(device, NvidiaSwitch))
        gpus = tuple(number for number, _ in devices if number not in switches)
        return tuple(
            self._bundle(device, number, nonce, self._links(number, gpus, switches), now) for number, device in devices
        )

    def chain(self, device: NvidiaDevice, number: int) -> tuple[Issued, ...]:
        """The certificates of the device with this number, leaf first."""
        made = (device.architecture, number, device.fwid)
        return self._once(("chain", *made), lambda: self._make_chain(device, number))

    def signers(self) -> tuple[Issued, ...]:
        """The certificates of who signs manifests, leaf first."""
        return self._once("signers", self._make_signers)

    def sign(self, report: NvidiaReport, leaf: Issued) -> bytes:
        """The whole report with a signature by ``leaf``."""
        return replace(report, signature=raw_signature(leaf.key, report.signed_bytes(), "sha384")).to_bytes()

    def manifest(self, rim: Rim) -> bytes:
        """``rim``, signed.  Raises Misconfigured without lxml."""
        return self._once(("rim", rim.content()), lambda: sign_manifest(rim.content(), self.signers()))

    def answers(self, chain: tuple[Issued, ...], subjects: range, *, now: datetime) -> tuple[bytes, ...]:
        """What the issuers of ``subjects`` (positions in ``chain``) say about them today: that they are good."""
        first = yesterday(now)

        def good(subject: Issued, issuer: Issued) -> bytes:
            return self._once(
                ("answer", subject.der, first), lambda: answer(subject, issuer, first=first, last=first + _ANSWER_LIFE)
            )

        return tuple(good(chain[at], chain[at + 1]) for at in subjects)

    def _bundle(self, device: NvidiaDevice, number: int, nonce: bytes, links: Links, now: datetime) -> DeviceBundle:
        chain = self.chain(device, number)
        own_nonce = self._keys.secret("responder nonce", 32, nonce, bytes((number,)))
        report = device.report(nonce, own_nonce, links)
        return DeviceBundle(
            evidence=self.sign(report, chain[0]),
            certificates=tuple(entry.der for entry in chain),
            rims={name: self.manifest(rim) for name, rim in device.rims().items()},
            ocsp=(
                *self.answers(chain, _REVOCABLE_OF_DEVICE, now=now),
                *self.answers(self.signers(), _REVOCABLE_OF_SIGNER, now=now),
            ),
        )

    def _links(self, number: int, gpus: tuple[int, ...], switches: tuple[int, ...]) -> Links:
        if number in switches:
            return Links(switches=(self._pdi("switch", number),), gpus=tuple(self._pdi("gpu", n) for n in gpus))
        return Links(switches=tuple(self._pdi("switch", n) for n in switches))

    def _pdi(self, kind: str, number: int) -> bytes:
        return self._keys.secret(f"{kind} {number}", _PDI)

    def _make_chain(self, device: NvidiaDevice, number: int) -> tuple[Issued, ...]:
        templates = device_templates(
            device.architecture, number=number, fwid=device.fwid, created=self._installation.created, keys=self._keys
        )
        return self._under("device", issue_chain(templates, self._keys))

    def _make_signers(self) -> tuple[Issued, ...]:
        return self._under("manifest", issue_chain(signer_templates(self._installation.created), self._keys))

    def _under(self, which: str, chain: tuple[Issued, ...]) -> tuple[Issued, ...]:
        """The chain with the root as it was kept."""
        kept = x509.load_der_x509_certificate(self._installation.roots[which])
        return (*chain[:-1], replace(chain[-1], certificate=kept))

    def _once(self, of: Hashable, make: Callable[[], T]) -> T:
        """What was made before need not be made again, and devices share what is the same for all."""
        made = self._made.get(of)
        if made is None:
            if len(self._made) >= _REMEMBERED:
                self._made = {}
            made = self._made[of] = make()
        return cast(T, made)


def _roots(keys: EcKeys, created: datetime) -> Mapping[str, bytes]:
    device, manifest = device_root(created), signer_templates(created)[-1]
    return {"device": device.issue(keys).der, "manifest": manifest.issue(keys).der}
