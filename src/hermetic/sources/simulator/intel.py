"""A whole Intel in software: root, authorities, a certified machine, collateral, and real TDX and SGX quote formats.

It proves the chain and keeps no secret from the machine it runs on: whoever can read its state can issue anything.  So
its root is nobody's but its own, drawn anew for each installation, and a relying party must pin it by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from hermetic.errors import Misconfigured
from hermetic.evidence import SGX, TDX, EnclaveReport, EvidenceBundle, TdReport
from hermetic.sources.simulator.day import yesterday
from hermetic.sources.simulator.ec import EcKeys
from hermetic.sources.simulator.intel_collateral import qe_identity, tcb_info
from hermetic.sources.simulator.intel_parts import IntelParts
from hermetic.sources.simulator.intel_pki import (
    ROOT_NAME,
    IntelCrl,
    ca_certificate,
    pck_certificate,
    root_certificate,
    signer_certificate,
)
from hermetic.sources.simulator.seeded import SeededInstallation
from hermetic.sources.simulator.sgx_platform import SgxPlatform
from hermetic.sources.simulator.tdx_platform import TdxPlatform
from hermetic.wire import Digest, sha256_digest

VENDOR = "intel"

_COLLATERAL_LIFE = timedelta(days=30)
_IDENTITY = 16
_CONFIG_ID = 64
_LAUNCH_DIGEST = 32


class SimulatedIntel:
    """One simulated vendor with one machine.  Safe to share between threads: issuing changes nothing in it."""

    def __init__(self, installation: SeededInstallation) -> None:
        self._installation = installation
        self._keys = installation.keys

    @classmethod
    def create(cls, *, created: datetime, seed: bytes) -> SimulatedIntel:
        """The vendor of a seed (32 bytes).  For tests: whoever knows the seed can issue its evidence."""
        return cls(SeededInstallation.create(vendor=VENDOR, created=created, seed=seed, make_roots=_roots))

    @classmethod
    def load_or_create(cls, state_dir: Path, *, now: datetime) -> SimulatedIntel:
        """The simulated Intel kept in ``state_dir``; see :meth:`SeededInstallation.load_or_create`."""
        return cls(SeededInstallation.load_or_create(state_dir, vendor=VENDOR, now=now, make_roots=_roots))

    @property
    def root_digest(self) -> Digest:
        """What a relying party pins as ``simulated_root``."""
        return sha256_digest(self._installation.roots["root"])

    @property
    def keys(self) -> EcKeys:
        """Its keys, for whoever exchanges parts of what it issues."""
        return self._keys

    @property
    def ppid(self) -> bytes:
        """The machine's identity (16 bytes) as its certificate names it."""
        return self._keys.secret("ppid", _IDENTITY)

    @property
    def platform_instance(self) -> bytes:
        """The identity (16 bytes) of the machine as one of several packages."""
        return self._keys.secret("platform instance", _IDENTITY)

    def issue(
        self,
        report_data: bytes,
        *,
        tee: str,
        launch_digest: bytes,
        now: datetime,
        platform: TdxPlatform | SgxPlatform | None = None,
    ) -> EvidenceBundle:
        """A quote over ``report_data`` (64 bytes) with everything needed to verify it at ``now``.

        ``tee`` is ``"tdx"`` or ``"sgx"``.  ``launch_digest`` (32 bytes) is what was launched: it begins MRCONFIGID or
        CONFIGID, and zeros follow, or it is a measured event.  ``platform`` sets every other field.
        """
        return self.parts(report_data, tee=tee, launch_digest=launch_digest, now=now, platform=platform).issue()

    def parts(
        self,
        report_data: bytes,
        *,
        tee: str,
        launch_digest: bytes,
        now: datetime,
        platform: TdxPlatform | SgxPlatform | None = None,
    ) -> IntelParts:
        """What :meth:`issue` would sign, for whoever wants to exchange a part of it first.

        Raises Misconfigured for another TEE, a platform of the other kind or a launch digest of another length.
        """
        made: TdxPlatform | SgxPlatform = platform or (SgxPlatform() if tee == SGX else TdxPlatform())
        version, body = _body(made, tee, report_data, launch_digest)
        created, first = self._installation.created, yesterday(now)
        last = first + _COLLATERAL_LIFE
        ca = ca_certificate(created, processors=made.machine.processor_ca)
        extension = made.machine.extension(ppid=self.ppid, instance=self.platform_instance)
        logs = made.event_logs(launch_digest) if isinstance(made, TdxPlatform) else {}
        return IntelParts(
            event_logs=logs,
            keys=self._keys,
            tee=tee,
            version=version,
            body=body,
            qe_report=made.machine.enclave_report(),
            root=root_certificate(created),
            root_der=self._installation.roots["root"],
            ca=ca,
            pck=pck_certificate(created, extension, ca),
            signer=signer_certificate(created),
            crl_ca=ca,
            root_crl=IntelCrl(issuer=ROOT_NAME, issuer_key="root", first=first, last=last),
            pck_crl=IntelCrl(issuer=ca.name, issuer_key=ca.key, first=first, last=last),
            tcb_info=tcb_info(tee, made.machine, made.judgement, first=first, last=last),
            qe_identity=qe_identity(tee, made.judgement, first=first, last=last),
        )


def _body(
    platform: TdxPlatform | SgxPlatform, tee: str, report_data: bytes, launch_digest: bytes
) -> tuple[int, TdReport | EnclaveReport]:
    """The quote's version and what it is about."""
    if len(launch_digest) != _LAUNCH_DIGEST:
        raise Misconfigured(f"a launch digest is {_LAUNCH_DIGEST} bytes, not {len(launch_digest)}")
    if tee == TDX and isinstance(platform, TdxPlatform):
        return platform.version, platform.report(report_data=report_data, launch_digest=launch_digest)
    if tee == SGX and isinstance(platform, SgxPlatform):
        return platform.version, platform.report(
            report_data=report_data, config_id=launch_digest.ljust(_CONFIG_ID, b"\0")
        )
    raise Misconfigured(f"the simulated Intel has no {tee} of a {type(platform).__name__}")


def _roots(keys: EcKeys, created: datetime) -> Mapping[str, bytes]:
    return {"root": root_certificate(created).sign(keys)}
