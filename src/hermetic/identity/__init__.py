"""Who is speaking: the workload keyset, the launch document, and the one construction that evidence binds.

    AttestationReport --verify_report--> Claims

Claims are authentic; whether they are wanted is for :mod:`hermetic.policy` to say.
"""

from hermetic.identity._devices import DeviceLink, name_devices
from hermetic.identity._launched import LaunchPlace, find_launch_digest
from hermetic.identity.aci import ACI_VERSION, aci_report_data
from hermetic.identity.attester import Attester
from hermetic.identity.binding import NO_CONTEXT, Binding, Purpose
from hermetic.identity.keyset import (
    ED25519,
    EHBP,
    RELEASE,
    STRICT,
    Keyset,
    PublicKey,
    TlsKey,
    format_ed25519,
    parse_ed25519,
)
from hermetic.identity.launch import LaunchDocument, MeasuredModel
from hermetic.identity.report import AttestationReport, Claims, verify_report

__all__ = [
    "ACI_VERSION",
    "ED25519",
    "EHBP",
    "NO_CONTEXT",
    "RELEASE",
    "STRICT",
    "AttestationReport",
    "Attester",
    "Binding",
    "Claims",
    "DeviceLink",
    "Keyset",
    "LaunchDocument",
    "LaunchPlace",
    "MeasuredModel",
    "PublicKey",
    "Purpose",
    "TlsKey",
    "aci_report_data",
    "find_launch_digest",
    "format_ed25519",
    "name_devices",
    "parse_ed25519",
    "verify_report",
]
