"""Do we want this SEV-SNP platform and this guest?  The ``[snp]`` table of a policy, and its appraisal.

    [snp]
    products = ["Genoa", "Turin"]
    measurements = ["<96 hex digits>"]            # the launch digests that may run
    allow_platform_bits = [6]                     # bits that nobody has named yet, by number

    [snp.tcb.Genoa]                               # no component may be older
    boot_loader = 10
    tee = 0
    snp = 25
    microcode = 84

Continues the check-list of :mod:`hermetic.verify.snp`, and reports every failure at once:

    SNP 8   the guest policy allows no debugging, no migration, and nothing unknown (AMD 56860, 4.3)
    SNP 9   the platform is set up as we ask, and says nothing unknown (56860, 7.3)
    SNP 10  privilege level, versions and firmware: reported ≤ committed ≤ current, none older than we ask (56860, 2.2)
    SNP 11  it is a guest that we want: measurement, and identity and keys where we pin them (56860, 7.3 and 8)
    SNP 12  it is a product, and a chip or provider, that we want (57230)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hermetic.evidence import (
    FirmwareVersion,
    GuestPolicyFlag,
    PlatformFlag,
    Product,
    SigningKey,
    SnpReport,
    Tcb,
)
from hermetic.policy._checks import Step, one_of
from hermetic.policy._snp_lint import lint_snp
from hermetic.policy._snp_table import PRODUCTION_PRODUCTS, SnpPolicy, TcbFloor
from hermetic.verify import Check, SnpClaims

__all__ = ["PRODUCTION_PRODUCTS", "SnpPolicy", "TcbFloor", "appraise_snp", "lint_snp"]

# Guest policy flags: the knob, the title of the check, what to do.  An ``allow`` knob wants the flag clear, a
# ``require`` knob wants it set.
_GUEST_FLAGS = (
    ("allow_debug", GuestPolicyFlag.DEBUG, "The host cannot debug the guest"),
    ("allow_migration", GuestPolicyFlag.MIGRATE_MA, "No migration agent can move the guest"),
    ("allow_smt", GuestPolicyFlag.SMT, "The guest shares no core with a sibling thread"),
    ("allow_cxl", GuestPolicyFlag.CXL_ALLOW, "No CXL device or memory is populated"),
    ("require_single_socket", GuestPolicyFlag.SINGLE_SOCKET, "The guest stays on one socket"),
    ("require_aes_256_xts", GuestPolicyFlag.MEM_AES_256_XTS, "Memory is encrypted with AES-256-XTS"),
    ("require_rapl_disabled", GuestPolicyFlag.RAPL_DIS, "Power readings are off for the guest's life"),
    ("require_ciphertext_hiding", GuestPolicyFlag.CIPHERTEXT_HIDING_DRAM, "The host cannot see ciphertext in DRAM"),
    ("require_page_swap_disabled", GuestPolicyFlag.PAGE_SWAP_DISABLE, "The host cannot swap the guest's pages"),
)
_PLATFORM_FLAGS = (
    ("require_alias_check", PlatformFlag.ALIAS_CHECK_COMPLETE, "Memory was checked for aliases (BadRAM)"),
    ("require_ecc", PlatformFlag.ECC_EN, "Memory corrects errors"),
    ("require_tsme", PlatformFlag.TSME_EN, "All memory is encrypted, the host's too"),
    ("require_platform_rapl_disabled", PlatformFlag.RAPL_DIS, "Power readings are off"),
    (
        "require_platform_ciphertext_hiding",
        PlatformFlag.CIPHERTEXT_HIDING_DRAM_EN,
        "Ciphertext in DRAM is hidden from the host",
    ),
    ("allow_smt", PlatformFlag.SMT_EN, "Simultaneous multithreading is off"),
    ("allow_tio", PlatformFlag.TIO_EN, "No device takes part in the guest's trust (SEV-TIO)"),
)


def appraise_snp(claims: SnpClaims, policy: SnpPolicy) -> tuple[Check, ...]:
    """Every check that ``policy`` asks for, passed and failed.  Decides nothing: the caller refuses if one failed."""
    report = claims.report
    return (
        *_guest_policy(report, policy),
        *_platform(report, policy),
        *_versions(report, claims.product, policy),
        *_guest(report, policy),
        *_hardware(claims, policy),
    )


def _guest_policy(report: SnpReport, policy: SnpPolicy) -> Iterator[Check]:
    # 8. What the guest's owner signed up for at launch.
    step = Step(table="snp", section="SNP 8: AMD 56860, 4.3")
    guest = report.policy
    well_formed = GuestPolicyFlag.RESERVED_ONE in guest.flags
    yield step.check(
        "guest-policy", "The guest policy is well formed", well_formed, "bit 17 set", f"0x{guest.to_int():x}"
    )
    yield from _flags(_GUEST_FLAGS, int(guest.flags), policy, step, where="guest policy")
    yield step.no_other_bits(
        "guest-policy-bits",
        "No bit is set whose meaning we do not know",
        guest.unknown,
        policy.allow_policy_bits,
        "allow_policy_bits",
    )
    if policy.abi_min is not None:
        yield step.check(
            "abi",
            "The guest demands a recent firmware interface",
            (guest.abi_major, guest.abi_minor) >= _numbers(policy.abi_min),
            f"at least {policy.abi_min}",
            f"{guest.abi_major}.{guest.abi_minor}",
            "launch the guest with a newer ABI version in its policy",
        )


def _platform(report: SnpReport, policy: SnpPolicy) -> Iterator[Check]:
    # 9. How the machine is set up now.
    step, info = Step(table="snp", section="SNP 9: AMD 56860, 7.3"), report.platform_info
    yield from _flags(_PLATFORM_FLAGS, int(info.flags), policy, step, where="platform")
    yield step.no_other_bits(
        "platform-bits",
        "No bit is set whose meaning we do not know",
        info.unknown,
        policy.allow_platform_bits,
        "allow_platform_bits",
    )


def _versions(report: SnpReport, product: Product, policy: SnpPolicy) -> Iterator[Check]:
    # 10. Who asked, and how old everything is.
    step = Step(table="snp", section="SNP 10: AMD 56860, 2.2 and 7.3")
    yield step.check(
        "report-version",
        "The report is of a version that says enough",
        report.version >= policy.report_version_min,
        f"at least {policy.report_version_min}",
        str(report.version),
        "update the platform's SEV firmware",
    )
    yield step.check(
        "vmpl",
        "The report was asked for at the privilege level we expect",
        report.vmpl == policy.vmpl,
        str(policy.vmpl),
        str(report.vmpl),
        "set vmpl to the level of the guest's own kernel; below a paravisor it is not 0",
    )
    yield step.check(
        "guest-svn",
        "The guest image is not too old",
        report.guest_svn >= policy.guest_svn_min,
        f"at least {policy.guest_svn_min}",
        str(report.guest_svn),
        "start a newer image",
    )
    reported, committed = report.reported_tcb.decode(product), report.committed_tcb.decode(product)
    current, launch = report.current_tcb.decode(product), report.launch_tcb.decode(product)
    yield step.check(
        "tcb-order",
        "The platform reports no more than it committed to, and runs no less",
        committed.covers(reported) and current.covers(committed),
        "reported ≤ committed ≤ current",
        f"reported {reported}; committed {committed}; current {current}",
    )
    yield from _floor("tcb", "No component of the platform is too old", reported, product, policy.tcb, step)
    at_launch = policy.launch_tcb or policy.tcb  # an empty table is no floor of its own either
    yield from _floor("launch-tcb", "None was too old when the guest started", launch, product, at_launch, step)
    yield from _firmware(report, product, policy, step)


def _firmware(report: SnpReport, product: Product, policy: SnpPolicy, step: Step) -> Iterator[Check]:
    current, committed = report.current_firmware, report.committed_firmware
    if policy.firmware_min:
        floor = policy.firmware_min.get(product)
        wanted = (
            None
            if floor is None
            else FirmwareVersion(**dict(zip(("major", "minor", "build"), _numbers(floor), strict=True)))
        )
        yield step.check(
            "firmware",
            "The SEV firmware is not too old",
            wanted is not None and committed >= wanted,
            f"at least {floor} committed" if floor else f"a floor for {product} in the policy",
            str(committed),
            f"update the platform's SEV firmware, or state firmware_min for {product}",
        )
    if not policy.allow_provisional_firmware:
        yield step.check(
            "provisional-firmware",
            "The SEV firmware is committed: the host cannot roll it back",
            current == committed,
            f"current equal to committed {committed}",
            str(current),
            "commit the firmware on the platform (SNP_COMMIT)",
        )
    if policy.require_mitigations:
        mask = policy.require_mitigations
        vectors = (report.launch_mitigations or 0, report.current_mitigations or 0)
        yield step.check(
            "mitigations",
            "The mitigations we ask for were and are in force",
            all(vector & mask == mask for vector in vectors),
            f"0x{mask:x} at launch and now",
            f"0x{vectors[0]:x} at launch, 0x{vectors[1]:x} now",
            "update the platform, then start the guest anew",
        )


def _guest(report: SnpReport, policy: SnpPolicy) -> Iterator[Check]:
    # 11. Which guest it is.  (host_data is the launch document's, and is bound where that is verified.)
    step = Step(table="snp", section="SNP 11: AMD 56860, 7.3 and 8")
    yield step.member(
        "measurement",
        "The guest was started from an image that we pinned",
        report.measurement.hex(),
        policy.measurements,
        "pin it in snp.measurements, if it is what you built",
    )
    if policy.id_key_digests is not None:
        yield step.member(
            "id-key",
            "A key that we pinned signed the guest's identity",
            report.id_key_digest.hex(),
            policy.id_key_digests,
        )
    if policy.author_key_digests is not None:
        yield step.check(
            "author-key",
            "A key that we pinned certified that identity key",
            report.author_key_en and report.author_key_digest.hex() in policy.author_key_digests,
            one_of(policy.author_key_digests),
            report.author_key_digest.hex() if report.author_key_en else "no author key",
        )
    if policy.family_ids is not None:
        yield step.member("family-id", "The guest is of a family we want", report.family_id.hex(), policy.family_ids)
    if policy.image_ids is not None:
        yield step.member("image-id", "The guest is an image we want", report.image_id.hex(), policy.image_ids)


def _hardware(claims: SnpClaims, policy: SnpPolicy) -> Iterator[Check]:
    # 12. Whose hardware it is.
    step = Step(table="snp", section="SNP 12: AMD 57230")
    yield step.check(
        "product",
        "The processor is of a line that we want",
        claims.product in policy.products,
        one_of(policy.products),
        str(claims.product),
        "run on a newer processor, or name the product in snp.products (Milan in a development profile only)",
    )
    if policy.chip_ids is not None:
        yield step.member(
            "chip-id",
            "It is one of the chips we listed",
            claims.chip_id.hex(),
            policy.chip_ids,
            "add the chip to snp.chip_ids, if you know where it stands",
        )
    if claims.report.signing_key is not SigningKey.VCEK:
        yield step.check(
            "vlek-provider",
            "The cloud provider that holds the signing key is one we want",
            claims.provider in policy.vlek_providers,
            one_of(policy.vlek_providers),
            claims.provider or "none",
            "name the provider in snp.vlek_providers",
        )


def _flags(
    flags: tuple[tuple[str, int, str], ...], value: int, policy: SnpPolicy, step: Step, *, where: str
) -> Iterator[Check]:
    for knob, flag, title in flags:
        wanted = knob.startswith("require_")
        if getattr(policy, knob) is not wanted:
            continue  # allowed, or not required: nothing is asked, so nothing is claimed
        is_set = bool(value & flag)
        yield step.check(
            f"{where.replace(' ', '-')}.{knob.partition('_')[2].replace('_', '-')}",
            title,
            is_set is wanted,
            f"{where} bit {flag.bit_length() - 1} {'set' if wanted else 'clear'}",
            "set" if is_set else "clear",
            f"change the {where}, or say {knob} = {'false' if wanted else 'true'}",
        )


def _floor(
    name: str, title: str, got: Tcb, product: Product, floors: Mapping[Product, TcbFloor], step: Step
) -> Iterator[Check]:
    if not floors:
        return  # a production policy has a floor for each of its products (lint)
    floor = floors[product].tcb() if product in floors else None
    yield step.check(
        name,
        title,
        floor is not None and got.covers(floor),
        f"at least {floor}" if floor else f"a floor for {product} in the policy",
        str(got),
        f"update the platform and start the guest anew, or state {name.replace('-', '_')} for {product}",
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
