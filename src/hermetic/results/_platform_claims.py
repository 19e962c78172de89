"""What a verified platform says, as claims: SEV-SNP, TDX and SGX, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntFlag

from hermetic.evidence import (
    EnclaveFlag,
    EnclaveReport,
    GuestPolicyFlag,
    SgxQuote,
    SnpReport,
    TdReport,
    TdxQuote,
)
from hermetic.results.claim import Claim, Source, Value
from hermetic.verify import IntelClaims, MeasuredEvents, PlatformClaims, SnpClaims

_AMD, _INTEL = 3704, 343
"""IANA private enterprise numbers, which EAT's ``oemid`` may be (RFC 9711, 4.2.5.3)."""
_DEBUG_ON, _DEBUG_OFF = "enabled", "disabled-since-boot"
"""EAT's ``dbgstat`` (RFC 9711, 4.2.9): each TEE fixes it at launch for as long as the guest runs."""
_TUD = 0xFF
"""TDATTRIBUTES.TUD: any bit of it lets the host look into the domain (debugging, profiling, or a use yet to come)."""


def platform_claims(verified: PlatformClaims) -> tuple[Claim, ...]:
    """Every claim of a platform, in the order of its specification."""
    if isinstance(verified, SnpClaims):
        return tuple(_snp(verified))
    assert isinstance(verified, IntelClaims)  # noqa: S101 - verify makes no other kind
    return tuple(_intel(verified))


def _snp(verified: SnpClaims) -> Iterator[Claim]:
    report = verified.report
    yield _claim("oemid", _AMD, Source.CERTIFICATE)
    yield _claim("hwmodel", str(verified.product), Source.CERTIFICATE)
    yield _claim("dbgstat", _dbgstat(GuestPolicyFlag.DEBUG in report.policy.flags), Source.EVIDENCE)
    if verified.chip_id:
        named = Source.CERTIFICATE if report.signing_key.name == "VCEK" else Source.EVIDENCE
        yield _claim("snp.chip-id", verified.chip_id.hex(), named)
    if verified.provider is not None:
        yield _claim("snp.vlek-provider", verified.provider, Source.CERTIFICATE)
    for name, value in snp_fields(report).items():
        yield _claim(f"snp.{name}", value, Source.EVIDENCE)
    for name in ("reported", "committed", "current", "launch"):
        tcb = getattr(report, f"{name}_tcb").decode(verified.product)
        yield _claim(f"snp.tcb.{name}", str(tcb), Source.EVIDENCE)


def _intel(verified: IntelClaims) -> Iterator[Claim]:
    yield _claim("oemid", _INTEL, Source.CERTIFICATE)
    yield _claim("hwmodel", verified.product, Source.CERTIFICATE)
    quote, pck, tcb = verified.report, verified.pck, verified.tcb
    fields = tdx_fields(quote) if isinstance(quote, TdxQuote) else sgx_fields(quote)
    yield _claim("dbgstat", _dbgstat(_intel_debug(quote)), Source.EVIDENCE)
    for name, value in fields.items():
        yield _claim(f"{verified.tee}.{name}", value, Source.EVIDENCE)
    yield _claim("intel.fmspc", pck.fmspc.hex(), Source.CERTIFICATE)
    yield _claim("intel.pceid", pck.pce_id.hex(), Source.CERTIFICATE)
    yield _claim("intel.ppid", pck.ppid.hex(), Source.CERTIFICATE)
    yield _claim("intel.cpu-svn", pck.cpu_svn.hex(), Source.CERTIFICATE)
    if pck.platform_instance_id is not None:
        yield _claim("intel.platform-instance-id", pck.platform_instance_id.hex(), Source.CERTIFICATE)
    if pck.smt_enabled is not None:
        yield _claim("intel.smt-enabled", pck.smt_enabled, Source.CERTIFICATE)
    yield _claim("intel.tcb.status", str(tcb.status), Source.COLLATERAL)
    yield _claim("intel.tcb.date", f"{tcb.date:%Y-%m-%d}", Source.COLLATERAL)  # the oldest part's, as policies judge
    for name, judged in (("platform", tcb.platform), ("module", tcb.module), ("enclave", tcb.enclave)):
        if judged is not None:
            yield _claim(f"intel.tcb.{name}-date", f"{judged.date:%Y-%m-%d}", Source.COLLATERAL)
    yield _claim("intel.tcb.advisories", tcb.advisories, Source.COLLATERAL)
    yield _claim("intel.tcb.evaluations", tuple(map(str, tcb.evaluation_numbers)), Source.COLLATERAL)
    if verified.events is not None:
        yield from _events(verified.events)


def _events(events: MeasuredEvents) -> Iterator[Claim]:
    for name in ("app_id", "compose_hash", "instance_id", "os_image_hash", "launch_digest"):
        if (value := getattr(events, name)) is not None:
            yield _claim(f"events.{name.replace('_', '-')}", value.hex(), Source.EVENT_LOG)
    if events.key_provider is not None:
        yield _claim("events.key-provider", events.key_provider.decode("utf-8", "replace"), Source.EVENT_LOG)
    if events.secure_boot is not None:
        yield _claim("secboot", events.secure_boot, Source.EVENT_LOG)
    if events.loader is not None:
        for name in ("kernel", "initrd", "command_line_digest"):
            if (digest := getattr(events.loader, name)) is not None:
                yield _claim(f"events.{name.replace('_', '-')}", digest.hex(), Source.EVENT_LOG)


def snp_fields(report: SnpReport) -> dict[str, Value]:
    """A report's own fields; bits by name, and the unknown ones by number."""
    fields: dict[str, Value] = {
        "report-version": report.version,
        "signing-key": report.signing_key.name,
        "vmpl": report.vmpl,
        "guest-svn": report.guest_svn,
        "measurement": report.measurement.hex(),
        "host-data": report.host_data.hex(),
        "report-data": report.report_data.hex(),
        "policy": bits(report.policy.flags, report.policy.unknown),
        "policy-abi": f"{report.policy.abi_major}.{report.policy.abi_minor}",
        "platform": bits(report.platform_info.flags, report.platform_info.unknown),
        "family-id": report.family_id.hex(),
        "image-id": report.image_id.hex(),
        "id-key-digest": report.id_key_digest.hex(),
        "author-key-digest": report.author_key_digest.hex() if report.author_key_en else "none",
        "report-id": report.report_id.hex(),
        "migration-agent-report-id": report.report_id_ma.hex(),
        "firmware.current": str(report.current_firmware),
        "firmware.committed": str(report.committed_firmware),
    }
    if report.cpuid is not None:
        cpuid = report.cpuid
        fields["cpuid"] = f"family 0x{cpuid.family:02x} model 0x{cpuid.model:02x} stepping {cpuid.stepping}"
    if report.launch_mitigations is not None and report.current_mitigations is not None:
        fields["mitigations.launch"] = f"0x{report.launch_mitigations:x}"
        fields["mitigations.current"] = f"0x{report.current_mitigations:x}"
    return fields


def tdx_fields(quote: TdxQuote) -> dict[str, Value]:
    """A quote's own fields, by the specification's names without their underscores."""
    body: TdReport = quote.body
    fields: dict[str, Value] = {
        "quote-version": quote.header.version,
        "mrtd": body.mr_td.hex(),
        **{f"rtmr{index}": register.hex() for index, register in enumerate(body.rtmrs)},
        "mrconfigid": body.mr_config_id.hex(),
        "mrowner": body.mr_owner.hex(),
        "mrownerconfig": body.mr_owner_config.hex(),
        "report-data": body.report_data.hex(),
        "attributes": bits(body.td_attributes.flags, body.td_attributes.unknown),
        "xfam": f"0x{body.xfam:x}",
        "mrseam": body.mr_seam.hex(),
        "mrsignerseam": body.mr_signer_seam.hex(),
        "seamattributes": body.seam_attributes.hex(),
        "tee-tcb-svn": body.tee_tcb_svn.hex(),
    }
    if body.tee_tcb_svn2 is not None and body.mr_service_td is not None:
        fields["tee-tcb-svn2"] = body.tee_tcb_svn2.hex()
        fields["mrservicetd"] = body.mr_service_td.hex()
    return fields


def sgx_fields(quote: SgxQuote) -> dict[str, Value]:
    body: EnclaveReport = quote.body
    return {
        "quote-version": quote.header.version,
        "mrenclave": body.mr_enclave.hex(),
        "mrsigner": body.mr_signer.hex(),
        "isv-prod-id": body.isv_prod_id,
        "isv-svn": body.isv_svn,
        "config-id": body.config_id.hex(),
        "config-svn": body.config_svn,
        "isv-family-id": body.isv_family_id.hex(),
        "isv-ext-prod-id": body.isv_ext_prod_id.hex(),
        "report-data": body.report_data.hex(),
        "attributes": bits(body.attributes.flags, body.attributes.unknown),
        "xfrm": f"0x{body.xfrm:x}",
        "misc-select": f"0x{body.misc_select:x}",
        "cpu-svn": body.cpu_svn.hex(),
    }


def bits(flags: IntFlag, unknown: int) -> tuple[str, ...]:
    """The names of what is set, lowest bit first; a bit without a name by its number."""
    names = [flag.name or "" for flag in type(flags) if flag in flags]
    return (*names, *(f"bit {bit}" for bit in range(unknown.bit_length()) if unknown >> bit & 1))


def _intel_debug(quote: TdxQuote | SgxQuote) -> bool:
    """Whether the host may look inside, by whichever bit."""
    if isinstance(quote, TdxQuote):
        return quote.body.td_attributes.to_int() & _TUD != 0
    return EnclaveFlag.DEBUG in quote.body.attributes.flags


def _dbgstat(debug: bool) -> str:
    return _DEBUG_ON if debug else _DEBUG_OFF


def _claim(name: str, value: Value, source: Source) -> Claim:
    return Claim(name=name, value=value, source=source)
