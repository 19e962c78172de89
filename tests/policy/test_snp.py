"""Every knob of the ``[snp]`` table has a twin pair: a platform that passes, and the same with one thing different."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from hermetic.evidence import (
    FirmwareVersion,
    GuestPolicy,
    GuestPolicyFlag,
    PlatformFlag,
    PlatformInfo,
    Product,
    SigningKey,
    Tcb,
)
from hermetic.policy.snp import PRODUCTION_PRODUCTS, SnpPolicy, TcbFloor, appraise_snp, lint_snp
from hermetic.sources.simulator.amd import SIMULATED_MEASUREMENT
from hermetic.sources.simulator.snp_platform import SnpPlatform
from hermetic.verify import Outcome, SnpClaims
from snp_support import claims as platform_claims
from snp_support import simulated

HEALTHY = SnpPlatform()
PINNED: dict[str, Any] = {"measurements": (SIMULATED_MEASUREMENT.hex(),)}
FLOOR = TcbFloor(boot_loader=10, tee=0, snp=25, microcode=84)


def claims(platform: SnpPlatform | None = None, product: Product = Product.GENOA, **changes: Any) -> SnpClaims:
    made = platform_claims(platform, product, **changes)
    assert isinstance(made, SnpClaims)
    return made


def policy(**knobs: Any) -> SnpPolicy:
    """From TOML's types, so that every knob is read as a file would have it read."""
    return msgspec.convert(msgspec.to_builtins(PINNED | knobs), SnpPolicy)


def failed(platform: SnpPlatform, wanted: SnpPolicy, product: Product = Product.GENOA) -> list[str]:
    """The names of the checks that refuse, without their common prefix.  Each says what to expect and what came."""
    checks = appraise_snp(claims(platform, product), wanted)
    assert len({check.name for check in checks}) == len(checks)
    assert all(check.expected and check.got and check.section.startswith("SNP ") for check in checks)
    return [check.name.removeprefix("policy.snp.") for check in checks if check.outcome is Outcome.FAIL]


def guest(*set_flags: GuestPolicyFlag, clear: GuestPolicyFlag | None = None, unknown: int = 0) -> SnpPlatform:
    flags = HEALTHY.policy.flags if clear is None else HEALTHY.policy.flags & ~clear
    for flag in set_flags:
        flags |= flag
    return SnpPlatform(policy=replace(HEALTHY.policy, flags=flags, unknown=unknown))


def info(*set_flags: PlatformFlag, clear: PlatformFlag | None = None, unknown: int = 0) -> SnpPlatform:
    flags = HEALTHY.platform_info.flags if clear is None else HEALTHY.platform_info.flags & ~clear
    for flag in set_flags:
        flags |= flag
    return SnpPlatform(platform_info=PlatformInfo(flags=flags, unknown=unknown))


STRICTEST = policy(
    chip_ids=(simulated().chip_id.hex(),),
    id_key_digests=("00" * 48,),
    family_ids=("00" * 16,),
    image_ids=("00" * 16,),
    report_version_min=5,
    guest_svn_min=1,
    tcb={"Genoa": FLOOR},
    firmware_min={"Genoa": "1.55.61"},
    require_mitigations=3,
    require_ecc=True,
    require_tsme=True,
    require_platform_rapl_disabled=True,
    require_platform_ciphertext_hiding=True,
    abi_min="1.55",
    allow_smt=False,
    require_single_socket=True,
    require_aes_256_xts=True,
    require_rapl_disabled=True,
    require_ciphertext_hiding=True,
    require_page_swap_disabled=True,
)


@pytest.mark.parametrize("product", PRODUCTION_PRODUCTS)
def test_a_healthy_platform_passes_the_default_policy(product: Product) -> None:
    assert failed(HEALTHY, policy(), product) == []


def test_a_healthy_platform_passes_the_strictest_policy() -> None:
    assert failed(HEALTHY, STRICTEST) == []


def test_every_failure_is_reported_at_once() -> None:
    sick = replace(
        guest(GuestPolicyFlag.DEBUG, GuestPolicyFlag.MIGRATE_MA, unknown=1 << 40),
        platform_info=PlatformInfo(flags=PlatformFlag(0), unknown=1 << 9),
        vmpl=2,
        committed_firmware=FirmwareVersion(major=1, minor=55, build=60),
    )
    assert failed(sick, SnpPolicy(measurements=("11" * 48,), products=(Product.TURIN,))) == [
        "guest-policy.debug",
        "guest-policy.migration",
        "guest-policy-bits",
        "platform.alias-check",
        "platform-bits",
        "vmpl",
        "provisional-firmware",
        "measurement",
        "product",
    ]


def test_a_failure_says_what_to_do_and_a_pass_does_not() -> None:
    checks = appraise_snp(claims(replace(HEALTHY, vmpl=1)), policy())
    assert [bool(check.fix) for check in checks if check.outcome is Outcome.PASS] == [False] * (len(checks) - 1)
    (refused,) = (check for check in checks if check.outcome is Outcome.FAIL)
    assert (refused.expected, refused.got) == ("0", "1")
    assert refused.fix


# SNP 8: one knob of the guest policy each; (knob, value that admits or demands, platform, failing check)

GUEST_KNOBS = [
    ("allow_debug", guest(GuestPolicyFlag.DEBUG), "guest-policy.debug"),
    ("allow_migration", guest(GuestPolicyFlag.MIGRATE_MA), "guest-policy.migration"),
    ("allow_cxl", guest(GuestPolicyFlag.CXL_ALLOW), "guest-policy.cxl"),
    ("allow_smt", guest(GuestPolicyFlag.SMT), "guest-policy.smt"),
    ("require_single_socket", guest(clear=GuestPolicyFlag.SINGLE_SOCKET), "guest-policy.single-socket"),
    ("require_aes_256_xts", guest(clear=GuestPolicyFlag.MEM_AES_256_XTS), "guest-policy.aes-256-xts"),
    ("require_rapl_disabled", guest(clear=GuestPolicyFlag.RAPL_DIS), "guest-policy.rapl-disabled"),
    (
        "require_ciphertext_hiding",
        guest(clear=GuestPolicyFlag.CIPHERTEXT_HIDING_DRAM),
        "guest-policy.ciphertext-hiding",
    ),
    ("require_page_swap_disabled", guest(clear=GuestPolicyFlag.PAGE_SWAP_DISABLE), "guest-policy.page-swap-disabled"),
    # SNP 9
    ("require_alias_check", info(clear=PlatformFlag.ALIAS_CHECK_COMPLETE), "platform.alias-check"),
    ("require_ecc", info(clear=PlatformFlag.ECC_EN), "platform.ecc"),
    ("require_tsme", info(clear=PlatformFlag.TSME_EN), "platform.tsme"),
    ("require_platform_rapl_disabled", info(clear=PlatformFlag.RAPL_DIS), "platform.platform-rapl-disabled"),
    (
        "require_platform_ciphertext_hiding",
        info(clear=PlatformFlag.CIPHERTEXT_HIDING_DRAM_EN),
        "platform.platform-ciphertext-hiding",
    ),
    ("allow_smt", info(PlatformFlag.SMT_EN), "platform.smt"),
    ("allow_tio", info(PlatformFlag.TIO_EN), "platform.tio"),
]


@pytest.mark.parametrize(("knob", "platform", "check"), GUEST_KNOBS, ids=[entry[2] for entry in GUEST_KNOBS])
def test_a_flag(knob: str, platform: SnpPlatform, check: str) -> None:
    strict = policy(**{knob: knob.startswith("require_")})
    lax = policy(**{knob: knob.startswith("allow_")})
    assert failed(HEALTHY, strict) == []
    assert failed(platform, strict) == [check]
    assert failed(platform, lax) == []


def test_the_defaults_are_the_strict_ones() -> None:
    for knob in ("allow_debug", "allow_migration", "allow_cxl", "allow_tio", "allow_provisional_firmware"):
        assert getattr(SnpPolicy(), knob) is False
    assert SnpPolicy().require_alias_check
    assert (SnpPolicy().allow_policy_bits, SnpPolicy().allow_platform_bits) == ((), ())
    assert SnpPolicy().measurements == ()
    assert Product.MILAN not in SnpPolicy().products


def test_a_policy_without_what_is_always_set() -> None:
    assert failed(guest(clear=GuestPolicyFlag.RESERVED_ONE), policy()) == ["guest-policy"]


@pytest.mark.parametrize("bit", [26, 63])
def test_an_unknown_policy_bit(bit: int) -> None:
    platform = guest(unknown=1 << bit)
    assert failed(platform, policy()) == ["guest-policy-bits"]
    assert failed(platform, policy(allow_policy_bits=(27,))) == ["guest-policy-bits"]
    assert failed(platform, policy(allow_policy_bits=(bit,))) == []


@pytest.mark.parametrize("bit", [6, 8, 63])
def test_an_unknown_platform_bit(bit: int) -> None:
    platform = info(unknown=1 << bit)
    assert failed(platform, policy()) == ["platform-bits"]
    assert failed(platform, policy(allow_platform_bits=(9,))) == ["platform-bits"]
    assert failed(platform, policy(allow_platform_bits=(bit,))) == []
    assert failed(info(unknown=1 << bit | 1 << 10), policy(allow_platform_bits=(bit,))) == ["platform-bits"]


@pytest.mark.parametrize(("major", "minor", "good"), [(1, 55, True), (2, 0, True), (1, 54, False), (0, 99, False)])
def test_abi(major: int, minor: int, good: bool) -> None:
    platform = SnpPlatform(policy=GuestPolicy(abi_major=major, abi_minor=minor, flags=HEALTHY.policy.flags))
    assert failed(platform, policy(abi_min="1.55")) == ([] if good else ["abi"])
    assert failed(platform, policy()) == []


# SNP 10


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_report_version(version: int) -> None:
    platform = SnpPlatform(version=version)
    assert failed(platform, policy()) == ([] if version >= 3 else ["report-version"])
    assert failed(platform, policy(report_version_min=5)) == ([] if version == 5 else ["report-version"])
    assert failed(platform, policy(report_version_min=2)) == []


@pytest.mark.parametrize("vmpl", [1, 3, 0xFFFFFFFF])
def test_vmpl(vmpl: int) -> None:
    """0xFFFFFFFF is a report that the host asked for: no policy can name it."""
    assert failed(SnpPlatform(vmpl=vmpl), policy()) == ["vmpl"]
    if vmpl <= 3:
        assert failed(SnpPlatform(vmpl=vmpl), policy(vmpl=vmpl)) == []
        assert failed(HEALTHY, policy(vmpl=vmpl)) == ["vmpl"]


def test_guest_svn() -> None:
    assert failed(SnpPlatform(guest_svn=6), policy(guest_svn_min=7)) == ["guest-svn"]
    assert failed(SnpPlatform(guest_svn=7), policy(guest_svn_min=7)) == []


COMPONENTS = ("boot_loader", "tee", "snp", "microcode")
LEVEL = Tcb(boot_loader=10, tee=5, snp=25, microcode=84)
LEVEL_FLOOR = TcbFloor(boot_loader=10, tee=5, snp=25, microcode=84)


def lowered(component: str, by: int = 1) -> Tcb:
    return replace(LEVEL, **{component: getattr(LEVEL, component) - by})


def at(**levels: Tcb) -> SnpPlatform:
    every: dict[str, Any] = dict.fromkeys(("current_tcb", "committed_tcb", "reported_tcb", "launch_tcb"), LEVEL)
    return SnpPlatform(**(every | levels))


@pytest.mark.parametrize("component", COMPONENTS)
def test_reported_committed_current(component: str) -> None:
    older = lowered(component)
    assert failed(at(reported_tcb=older), policy()) == []
    assert failed(at(reported_tcb=older, committed_tcb=older), policy()) == []
    assert failed(at(committed_tcb=older), policy()) == ["tcb-order"]
    assert failed(at(current_tcb=older), policy()) == ["tcb-order"]


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_floor_of_the_reported_tcb(component: str) -> None:
    wanted = policy(tcb={"Genoa": LEVEL_FLOOR})
    assert failed(at(), wanted) == []
    assert failed(at(reported_tcb=lowered(component)), wanted) == ["tcb"]


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_floor_at_launch(component: str) -> None:
    """Unless it has a floor of its own, what ran at launch is held to the same."""
    older = at(launch_tcb=lowered(component))
    assert failed(older, policy(tcb={"Genoa": LEVEL_FLOOR})) == ["launch-tcb"]
    own = msgspec.structs.replace(LEVEL_FLOOR, **{component: getattr(LEVEL_FLOOR, component) - 1})
    assert failed(older, policy(tcb={"Genoa": LEVEL_FLOOR}, launch_tcb={"Genoa": own})) == []
    assert failed(at(launch_tcb=lowered(component, by=2)), policy(launch_tcb={"Genoa": own})) == ["launch-tcb"]


@pytest.mark.parametrize("spelling", ["", "launch_tcb = {}", "[launch_tcb]"], ids=["left out", "inline", "header"])
def test_an_empty_floor_at_launch_is_none_of_its_own(spelling: str) -> None:
    wanted = policy(tcb={"Genoa": LEVEL_FLOOR}, **tomllib.loads(spelling))
    assert failed(at(), wanted) == []
    assert failed(at(launch_tcb=lowered("snp")), wanted) == ["launch-tcb"]
    assert codes(wanted, "development") == (["pins_no_launch_tcb"] if spelling else [])


def test_turins_fmc_has_a_floor_too() -> None:
    floor = TcbFloor(fmc=1, boot_loader=1, tee=0, snp=2, microcode=71)
    platform = SnpPlatform()
    assert failed(platform, policy(tcb={"Turin": floor}), Product.TURIN) == ["tcb", "launch-tcb"]
    lower = msgspec.structs.replace(floor, fmc=0)
    assert failed(platform, policy(tcb={"Turin": lower}), Product.TURIN) == []


def test_floors_that_leave_out_the_product_refuse_it() -> None:
    turin = TcbFloor(fmc=0, boot_loader=0, tee=0, snp=0, microcode=0)
    assert failed(HEALTHY, policy(tcb={"Turin": turin})) == ["tcb", "launch-tcb"]
    assert failed(HEALTHY, policy(firmware_min={"Turin": "1.0.0"})) == ["firmware"]


@pytest.mark.parametrize(
    ("floor", "good"), [("1.55.61", True), ("1.54.255", True), ("1.55.62", False), ("1.56.0", False), ("2.0.0", False)]
)
def test_firmware(floor: str, good: bool) -> None:
    assert failed(HEALTHY, policy(firmware_min={"Genoa": floor})) == ([] if good else ["firmware"])


def test_the_committed_firmware_counts_not_what_runs_today() -> None:
    provisional = SnpPlatform(
        current_firmware=FirmwareVersion(major=1, minor=55, build=62),
        committed_firmware=FirmwareVersion(major=1, minor=55, build=60),
    )
    assert failed(provisional, policy()) == ["provisional-firmware"]
    assert failed(provisional, policy(allow_provisional_firmware=True)) == []
    floor = policy(allow_provisional_firmware=True, firmware_min={"Genoa": "1.55.61"})
    assert failed(provisional, floor) == ["firmware"]


@pytest.mark.parametrize(("launch", "current", "good"), [(0b110, 0b111, True), (0b10, 0b110, False), (0b110, 0, False)])
def test_mitigations(launch: int, current: int, good: bool) -> None:
    platform = SnpPlatform(launch_mitigations=launch, current_mitigations=current)
    assert failed(platform, policy(require_mitigations=0b110)) == ([] if good else ["mitigations"])
    assert failed(platform, policy()) == []


def test_mitigations_that_an_older_report_cannot_show() -> None:
    assert failed(SnpPlatform(version=4), policy(require_mitigations=1)) == ["mitigations"]


# SNP 11


def test_measurement() -> None:
    assert failed(HEALTHY, SnpPolicy(measurements=("00" * 48,))) == ["measurement"]
    assert failed(HEALTHY, SnpPolicy(measurements=("00" * 48, SIMULATED_MEASUREMENT.hex()))) == []


def test_a_policy_that_pins_no_measurement_accepts_none() -> None:
    assert failed(HEALTHY, SnpPolicy()) == ["measurement"]


@pytest.mark.parametrize(
    ("knob", "field", "length", "check"),
    [
        ("id_key_digests", "id_key_digest", 48, "id-key"),
        ("family_ids", "family_id", 16, "family-id"),
        ("image_ids", "image_id", 16, "image-id"),
    ],
)
def test_pins_of_the_guests_identity(knob: str, field: str, length: int, check: str) -> None:
    platform = SnpPlatform(**{field: b"\x07" * length})  # type: ignore[arg-type]
    assert failed(platform, policy(**{knob: ("07" * length,)})) == []
    assert failed(platform, policy(**{knob: ("08" * length,)})) == [check]
    assert failed(platform, policy(**{knob: ()})) == [check]
    assert failed(platform, policy()) == []


def test_author_key() -> None:
    pinned = policy(author_key_digests=("07" * 48,))
    platform = SnpPlatform(author_key_digest=b"\x07" * 48, author_key_en=True)
    assert failed(platform, pinned) == []
    assert failed(replace(platform, author_key_en=False), pinned) == ["author-key"]
    assert failed(replace(platform, author_key_digest=b"\x08" * 48), pinned) == ["author-key"]


# SNP 12


@pytest.mark.parametrize("product", Product)
def test_product(product: Product) -> None:
    assert failed(HEALTHY, policy(products=(product,)), product) == []
    others = tuple(other for other in Product if other is not product)
    assert failed(HEALTHY, policy(products=others), product) == ["product"]


@pytest.mark.parametrize("product", [Product.GENOA, Product.TURIN])
def test_chip_ids(product: Product) -> None:
    chip = simulated(product).chip_id
    assert failed(HEALTHY, policy(chip_ids=(chip.hex(),)), product) == []
    assert failed(HEALTHY, policy(chip_ids=(chip[::-1].hex(),)), product) == ["chip-id"]
    assert failed(HEALTHY, policy(chip_ids=()), product) == ["chip-id"]
    masked = replace(HEALTHY, mask_chip_id=True)
    assert failed(masked, policy(chip_ids=(chip.hex(),)), product) == []


def test_a_chip_that_a_provider_masks_is_on_no_list() -> None:
    platform = SnpPlatform(signing_key=SigningKey.VLEK, mask_chip_id=True)
    listed = policy(vlek_providers=("CN=hermetic-simulator.example",), chip_ids=("00" * 64,))
    assert failed(platform, listed) == ["chip-id"]


def test_a_providers_key_is_refused_unless_the_provider_is_named() -> None:
    platform = SnpPlatform(signing_key=SigningKey.VLEK)
    assert failed(platform, policy()) == ["vlek-provider"]
    assert failed(platform, policy(vlek_providers=("CN=cc-us-east-2.amazonaws.com",))) == ["vlek-provider"]
    assert failed(platform, policy(vlek_providers=("CN=hermetic-simulator.example",))) == []
    assert failed(HEALTHY, policy(vlek_providers=("CN=hermetic-simulator.example",))) == []


def test_what_is_not_asked_is_not_claimed() -> None:
    names = {check.name for check in appraise_snp(claims(), policy())}
    assert not names & {f"policy.snp.{name}" for name in ("tcb", "firmware", "chip-id", "abi", "guest-policy.smt")}


# The table as a file has it


def parse(toml: str) -> SnpPolicy:
    return msgspec.convert(tomllib.loads(toml), SnpPolicy)


def test_a_table_as_the_documentation_has_it() -> None:
    wanted = parse(
        f"""
        products = ["Genoa", "Turin"]
        measurements = ["{SIMULATED_MEASUREMENT.hex()}"]
        allow_platform_bits = [6]
        firmware_min = {{ Genoa = "1.55.43" }}
        require_mitigations = 0x3
        [tcb.Genoa]
        boot_loader = 10
        tee = 0
        snp = 25
        microcode = 84
        """
    )
    assert failed(HEALTHY, wanted) == []
    assert wanted.tcb == {Product.GENOA: FLOOR}


@pytest.mark.parametrize(
    "line",
    [
        "debug = false",
        'allow_debug = "no"',
        "allow_debug = 0",
        'products = ["Naples"]',
        'products = "Genoa"',
        'measurements = ["00"]',
        f'measurements = ["{"AB" * 48}"]',
        'chip_ids = ["0011"]',
        f'family_ids = ["{"00" * 17}"]',
        "vmpl = 4",
        "vmpl = -1",
        "report_version_min = 6",
        "report_version_min = 1",
        "guest_svn_min = 4294967296",
        "guest_svn_min = -1",
        'chip_ids_file = ""',
        f'chip_ids_file = "{"x" * 201}"',
        'abi_min = "1"',
        'firmware_min = { Genoa = "1.55" }',
        'firmware_min = { Rome = "1.55.1" }',
        "allow_policy_bits = [19]",
        "allow_policy_bits = [64]",
        "allow_platform_bits = [5]",
        "allow_platform_bits = [64]",
        "require_mitigations = -1",
        "tcb = { Genoa = { boot_loader = 1, tee = 0, snp = 1 } }",
        "tcb = { Genoa = { boot_loader = 1, tee = 0, snp = 1, microcode = 256 } }",
        "tcb = { Genoa = { boot_loader = -1, tee = 0, snp = 1, microcode = 1 } }",
        "tcb = { Genoa = { boot_loader = 1, tee = 0, snp = 1, microcode = 1, spare = 1 } }",
        "tcb = { Rome = { boot_loader = 1, tee = 0, snp = 1, microcode = 1 } }",
    ],
)
def test_a_table_that_does_not_parse(line: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        parse(line)


def codes(wanted: SnpPolicy, profile: Any) -> list[str]:
    return [finding.code for finding in lint_snp(wanted, profile) if finding.refuses]


NO_FLOOR = TcbFloor(boot_loader=0, tee=0, snp=0, microcode=0)
FLOORS = {"Genoa": FLOOR, "Turin": TcbFloor(fmc=0, boot_loader=1, tee=0, snp=2, microcode=71)}


def test_lint_accepts_what_is_sound() -> None:
    assert codes(policy(), "development") == []
    assert codes(policy(tcb=FLOORS), "production") == []


@pytest.mark.parametrize("profile", ["production", "development"])
@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"measurements": ()}, "pins_no_measurements"),
        ({"chip_ids": ()}, "pins_no_chip_ids"),
        ({"id_key_digests": ()}, "pins_no_id_key_digests"),
        ({"author_key_digests": ()}, "pins_no_author_key_digests"),
        ({"family_ids": ()}, "pins_no_family_ids"),
        ({"image_ids": ()}, "pins_no_image_ids"),
        ({"launch_tcb": {}}, "pins_no_launch_tcb"),
        ({"launch_tcb": FLOORS | {"Genoa": FLOORS["Turin"]}}, "tcb_fmc"),
        ({"launch_tcb": FLOORS | {"Turin": FLOOR}}, "tcb_fmc"),
    ],
    ids=str,
)
def test_lint_refuses_what_pins_nothing(profile: str, knobs: dict[str, Any], code: str) -> None:
    assert codes(policy(**({"tcb": FLOORS} | knobs)), profile) == [code]


OF_THE_ID_BLOCK: tuple[dict[str, Any], ...] = (
    {"guest_svn_min": 1},
    {"family_ids": ("00" * 16,)},
    {"image_ids": ("00" * 16,)},
)


@pytest.mark.parametrize("profile", ["production", "development"])
@pytest.mark.parametrize("knob", OF_THE_ID_BLOCK, ids=str)
def test_lint_refuses_an_id_block_that_anybody_may_sign(profile: str, knob: dict[str, Any]) -> None:
    """Whoever starts the guest writes the block, and signs it with a key of its own unless the key is pinned."""
    assert codes(policy(tcb=FLOORS, **knob), profile) == ["unauthenticated_id_block"]
    for key in ("id_key_digests", "author_key_digests"):
        assert codes(policy(tcb=FLOORS, **knob, **{key: ("01" * 48,)}), profile) == []


def test_lint_refuses_a_policy_for_no_product() -> None:
    assert codes(policy(products=()), "production") == ["pins_no_products"]


@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"products": ("Milan",), "tcb": {"Milan": FLOOR}}, "product_forgeable"),
        ({"tcb": {"Genoa": FLOOR}}, "tcb_rules_missing"),
        ({"launch_tcb": {"Genoa": FLOOR}}, "tcb_rules_missing"),
        ({"tcb": FLOORS | {"Genoa": NO_FLOOR}}, "floor_excludes_nothing"),
        ({"launch_tcb": FLOORS | {"Genoa": NO_FLOOR}}, "floor_excludes_nothing"),
        ({"allow_debug": True}, "too_lax"),
        ({"allow_migration": True}, "too_lax"),
        ({"allow_provisional_firmware": True}, "too_lax"),
        ({"require_alias_check": False}, "too_lax"),
        ({"report_version_min": 2}, "too_lax"),
    ],
    ids=str,
)
def test_lint_refuses_in_production_what_development_may_say(knobs: dict[str, Any], code: str) -> None:
    wanted = policy(**({"tcb": FLOORS} | knobs))
    assert codes(wanted, "production") == [code]
    assert codes(wanted, "development") == []
