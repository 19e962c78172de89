"""Do we want this TDX platform and this trust domain?  The ``[tdx]`` table of a policy, and its appraisal.

    [tdx]
    mr_tds = ["<96 hex digits>"]                  # the firmware that may start
    rtmr0s = ["…"]                                # what the host hands it: machine, ACPI tables, secure boot
    rtmr1s = ["…"]                                # the kernel
    rtmr2s = ["…"]                                # its command line and initial file system
    tcb_date_min = "2025-05-14"                   # Intel's date of the oldest firmware that is still wanted

Continues the check-list of :mod:`hermetic.verify.dcap` and of :mod:`hermetic.policy._intel`, and reports every failure
at once:

    DCAP 16  the domain allows no debugging, no migration, and nothing unnamed (Intel TDX Module, TDATTRIBUTES, XFAM)
    DCAP 17  the TDX module is new enough, and one that we want
    DCAP 18  it is a domain that we want: firmware, registers, and identities where we pin them
    DCAP 19  so is what its event log says, where we ask
"""

from __future__ import annotations

from collections.abc import Iterator

from hermetic.evidence import TdFlag, TdReport, TdxQuote
from hermetic.policy._checks import Step, one_of
from hermetic.policy._intel import appraise_intel
from hermetic.policy._tdx_lint import lint_tdx
from hermetic.policy._tdx_table import NO_SERVICE_TD, XFAM_KNOWN, XFAM_REQUIRED, TdxPolicy
from hermetic.verify import Check, IntelClaims, MeasuredEvents

__all__ = ["XFAM_KNOWN", "XFAM_REQUIRED", "TdxPolicy", "appraise_tdx", "lint_tdx"]

_OWN_KNOBS = TdFlag.DEBUG | TdFlag.SEPT_VE_DISABLE | TdFlag.MIGRATABLE


def appraise_tdx(claims: IntelClaims, policy: TdxPolicy) -> tuple[Check, ...]:
    """Every check that ``policy`` asks for, passed and failed.  Decides nothing: the caller refuses if one failed.

    ``claims`` are those of a TDX quote.
    """
    quote = claims.report
    assert isinstance(quote, TdxQuote)  # noqa: S101 - the caller looked at the TEE
    return (
        *appraise_intel(claims, policy, "tdx"),
        *_format(quote, policy),
        *_attributes(quote.body, policy),
        *_module(quote.body, policy),
        *_domain(quote.body, policy),
        *_events(claims.events, policy),
    )


def _format(quote: TdxQuote, policy: TdxPolicy) -> Iterator[Check]:
    # 16. How much the quote can say.
    step = Step(table="tdx", section="DCAP 16: Quote Format, A.4 and A.5")
    yield step.check(
        "quote-version",
        "The quote is of a version that says enough",
        quote.header.version >= policy.quote_version_min,
        f"at least {policy.quote_version_min}",
        str(quote.header.version),
        "update the platform's quoting service",
    )
    if policy.require_tdx_1_5:
        yield step.check(
            "tdx-1-5",
            "The domain's report is one of TDX 1.5",
            quote.body.tee_tcb_svn2 is not None,
            "a report of TDX 1.5",
            "TDX 1.0" if quote.body.tee_tcb_svn2 is None else "TDX 1.5",
            "update the platform's TDX module and quoting service",
        )


def _attributes(body: TdReport, policy: TdxPolicy) -> Iterator[Check]:
    # 16. What its owner allowed to be done to the domain.
    step, attributes = Step(table="tdx", section="DCAP 16: Intel TDX Module, TDATTRIBUTES"), body.td_attributes
    flags = (
        ("allow_debug", TdFlag.DEBUG, "The host cannot debug the domain"),
        ("allow_migration", TdFlag.MIGRATABLE, "The domain cannot be moved to another machine"),
        ("require_sept_ve_disable", TdFlag.SEPT_VE_DISABLE, "The host cannot inject faults by unmapping pages"),
    )
    for knob, flag, title in flags:
        wanted = knob.startswith("require_")
        if getattr(policy, knob) is not wanted:
            continue  # allowed, or not required: nothing is asked, so nothing is claimed
        is_set = flag in attributes.flags
        yield step.check(
            f"attributes.{knob.partition('_')[2].replace('_', '-')}",
            title,
            is_set is wanted,
            f"attribute bit {flag.bit_length() - 1} {'set' if wanted else 'clear'}",
            "set" if is_set else "clear",
            f"launch the domain otherwise, or say tdx.{knob} = {'false' if wanted else 'true'}",
        )
    yield step.no_other_bits(
        "attributes.bits",
        "No other attribute is set",
        attributes.to_int() & ~int(_OWN_KNOBS),
        policy.allow_attribute_bits,
        "tdx.allow_attribute_bits",
    )
    xfam = Step(table="tdx", section="DCAP 16: Intel TDX Module, XFAM")
    yield xfam.check(
        "xfam",
        "The domain uses no extended state of the processor but what we allow",
        body.xfam & XFAM_REQUIRED == XFAM_REQUIRED and not body.xfam & ~policy.xfam_mask,
        f"bits 0 and 1, and none outside 0x{policy.xfam_mask:x}",
        f"0x{body.xfam:x}",
        "launch the domain with fewer features, or widen tdx.xfam_mask once you know what the bit means",
    )
    yield from _service(body, policy, step)


def _service(body: TdReport, policy: TdxPolicy, step: Step) -> Iterator[Check]:
    """A report of TDX 1.0 has no such field.  Services act on a domain by migrating it, so one that forbids that has
    none to name; one that allows it must be able to say."""
    stated = body.mr_service_td
    unbound = stated is None and TdFlag.MIGRATABLE not in body.td_attributes.flags
    got = NO_SERVICE_TD if unbound else "" if stated is None else stated.hex()
    yield step.member(
        "mr-service-td",
        "No service domain is bound to it but one that we want",
        got,
        policy.mr_service_tds,
        "launch the domain without a service domain, or pin the service in tdx.mr_service_tds",
    )


def _module(body: TdReport, policy: TdxPolicy) -> Iterator[Check]:
    # 17. What isolates it.
    step = Step(table="tdx", section="DCAP 17: Intel TDX Module, TEE_TCB_SVN")
    if policy.module_min is not None:
        major, minor = (int(part) for part in policy.module_min.split("."))
        versions = [(svn[1], svn[0]) for svn in (body.tee_tcb_svn, body.tee_tcb_svn2) if svn is not None]
        yield step.check(
            "module",
            "The TDX module that launched the domain is not too old, nor the one that runs it",
            min(versions) >= (major, minor),
            f"at least {policy.module_min}",
            ", then ".join(f"{version[0]}.{version[1]}" for version in versions),
            "update the platform's TDX module and launch the domain anew",
        )
    if policy.mr_seams is not None:
        yield step.member(
            "mr-seam", "It is a TDX module that we want", body.mr_seam.hex(), policy.mr_seams, "pin it in tdx.mr_seams"
        )


def _domain(body: TdReport, policy: TdxPolicy) -> Iterator[Check]:
    # 18. Which domain it is.
    step = Step(table="tdx", section="DCAP 18: Intel TDX Module, MRTD and RTMR")
    yield step.member(
        "mr-td",
        "The domain was started from firmware that we pinned",
        body.mr_td.hex(),
        policy.mr_tds,
        "pin it in tdx.mr_tds, if it is what you built",
    )
    pinned = (
        ("rtmr0", "What the host handed the firmware is what we pinned", body.rtmrs[0]),
        ("rtmr1", "The kernel is one that we pinned", body.rtmrs[1]),
        ("rtmr2", "Command line and initial file system are ones that we pinned", body.rtmrs[2]),
        ("rtmr3", "What the system measured at run time is what we pinned", body.rtmrs[3]),
        ("mr_config_id", "The host stated a configuration that we pinned, at launch", body.mr_config_id),
        ("mr_owner", "The host stated an owner that we pinned, at launch", body.mr_owner),
        ("mr_owner_config", "The host stated an owner's configuration that we pinned, at launch", body.mr_owner_config),
    )
    for field, title, got in pinned:
        wanted = getattr(policy, f"{field}s")
        if wanted is not None:
            name = field.replace("_", "-")
            yield step.member(name, title, got.hex(), wanted, f"pin it in tdx.{field}s, if you know what it is")


def _events(events: MeasuredEvents | None, policy: TdxPolicy) -> Iterator[Check]:
    # 19. What the measured log says.  Without a log nothing is said, and nothing that is asked for is met.
    step, said = Step(table="tdx", section="DCAP 19: event logs"), events or MeasuredEvents()
    if policy.require_event_log:
        yield step.check(
            "event-log",
            "An event log came along, and its registers agree",
            events is not None,
            "a log",
            "none" if events is None else "a log",
            "collect the evidence together with its event log",
        )
    if policy.require_secure_boot:
        yield step.check(
            "secure-boot",
            "Secure boot was on",
            said.secure_boot is True,
            "secure boot on",
            {None: "not stated", True: "on", False: "off"}[said.secure_boot],
            "switch secure boot on, and collect the firmware's event log",
        )
    asked = (
        (
            "compose_hash",
            "The composition of containers is one that we pinned",
            said.compose_hash,
            policy.compose_hashes,
        ),
        ("app_id", "The application is one that we want", said.app_id, policy.app_ids),
        ("instance_id", "It is one of the instances we listed", said.instance_id, policy.instance_ids),
        ("os_image_hash", "The system's image is one that we pinned", said.os_image_hash, policy.os_image_hashes),
    )
    for field, title, raw, wanted in asked:
        if wanted is not None:
            name = field.replace("_", "-")
            yield step.member(name, title, (raw or b"").hex(), wanted, "collect the event log, and pin what it says")
    if policy.key_providers is not None:
        yield step.check(
            "key-provider",
            "Its keys come from a provider that we want",
            said.key_provider in [provider.encode() for provider in policy.key_providers],
            one_of(policy.key_providers),
            (said.key_provider or b"not stated").decode("utf-8", "backslashreplace"),
            "collect the event log, and pin what it says",
        )
