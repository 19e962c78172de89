"""What the ``[tdx]`` and ``[sgx]`` tables ask of Intel's platform alike, continuing DCAP 1 to 13 of the verifier:

    DCAP 14  the firmware is of a level that we want: Intel's status, advisories, date, edition
    DCAP 15  it is a platform that we want: package, instance, and how its keys were made

A status other than UpToDate is worth no more than the advisories behind it.  Accepting ``SWHardeningNeeded`` by itself
would accept whatever Intel finds tomorrow under that name, so such a status needs every advisory that applies to be
named in ``allow_advisories``: what was judged is what is accepted.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal

import msgspec

from hermetic.policy._checks import Step, one_of
from hermetic.policy._finding import Finding, empty_list, excludes_nothing, too_lax
from hermetic.policy._snp_table import FileName
from hermetic.verify import Check, IntelClaims, PckIdentity, TcbEvaluation, TcbStatus

Advisory = Annotated[str, msgspec.Meta(pattern=r"\A[A-Z0-9-]{1,32}\Z")]
Hex16 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Hex32 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Hex48 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{96}\Z")]
Hex64 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{128}\Z")]
StateMask = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""Bits of the processor's extended state.  Bit 63 is reserved for good, and integers of TOML end before it."""

_FIRST_LEVELS = date(2018, 1, 1)
"""There have been such quotes since that year: no older level can be meant."""

_OUTDATED = (TcbStatus.OUT_OF_DATE, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED)


class IntelPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields that both tables have.  Defaults are the strict ones; what is None is not asked.

    ``statuses`` are Intel's words.  ``tcb_date_min`` is a floor for the oldest part's level, ``evaluation_min`` for the
    editions of Intel's documents that it was judged by.  What ``ppids_file`` lists joins ``ppids`` when the policy is
    loaded.  The last three are about certificates that state them: of platforms that can have several packages.

    The second verifier has no opinion on quotes that its own policy stops at (debugging, migration, service domains);
    only without ``require_second_opinion`` is such a quote accepted for all that.
    """

    # DCAP 14
    statuses: tuple[TcbStatus, ...] = (TcbStatus.UP_TO_DATE,)
    allow_advisories: tuple[Advisory, ...] = ()
    deny_advisories: tuple[Advisory, ...] = ()
    tcb_date_min: date | None = None
    evaluation_min: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] = 0
    require_second_opinion: bool = True
    # DCAP 15
    ppids: tuple[Hex16, ...] | None = None
    ppids_file: FileName | None = None
    platform_instance_ids: tuple[Hex16, ...] | None = None
    allow_dynamic_platform: bool = True
    allow_cached_keys: bool = True
    allow_smt: bool = True


_FLAGS = (
    ("dynamic_platform", "No processor package can be added to the platform later"),
    ("cached_keys", "Intel keeps no copy of the platform's root keys"),
    ("smt", "Simultaneous multithreading is off"),
)


def appraise_intel(claims: IntelClaims, policy: IntelPolicy, table: str) -> Iterator[Check]:
    """The checks of DCAP 14 and 15, under the name of ``table``."""
    yield from _firmware(claims.tcb, policy, Step(table=table, section="DCAP 14: Intel DCAP, 4.1.2.5"))
    step = Step(table=table, section="DCAP 15: Intel SGX PCK Certificate profile, 1.3.5")
    yield from _platform(claims.pck, policy, step)


def _firmware(tcb: TcbEvaluation, policy: IntelPolicy, step: Step) -> Iterator[Check]:
    # 14. How Intel judges it.
    yield step.check(
        "tcb-status",
        "Intel's verdict on the firmware is one that we accept",
        tcb.status in policy.statuses,
        one_of(policy.statuses),
        str(tcb),
        f"update the platform's firmware, or name the status in {step.table}.statuses with its advisories",
    )
    if tcb.status is not TcbStatus.UP_TO_DATE:
        unnamed = [advisory for advisory in tcb.advisories if advisory not in policy.allow_advisories]
        yield step.check(
            "advisories",
            "Every advisory behind that verdict is one that we know and accept",
            not unnamed,
            f"none but {', '.join(policy.allow_advisories)}" if policy.allow_advisories else "none",
            ", ".join(tcb.advisories) or "none",
            f"read {', '.join(unnamed)}; update the firmware, or name them in {step.table}.allow_advisories",
        )
    denied = [advisory for advisory in tcb.advisories if advisory in policy.deny_advisories]
    if policy.deny_advisories:
        yield step.check(
            "denied-advisories",
            "No advisory applies that we deny",
            not denied,
            f"not {', '.join(policy.deny_advisories)}",
            ", ".join(tcb.advisories) or "none",
            "update the platform's firmware",
        )
    if policy.tcb_date_min is not None:
        yield step.check(
            "tcb-date",
            "The firmware mends all that Intel had published up to the date we ask for",
            tcb.date.date() >= policy.tcb_date_min,
            f"{policy.tcb_date_min} or later",
            f"{tcb.date.date()}",
            "update the platform's firmware",
        )
    if policy.evaluation_min:
        yield step.check(
            "evaluation",
            "Intel's verdict is from an edition that is new enough",
            min(tcb.evaluation_numbers) >= policy.evaluation_min,
            f"at least {policy.evaluation_min}",
            "TCB info {}, QE identity {}".format(*tcb.evaluation_numbers),
            "fetch newer collateral from Intel",
        )


def _platform(pck: PckIdentity, policy: IntelPolicy, step: Step) -> Iterator[Check]:
    # 15. Whose machine it is, and what may be done to it.
    if policy.ppids is not None:
        yield step.member(
            "ppid",
            "It is one of the processor packages we listed",
            pck.ppid.hex(),
            policy.ppids,
            f"add it to {step.table}.ppids, if you know where it stands",
        )
    if policy.platform_instance_ids is not None:
        yield step.member(
            "platform-instance",
            "It is one of the platforms we listed",
            (pck.platform_instance_id or b"").hex(),
            policy.platform_instance_ids,
            f"add it to {step.table}.platform_instance_ids, if you know where it stands",
        )
    stated = {
        "dynamic_platform": pck.dynamic_platform,
        "cached_keys": pck.cached_keys,
        "smt": pck.smt_enabled,
    }
    for flag, title in _FLAGS:
        if getattr(policy, f"allow_{flag}"):
            continue  # nothing is asked, so nothing is claimed
        yield step.check(
            flag.replace("_", "-"),
            title,
            stated[flag] is False,  # a certificate that does not say is no promise
            "stated as off",
            {None: "not stated", True: "on", False: "off"}[stated[flag]],
            f"set the platform up so, or say {step.table}.allow_{flag} = true",
        )


def lint_intel(policy: IntelPolicy, table: str, profile: Literal["production", "development"]) -> Iterator[Finding]:
    """What is wrong with those fields, by themselves and in production."""
    for field in ("statuses", "ppids", "platform_instance_ids"):
        if getattr(policy, field) == ():
            yield empty_list(table, field)
    if TcbStatus.REVOKED in policy.statuses:
        yield Finding(
            code="status_revoked",
            message=f"{table}.statuses names Revoked: Intel no longer vouches for what such a platform signs",
            fix="remove it",
        )
    if both := sorted({*policy.allow_advisories} & {*policy.deny_advisories}):
        yield Finding(
            code="advisory_contradiction",
            message=f"{table} both allows and denies {', '.join(both)}",
            fix="remove it from one of the lists",
        )
    if profile == "production":
        yield from _lint_production(policy, table)


def _lint_production(policy: IntelPolicy, table: str) -> Iterator[Finding]:
    if not policy.require_second_opinion:
        yield too_lax(table, "require_second_opinion = false")
    for status in _OUTDATED:
        if status in policy.statuses:
            yield too_lax(table, f'statuses = ["{status}"]')
    if policy.tcb_date_min is None:
        yield Finding(
            code="tcb_rules_missing",
            message=f"there is no floor for the firmware under [{table}]",
            fix=f'add {table}.tcb_date_min = "YYYY-MM-DD": Intel\'s date of the oldest level you accept',
        )
    elif policy.tcb_date_min < _FIRST_LEVELS:
        yield excludes_nothing(f"{table}.tcb_date_min = {policy.tcb_date_min}")
    if not policy.evaluation_min:
        yield Finding(
            code="evaluation_unpinned",
            message=f"{table} asks for no edition of Intel's documents: whoever staples them chooses a valid one",
            fix=f"add {table}.evaluation_min = N, the tcbEvaluationDataNumber of today",
            refuses=False,
        )
