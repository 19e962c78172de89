"""What Intel says of its platforms: TCB info (version 3) and QE identity (version 2), each signed (Intel PCS API v4).

Kept as the service answers, ``{"tcbInfo": …, "signature": "…"}`` without spaces: what was signed is the exact text of
the first member, so it is cut out, never written again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from hermetic.errors import Malformed

_REMEMBERED = 64  # of at most 64 KiB each
_SIGNATURE = re.compile(rb',"signature":"([0-9a-f]{128})"\}')
_SIGNATURE_LENGTH = len(',"signature":""}') + 128

_Svn = Annotated[int, Meta(ge=0, le=255)]
_Svn16 = Annotated[int, Meta(ge=0, le=65535)]
_Number = Annotated[int, Meta(ge=0, le=2**32 - 1)]
_Hex2 = Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f]{4}\Z")]
_Hex4 = Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f]{8}\Z")]
_Hex6 = Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f]{12}\Z")]
_Hex8 = Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f]{16}\Z")]
_Hex16 = Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f]{32}\Z")]
_Hex32 = Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f]{64}\Z")]
_Hex48 = Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f]{96}\Z")]
_Text = Annotated[str, Meta(pattern=r"\A[A-Z0-9-]{1,32}\Z")]


class TcbStatus(StrEnum):
    """How Intel judges a level of firmware.  The two ``TDRelaunch…`` are never a level's: evaluation derives them."""

    UP_TO_DATE = "UpToDate"
    SW_HARDENING_NEEDED = "SWHardeningNeeded"
    CONFIGURATION_NEEDED = "ConfigurationNeeded"
    CONFIGURATION_AND_SW_HARDENING_NEEDED = "ConfigurationAndSWHardeningNeeded"
    OUT_OF_DATE = "OutOfDate"
    OUT_OF_DATE_CONFIGURATION_NEEDED = "OutOfDateConfigurationNeeded"
    TD_RELAUNCH_ADVISED = "TDRelaunchAdvised"
    TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED = "TDRelaunchAdvisedConfigurationNeeded"
    REVOKED = "Revoked"


_LevelStatus = Literal[
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "Revoked",
]


class _Document(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Members that are not named are Intel's to add: its signature covers them, and nothing here rests on them."""


class Component(_Document, frozen=True, kw_only=True):
    svn: _Svn


_Components = Annotated[tuple[Component, ...], Meta(min_length=16, max_length=16)]


class PlatformTcb(_Document, frozen=True, kw_only=True):
    sgxtcbcomponents: _Components
    pcesvn: _Svn16
    tdxtcbcomponents: _Components | None = None


class IsvTcb(_Document, frozen=True, kw_only=True):
    isvsvn: _Svn16


class Level(_Document, frozen=True, kw_only=True):
    """What holds from some level on: its status, since when, and which advisories apply below the next."""

    tcb_date: datetime
    tcb_status: _LevelStatus
    advisory_ids: tuple[_Text, ...] = msgspec.field(default=(), name="advisoryIDs")

    @property
    def status(self) -> TcbStatus:
        return TcbStatus(self.tcb_status)


class PlatformLevel(Level, frozen=True, kw_only=True):
    tcb: PlatformTcb


class IsvLevel(Level, frozen=True, kw_only=True):
    """A level of one enclave or module."""

    tcb: IsvTcb


_IsvLevels = Annotated[tuple[IsvLevel, ...], Meta(min_length=1)]


class TdxModule(_Document, frozen=True, kw_only=True):
    """Whose TDX module it must be: signer, and attributes under a mask.  Hex."""

    mrsigner: _Hex48
    attributes: _Hex8
    attributes_mask: _Hex8


class TdxModuleIdentity(TdxModule, frozen=True, kw_only=True):
    """The same for one major version of the module (``TDX_03``: 3), and the levels of its minor versions."""

    id: Annotated[str, Meta(pattern=r"\ATDX_[0-9A-Fa-f]{2}\Z")]
    tcb_levels: _IsvLevels


class TcbInfo(_Document, frozen=True, kw_only=True):
    """Levels of firmware, best first, for platforms of one FMSPC (hex) and provisioning enclave."""

    id: Literal["SGX", "TDX"]
    version: Literal[3]
    issue_date: datetime
    next_update: datetime
    fmspc: _Hex6
    pce_id: _Hex2
    tcb_type: Literal[0]
    tcb_evaluation_data_number: _Number
    tcb_levels: Annotated[tuple[PlatformLevel, ...], Meta(min_length=1)]
    tdx_module: TdxModule | None = None
    tdx_module_identities: tuple[TdxModuleIdentity, ...] = ()


class QeIdentity(_Document, frozen=True, kw_only=True):
    """Which quoting enclave may vouch for attestation keys (hex, bytes as the report has them), and its levels."""

    id: Literal["QE", "TD_QE"]
    version: Literal[2]
    issue_date: datetime
    next_update: datetime
    tcb_evaluation_data_number: _Number
    miscselect: _Hex4
    miscselect_mask: _Hex4
    attributes: _Hex16
    attributes_mask: _Hex16
    mrsigner: _Hex32
    isvprodid: _Svn16
    tcb_levels: _IsvLevels


class _Versioned(_Document, frozen=True, kw_only=True):
    version: int


_VERSIONS = {"tcbInfo": 3, "enclaveIdentity": 2}
T = TypeVar("T", TcbInfo, QeIdentity)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Signed(Generic[T]):
    """A document that could be read, and the exact bytes that were signed; nothing in it is believed yet."""

    value: T
    body: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@lru_cache(_REMEMBERED)
def load_tcb_info(data: bytes) -> Signed[TcbInfo]:
    """Raises Malformed on anything but one whole answer of version 3."""
    return _load(data, "tcbInfo", TcbInfo, "TCB info")


@lru_cache(_REMEMBERED)
def load_qe_identity(data: bytes) -> Signed[QeIdentity]:
    """Raises Malformed on anything but one whole answer of version 2."""
    return _load(data, "enclaveIdentity", QeIdentity, "QE identity")


def _load(data: bytes, member: str, kind: type[T], what: str) -> Signed[T]:
    head, tail = f'{{"{member}":'.encode(), data[-_SIGNATURE_LENGTH:]
    signature = _SIGNATURE.fullmatch(tail)
    if signature is None or not data.startswith(head):
        raise Malformed(f'{what}: expected {head.decode()}…,"signature":"…"}}, as Intel\'s service answers')
    body = data[len(head) : -_SIGNATURE_LENGTH]
    try:
        _require_version(msgspec.json.decode(body, type=_Versioned).version, member, what)
        value = msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is a DecodeError
        raise Malformed(f"{what}: {error}") from error
    except RecursionError as error:  # also in a member that nothing here reads
        raise Malformed(f"{what}: nested too deeply") from error
    if value.issue_date.tzinfo is None or value.next_update.tzinfo is None:
        raise Malformed(f"{what}: a date without a time zone")
    return Signed(value=value, body=body, signature=bytes.fromhex(signature[1].decode()))


def _require_version(version: int, member: str, what: str) -> None:
    """Said before the rest is read, which looks otherwise in each version."""
    wanted = _VERSIONS[member]
    if version != wanted:
        ended = "; Intel ended version 2, whose levels are other ones" if (member, version) == ("tcbInfo", 2) else ""
        raise Malformed(
            f"{what}: version {version}, expected {wanted}{ended}", fix="fetch it from Intel's API, version 4"
        )
