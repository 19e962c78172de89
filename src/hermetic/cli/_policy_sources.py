"""Where ``hermetic policy new`` learns what a workload may run on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hermetic.errors import Malformed, Misconfigured, NotAuthentic

if TYPE_CHECKING:
    from hermetic.identity import AttestationReport, Claims
    from hermetic.policy import Tables
    from hermetic.verify import Root
    from hermetic.verify.nvidia import NvidiaRoots

__all__ = ["Given", "evidence_tables", "first_use", "simulator_tables"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the caller wrote on the command line: AMD's products, and measurements of images in hex."""

    products: tuple[str, ...]
    measurements: tuple[str, ...]

    @property
    def anything(self) -> bool:
        return bool(self.products or self.measurements)

    def tables(self) -> Tables:
        """Raises Misconfigured where something is missing, or no measurement that an SNP report could hold."""
        from hermetic.wire import unhex

        if not self.products or not self.measurements:
            raise Misconfigured(
                "--launch needs --product and --measurement too, or --evidence: on what may it run?",
                fix="to try things on the simulator of this machine: --allow-simulated",
            )
        for text in self.measurements:
            try:
                unhex(text, what="--measurement", length=48)
            except Malformed as error:
                raise Misconfigured(
                    error.message,
                    fix="the image's launch measurement is 96 hex digits; this machine's simulator: --allow-simulated",
                ) from error
        return {"snp": {"products": self.products, "measurements": self.measurements}}


def simulator_tables(tee: str, gpus: int, switches: int) -> tuple[Tables, str]:
    """Tables for a machine of this computer's simulator, and its root.  The keys are made the first time."""
    from hermetic.cli._machine import tee_of
    from hermetic.cli._seen import machine_tables
    from hermetic.sources.simulator.state import default_state, open_machine

    now = datetime.now(UTC)
    machine = open_machine(default_state(), now=now, tee=tee_of(tee), gpus=gpus, switches=switches)
    return machine_tables(machine, now=now), machine.root_digest


def evidence_tables(paths: Sequence[Path], at: str | None) -> Tables:
    """Tables for the machine that this evidence is of, once a vendor stands behind it ``at`` that time.

    What the evidence answers is not asked: it is taken for a sample of a machine that the caller trusts.  Raises
    NotAuthentic, and Malformed for what is no evidence.
    """
    from hermetic.cli._evidence_files import gather
    from hermetic.cli._evidence_judge import time_of
    from hermetic.policy import seen_tables
    from hermetic.verify import AMD_ROOTS, INTEL_ROOTS, verify
    from hermetic.verify.nvidia import NVIDIA_ROOTS, verify_device

    gathered, now = gather(paths), time_of(at)
    platform = None
    if gathered.platform is not None:
        platform = verify(gathered.platform, roots=(*AMD_ROOTS, *INTEL_ROOTS), now=now, report_data=None)
    devices = tuple(verify_device(bundle, roots=NVIDIA_ROOTS, now=now, nonce=None) for bundle in gathered.devices)
    return seen_tables(platform, devices)


def first_use(url: str, *, allow_simulated: bool, log_keys: tuple[str, ...]) -> str:
    """A development policy that pins whatever answers at ``url``, if that much is authentic."""
    import secrets

    from hermetic.client.attest import fetch_report
    from hermetic.identity import AttestationReport, Purpose, verify_report
    from hermetic.policy import draft_policy, seen_tables

    nonce = secrets.token_bytes(32)
    report = AttestationReport.from_bytes(fetch_report(url, nonce=nonce))
    roots, device_roots = _roots_of(report, allow_simulated)
    now = datetime.now(UTC)
    try:
        claims: Claims = verify_report(
            report, roots=roots, device_roots=device_roots, now=now, purpose=Purpose.SESSION, nonce=nonce
        )
    except NotAuthentic as error:
        if allow_simulated or "root" not in error.code:
            raise
        raise NotAuthentic(
            error.message, code=error.code, fix="a SIMULATED platform is pinned only with --allow-simulated"
        ) from error
    note = (
        f"Trust on first use: pinned from what {url} said at {now:%Y-%m-%d %H:%M} UTC.\n"
        "Nobody compared it with anything.  Development only."
    )
    return draft_policy(
        claims.launch,
        profile="development",
        tables=seen_tables(claims.platform, claims.devices),
        simulated_root=claims.platform.root.sha256 if claims.platform.simulated else None,
        log_keys=log_keys,
        note=note,
    )


def _roots_of(report: AttestationReport, allow_simulated: bool) -> tuple[tuple[Root, ...], NvidiaRoots]:
    """The vendors' roots and, if the caller said so, whatever roots this evidence brings, as simulated ones."""
    from hermetic.cli._brought import brought_device_roots, brought_roots
    from hermetic.verify import AMD_ROOTS, INTEL_ROOTS
    from hermetic.verify.nvidia import NVIDIA_ROOTS

    real = (*AMD_ROOTS, *INTEL_ROOTS)
    if not allow_simulated:
        return real, NVIDIA_ROOTS
    return (*real, *brought_roots(report.evidence)), brought_device_roots(report.devices)
