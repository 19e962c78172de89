"""Evidence of NVIDIA GPUs, through NVML (``pip install 'hermetic[nvml]'``) and the driver in this machine.

Every GPU is asked, or none: a machine with one device that nobody asked is not the machine that the evidence shows.
What NVML says of modes decides only whether asking makes sense; a verifier reads them from what the device signed.
"""

# ruff: noqa: N802

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from hermetic.errors import Malformed, Misconfigured, Unavailable
from hermetic.evidence import DeviceSource
from hermetic.evidence.nvidia import DeviceBundle, NvidiaReport
from hermetic.evidence.pem import certificates_from_pem
from hermetic.sources.device_lock import DeviceLock
from hermetic.sources.nscq import NscqSwitches

__all__ = ["GpuMode", "Nvml", "NvmlDevices", "nvml_library"]

_NONCE = 32
_TIMEOUT = 60.0
_HOPPER, _BLACKWELL = 9, 10
_ON = 1


class Nvml(Protocol):
    """What is used of the module ``pynvml``, under NVIDIA's names."""

    NVMLError: type[Exception]

    def c_nvmlSystemConfComputeSettings_v1_t(self) -> Any: ...
    def nvmlInit(self) -> None: ...
    def nvmlShutdown(self) -> None: ...
    def nvmlSystemGetConfComputeState(self) -> Any: ...
    def nvmlSystemGetConfComputeSettings(self, settings: Any, /) -> int: ...
    def nvmlDeviceGetCount(self) -> int: ...
    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Any: ...
    def nvmlDeviceGetArchitecture(self, device: Any, /) -> int: ...
    def nvmlDeviceGetConfComputeGpuCertificate(self, device: Any, /) -> Any: ...
    def nvmlDeviceGetConfComputeGpuAttestationReport(self, device: Any, nonce: bytes, /) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuMode:
    """How this machine's GPUs run, in the driver's words.

    ``protected_pcie``: all of them and the switches between them are one machine's, and NVLink is in clear.
    """

    gpus: int
    confidential: bool
    devtools: bool
    protected_pcie: bool

    @property
    def attests(self) -> bool:
        """Whether the devices would answer."""
        return self.gpus > 0 and (self.confidential or self.protected_pcie)


class NvmlDevices:
    """The GPUs of this machine, in NVML's order (by PCI address), and its NVSwitches where these are in the mode.

    Safe to share between threads and objects.  ``timeout`` is in seconds and covers the wait for other requests.
    """

    def __init__(
        self, library: Nvml | None = None, *, switches: DeviceSource | None = None, timeout: float = _TIMEOUT
    ) -> None:
        self._library = library
        self._switches = switches or NscqSwitches(timeout=timeout)
        self._device = DeviceLock("NVML", timeout=timeout)

    def mode(self) -> GpuMode:
        """Whether there is anything to ask.  Raises Unavailable without a driver, Misconfigured without the module."""
        return self._device.ask(self._ask_mode)

    def collect(self, nonce: bytes) -> tuple[DeviceBundle, ...]:
        """Fresh evidence of every device over ``nonce`` (32 bytes), with its certificates and nothing else.

        Raises Unavailable where a device does not answer, where it cannot attest, and where developer tools may read
        its memory.
        """
        if len(nonce) != _NONCE:
            raise Malformed(f"a device's nonce: expected {_NONCE} bytes, got {len(nonce)}")
        mode, gpus = self._device.ask(lambda: self._collect(nonce))
        return gpus + self._switches.collect(nonce) if mode.protected_pcie else gpus

    def _ask_mode(self) -> GpuMode:
        with _session(self._library or nvml_library()) as library:
            return _mode(library)

    def _collect(self, nonce: bytes) -> tuple[GpuMode, tuple[DeviceBundle, ...]]:
        with _session(self._library or nvml_library()) as library:
            # 1. In a mode in which evidence means something.
            mode = _mode(library)
            _check(mode)
            # 2. Each of them.
            return mode, tuple(_gpu(library, index, nonce) for index in range(mode.gpus))


def nvml_library() -> Nvml:
    """The module of ``nvidia-ml-py``.  Raises Misconfigured where it is not installed."""
    try:
        import pynvml
    except ModuleNotFoundError:
        raise Misconfigured(
            "GPUs are asked through nvidia-ml-py, which is not installed", fix="pip install 'hermetic[nvml]'"
        ) from None
    library: Nvml = pynvml
    return library


@contextmanager
def _session(library: Nvml) -> Iterator[Nvml]:
    try:
        library.nvmlInit()
        try:
            yield library
        finally:
            library.nvmlShutdown()
    except AttributeError as error:  # before NVMLError, which may be what is not there
        raise Unavailable(
            f"nvidia-ml-py is too old to ask GPUs for evidence: {error}", fix="pip install -U 'hermetic[nvml]'"
        ) from error
    except library.NVMLError as error:
        raise Unavailable(f"NVML: {error}") from error


def _mode(library: Nvml) -> GpuMode:
    state = library.nvmlSystemGetConfComputeState()
    return GpuMode(
        gpus=library.nvmlDeviceGetCount(),
        confidential=state.ccFeature == _ON,
        devtools=state.devToolsMode == _ON,
        protected_pcie=_protected_pcie(library),
    )


def _protected_pcie(library: Nvml) -> bool:
    """Not so in drivers that do not know the question."""
    settings = library.c_nvmlSystemConfComputeSettings_v1_t()
    try:
        answered = library.nvmlSystemGetConfComputeSettings(ctypes.byref(settings)) == 0
    except library.NVMLError:
        return False
    return bool(answered and settings.multiGpuMode == _ON)


def _check(mode: GpuMode) -> None:
    if not mode.attests:
        raise Unavailable(
            f"none of {mode.gpus} GPUs runs in a confidential mode",
            code="device_not_confidential",
            fix="the host sets the mode before the machine starts; see NVIDIA's deployment guide",
        )
    if mode.devtools:
        raise Unavailable(
            "the GPUs run in developer mode, in which their memory can be read",
            code="device_devtools",
            fix="the host sets the mode before the machine starts: on, not devtools",
        )


def _gpu(library: Nvml, index: int, nonce: bytes) -> DeviceBundle:
    device = library.nvmlDeviceGetHandleByIndex(index)
    architecture = library.nvmlDeviceGetArchitecture(device)
    if architecture not in (_HOPPER, _BLACKWELL):
        raise Unavailable(f"GPU {index} cannot attest (NVML's architecture {architecture})")
    # The length is the driver's word: one beyond the array would give a report that ends early, and is refused below.
    certificate = library.nvmlDeviceGetConfComputeGpuCertificate(device)
    chain = bytes(certificate.attestationCertChain[: certificate.attestationCertChainSize])
    answer = library.nvmlDeviceGetConfComputeGpuAttestationReport(device, nonce)
    report = bytes(answer.attestationReport[: answer.attestationReportSize])
    if NvidiaReport.from_bytes(report).nonce != nonce:
        raise Unavailable(f"GPU {index} answers another nonce", code="device_disturbed")
    return DeviceBundle(evidence=report, certificates=certificates_from_pem(chain.rstrip(b"\0")))
