"""The attester: the one object in a workload that may ask the platform for evidence.

It takes typed fields and computes report data itself, so nobody who can call it can have evidence made over bytes of
their own (threats.md 7).
"""

from __future__ import annotations

from dataclasses import replace

from hermetic.evidence import DeviceSource, EvidenceBundle, EvidenceSource, devices_digest
from hermetic.identity.aci import aci_report_data
from hermetic.identity.binding import NO_CONTEXT, Binding, Purpose
from hermetic.identity.keyset import Keyset
from hermetic.identity.launch import LaunchDocument
from hermetic.identity.report import AttestationReport
from hermetic.wire import Digest

__all__ = ["Attester"]


class Attester:
    """Makes attestation reports for one keyset and one launch document.  Blocking: a platform answers in milliseconds.

    ``devices`` asks the machine's GPUs and switches, where the workload uses any.
    """

    def __init__(
        self,
        source: EvidenceSource,
        *,
        keyset: Keyset,
        launch: LaunchDocument,
        devices: DeviceSource | None = None,
    ) -> None:
        self._source = source
        self._devices = devices
        self.keyset = keyset
        self.launch = launch

    def attest(self, *, purpose: Purpose, nonce: bytes, context_digest: Digest = NO_CONTEXT) -> AttestationReport:
        """A report for a verifier's 32-byte ``nonce``.

        Raises Malformed on a nonce of another length, Unavailable when the platform or a device does not answer.
        """
        question = Binding(
            purpose=purpose,
            nonce=nonce,
            keyset_digest=self.keyset.digest,
            launch_digest=self.launch.digest,
            context_digest=context_digest,
        )
        # Devices first: what they answered to this question is what the platform then signs.
        devices = () if self._devices is None else self._devices.collect(question.device_nonce())
        binding = replace(question, devices_digest=devices_digest(devices))
        return AttestationReport(
            binding=binding,
            keyset=self.keyset,
            launch=self.launch,
            evidence=self._source.collect(binding.report_data()),
            devices=devices,
        )

    def attest_aci(self, nonce: str | None) -> EvidenceBundle:
        """Evidence over the ``aci/1`` statement, for the ACI route and nothing else (protocols.md §3)."""
        return self._source.collect(aci_report_data(self.keyset.digest, nonce))
