"""How Intel judges a platform's firmware: levels matched, then converged (Intel DCAP library, 4.1.2.5).

    1. platform   the first level that the PCK certificate and, for TDX, the module's versions reach
    2. module     TDX with a major version: the first level of that version's identity
    3. enclave    the first level that the quoting enclave reaches
    4. converge   what is outdated or revoked in 2 or 3 makes the whole so
    5. relaunch   TDX 1.5: the same once more for the module that runs the domain now; where what launched the domain is
                  outdated and what runs it is not, a relaunch is advised

The result is a claim: which statuses and advisories are acceptable is for a policy to say.  Revoked is not: Intel no
longer vouches for what such a platform signs, so it ends the verification.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from hermetic.errors import NotAuthentic
from hermetic.verify.intel_collateral import (
    IsvLevel,
    Level,
    PlatformLevel,
    QeIdentity,
    TcbInfo,
    TcbStatus,
    TdxModule,
    TdxModuleIdentity,
)
from hermetic.verify.intel_pck import PckIdentity

_OUTDATED_AS = {
    TcbStatus.UP_TO_DATE: TcbStatus.OUT_OF_DATE,
    TcbStatus.SW_HARDENING_NEEDED: TcbStatus.OUT_OF_DATE,
    TcbStatus.CONFIGURATION_NEEDED: TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
}
_CONFIGURATION = frozenset(
    {
        TcbStatus.CONFIGURATION_NEEDED,
        TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
        TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    }
)
_OUT_OF_DATE = frozenset({TcbStatus.OUT_OF_DATE, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED})
_OF_A_PART = frozenset({TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE, TcbStatus.REVOKED})
_L = TypeVar("_L", bound=Level)
_VERSION, _MAJOR, _MICROCODE = 0, 1, 2  # bytes of TEE_TCB_SVN


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What Intel says of one part: its status, the date of the level it reached, the advisories that apply."""

    status: TcbStatus
    date: datetime
    advisories: tuple[str, ...]

    @classmethod
    def from_level(cls, level: Level) -> Judgement:
        return cls(status=level.status, date=level.tcb_date, advisories=level.advisory_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbEvaluation:
    """What Intel says of the platform as a whole, and of its parts.

    All but the advice to relaunch is about what launched the domain.  ``advisories`` are those of all parts, sorted.
    ``module`` is None for SGX and for modules without a major version.
    ``evaluation_numbers`` tell which of Intel's editions were used: of the TCB info, and of the QE identity.
    """

    status: TcbStatus
    advisories: tuple[str, ...]
    platform: Judgement
    module: Judgement | None
    enclave: Judgement
    evaluation_numbers: tuple[int, int]

    @property
    def date(self) -> datetime:
        """Of the oldest part: everything that Intel published up to then is mended."""
        return min(part.date for part in (self.platform, self.module, self.enclave) if part is not None)

    def __str__(self) -> str:
        return f"{self.status}, {', '.join(self.advisories) or 'no advisories'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxVersions:
    """TEE_TCB_SVN of the module that launched the domain and, from TDX 1.5, of the one that runs it; 16 bytes each."""

    launched: bytes
    running: bytes | None


def module_of(tcb_info: TcbInfo, svn: bytes) -> TdxModule | TdxModuleIdentity:
    """What the module of this version must be.  Raises NotAuthentic where Intel knows of none."""
    if svn[_MAJOR] == 0:
        if tcb_info.tdx_module is None:
            raise NotAuthentic("TCB info without a TDX module")
        return tcb_info.tdx_module
    wanted = f"TDX_{svn[_MAJOR]:02X}"
    for identity in tcb_info.tdx_module_identities:
        if identity.id.upper() == wanted:
            return identity
    raise NotAuthentic(f"TCB info that knows no module {wanted}")


def evaluate(
    tcb_info: TcbInfo, qe_identity: QeIdentity, pck: PckIdentity, qe_svn: int, tdx: TdxVersions | None
) -> TcbEvaluation:
    """The evaluation of a platform; ``tdx`` is None for SGX.  Raises NotAuthentic for no level, and for Revoked."""
    judge = partial(_judge, tcb_info, qe_identity, pck, qe_svn)
    launched = judge(None if tdx is None else tdx.launched)
    if tdx is None or tdx.running is None:
        return launched
    # 5. The module that runs the domain by now is judged as the one that launched it was.
    running = judge(tdx.running)
    if launched.status not in _OUT_OF_DATE:
        if running.status in _OUT_OF_DATE:
            # Intel's library would judge the module that launched it.  No update leads there, so somebody did.
            raise NotAuthentic("a module that is out of date runs what a current one launched")
        return launched
    if running.status in _OUT_OF_DATE:
        return launched
    configuration = {launched.status, running.status} & _CONFIGURATION
    advised = TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED if configuration else TcbStatus.TD_RELAUNCH_ADVISED
    return replace(launched, status=advised)


def _judge(
    tcb_info: TcbInfo, qe_identity: QeIdentity, pck: PckIdentity, qe_svn: int, svn: bytes | None
) -> TcbEvaluation:
    """The evaluation under the TDX module of version ``svn`` (TEE_TCB_SVN), or of an SGX platform."""
    # 1. to 3. The levels that each part reaches.
    reached = [level for level in tcb_info.tcb_levels if _reaches(pck, level)]
    sgx = _first(reached, "the platform reaches")
    platform = sgx if svn is None else _first((level for level in reached if _runs(svn, level)), "the module reaches")
    module = None if svn is None else _module_level(tcb_info, svn)
    enclave = _isv_level(qe_identity.tcb_levels, qe_svn, "the quoting enclave reaches")
    judged = [part for part in (platform, module, enclave) if part is not None]
    if any(part.status is TcbStatus.REVOKED for part in (sgx, *judged)):
        raise NotAuthentic("a level that Intel revoked")

    # 4. One status for all.
    status = platform.status
    if any(part.status is TcbStatus.OUT_OF_DATE for part in judged):
        status = _OUTDATED_AS.get(status, status)
    return TcbEvaluation(
        status=status,
        advisories=tuple(sorted({advisory for part in judged for advisory in part.advisory_ids})),
        platform=Judgement.from_level(platform),
        module=None if module is None else Judgement.from_level(module),
        enclave=Judgement.from_level(enclave),
        evaluation_numbers=(tcb_info.tcb_evaluation_data_number, qe_identity.tcb_evaluation_data_number),
    )


def _reaches(pck: PckIdentity, level: PlatformLevel) -> bool:
    """Whether the provisioning enclave and every one of the 16 components are at least of this level."""
    components = zip(pck.components, level.tcb.sgxtcbcomponents, strict=True)
    return pck.pce_svn >= level.tcb.pcesvn and all(mine >= wanted.svn for mine, wanted in components)


def _runs(svn: bytes, level: PlatformLevel) -> bool:
    """Whether the module of this version is of this level.

    With a major version, bytes 0 and 1 are that version's own affair and judged by its identity.
    """
    wanted = level.tcb.tdxtcbcomponents
    if wanted is None:
        raise NotAuthentic("TCB info for TDX with a level that says nothing of TDX")
    first = _MICROCODE if svn[_MAJOR] else _VERSION
    return all(svn[index] >= wanted[index].svn for index in range(first, 16))


def _module_level(tcb_info: TcbInfo, svn: bytes) -> IsvLevel | None:
    identity = module_of(tcb_info, svn)
    if not isinstance(identity, TdxModuleIdentity):
        return None
    return _isv_level(identity.tcb_levels, svn[_VERSION], "the TDX module reaches")


def _isv_level(levels: tuple[IsvLevel, ...], svn: int, what: str) -> IsvLevel:
    """Raises NotAuthentic also for a status that no module or enclave has: what it would mean, Intel does not say."""
    level = _first((level for level in levels if svn >= level.tcb.isvsvn), what)
    if level.status not in _OF_A_PART:
        raise NotAuthentic(f"a level that {what} is {level.status}, which only a platform can be")
    return level


def _first(levels: Iterable[_L], what: str) -> _L:
    for level in levels:
        return level
    raise NotAuthentic(f"no level that {what}")
