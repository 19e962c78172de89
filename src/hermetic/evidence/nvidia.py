"""Evidence of NVIDIA GPUs and NVSwitches: the report, its opaque data, and how it travels with its endorsements.

Hopper, Blackwell and the third NVSwitch answer in one format.  Nothing here is believed yet:
:mod:`hermetic.verify.nvidia` decides what is authentic.
"""

from hermetic.evidence._nvidia_bundle import NVIDIA, DeviceBundle, StatedEvidence, nvat_evidence
from hermetic.evidence._nvidia_opaque import FeatureMode, OpaqueData, OpaqueField, OpaqueType
from hermetic.evidence._nvidia_report import Measurement, NvidiaReport

__all__ = [
    "NVIDIA",
    "DeviceBundle",
    "FeatureMode",
    "Measurement",
    "NvidiaReport",
    "OpaqueData",
    "OpaqueField",
    "OpaqueType",
    "StatedEvidence",
    "nvat_evidence",
]
