"""Every check of the NVIDIA check-list has a twin pair: evidence that passes, and the same with one thing wrong.

The vendor is a test's, the verifier is the one that judges hardware.  Each case names the check that must refuse, so
that deleting a check fails its case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

import nvidia_forge
from hermetic.errors import Malformed, Misconfigured, NotAuthentic, Refused
from hermetic.evidence.nvidia import DeviceBundle, FeatureMode
from hermetic.evidence.x509 import load_certificate, load_crl
from hermetic.sources.simulator.der import OCTETS, SEQUENCE, integer, oid, tlv
from hermetic.verify import AMD_ROOTS, INTEL_ROOTS, Outcome
from hermetic.verify._nvidia_dice import leaf_fwid
from hermetic.verify.chain import NVIDIA, require_listed_by
from hermetic.verify.nvidia import (
    NVIDIA_ROOTS,
    Architecture,
    DeviceClaims,
    NvidiaRoots,
    simulated_nvidia_roots,
    verify_device,
)
from hermetic.wire import sha256_digest
from nvidia_forge import (
    DEVICE,
    DRIVER,
    FIRMWARE,
    FWID,
    NONCE,
    NOW,
    RIM_NAMES,
    YEAR,
    Entry,
    Rim,
    Template,
    all_good,
    answer,
    certify,
    chain,
    device_chain,
    device_templates,
    fwid_extension,
    gpu_fields,
    measured,
    report,
    revocation_list,
    roots,
    sign,
    sign_rim,
    signer_chain,
    signer_templates,
)

# A flipped bit can make a serial number zero, of which the library below warns.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")


def bundle(*parts: Any, **changes: Any) -> DeviceBundle:
    """A healthy GPU's evidence with any part changed."""
    return nvidia_forge.bundle(*parts, **changes)


def verified(whole: DeviceBundle, **changes: Any) -> DeviceClaims:
    asked: dict[str, Any] = {"roots": roots(), "now": NOW, "nonce": NONCE}
    return verify_device(whole, **(asked | changes))


def refusal(whole: DeviceBundle, **changes: Any) -> Refused:
    """The refusal of ``whole``, which must come; its last check is the one that failed, all before it passed."""
    with pytest.raises(Refused) as caught:
        verified(whole, **changes)
    *before, last = caught.value.checks
    assert Outcome.FAIL not in {check.outcome for check in before}
    assert last.outcome is Outcome.FAIL
    assert last.name == caught.value.code
    return caught.value


def code(whole: DeviceBundle, **changes: Any) -> str:
    return refusal(whole, **changes).code


def device(templates: Sequence[Template]) -> tuple[tuple[Entry, ...], dict[str, Any]]:
    """A device with another chain, and what to ask so that nothing but the chain can be wrong."""
    entries = chain(templates)
    return entries, {"roots": roots(device=entries[-1]), "revocation_required": False}


def changed(at: int, **changes: Any) -> tuple[Template, ...]:
    templates = list(device_templates())
    templates[at] = replace(templates[at], **changes)
    return tuple(templates)


def test_a_healthy_device_passes_every_check() -> None:
    claims = verified(bundle())
    assert claims.complete
    assert {check.outcome for check in claims.checks} == {Outcome.PASS}
    assert len({check.name for check in claims.checks}) == len(claims.checks) == 36
    assert claims.simulated
    assert (claims.device, claims.nonce) == ("nvidia", NONCE)
    assert claims.model.architecture is Architecture.HOPPER
    assert (claims.driver_version, claims.firmware_version) == ("550.144.03", "96.00.5E.00.01")
    assert claims.mode is FeatureMode.SPT
    assert {root.name for root in claims.manifest_roots} == {"simulator"}
    assert max(claims.dates) == NOW - YEAR


def test_the_roots_of_one_simulator() -> None:
    one, other = (sha256_digest(name) for name in (b"device root", b"manifest root"))
    pinned = simulated_nvidia_roots(one, other)
    assert [(root.sha256, root.simulated) for root in (*pinned.device, *pinned.manifest)] == [
        (one, True),
        (other, True),
    ]
    with pytest.raises(Misconfigured, match="given twice"):
        simulated_nvidia_roots(one, one)
    for real in (*NVIDIA_ROOTS.device, *NVIDIA_ROOTS.manifest, *AMD_ROOTS, *INTEL_ROOTS):
        with pytest.raises(Misconfigured, match="real hardware"):
            simulated_nvidia_roots(real.sha256, other)
        with pytest.raises(Misconfigured, match="real hardware"):
            simulated_nvidia_roots(one, real.sha256)


def test_one_simulated_root_makes_it_simulated() -> None:
    """Real manifests beside a simulated device, or the reverse: neither is hardware."""
    (pinned,) = roots().manifest
    mixed = NvidiaRoots(device=roots().device, manifest=(replace(pinned, simulated=False),))
    assert verified(bundle(), roots=mixed).simulated
    (pinned,) = roots().device
    mixed = NvidiaRoots(device=(replace(pinned, simulated=False),), manifest=roots().manifest)
    assert verified(bundle(), roots=mixed).simulated


def test_it_never_verifies_under_nvidias_roots() -> None:
    assert code(bundle(), roots=NVIDIA_ROOTS) == "nvidia.chain.root"
    half = NvidiaRoots(device=roots().device, manifest=NVIDIA_ROOTS.manifest)
    assert code(bundle(), roots=half) == "nvidia.driver-rim.chain.root"


# NVIDIA 1


@pytest.mark.parametrize("count", [0, 1, 4, 6])
def test_a_chain_of_another_length(count: int) -> None:
    certificates = tuple(entry.der for entry in (*device_chain(), device_chain()[-1]))[:count]
    assert code(bundle(certificates=certificates)) == "nvidia.format"


@pytest.mark.parametrize("name", ["evidence", "certificates", "ocsp", "crls"])
def test_something_that_cannot_be_read(name: str) -> None:
    whole = bundle(crls=(revocation_list(device_chain()[3]),))
    value = getattr(whole, name)
    broken: Any = value[:-1] if isinstance(value, bytes) else (value[0][:-1], *value[1:])
    refused = refusal(bundle(**{"crls": whole.crls, name: broken}))
    assert isinstance(refused, Malformed)
    assert refused.code == "nvidia.format"


def test_another_nonce() -> None:
    assert code(bundle(), nonce=NONCE[::-1]) == "nvidia.nonce"
    claims = verified(bundle(), nonce=None)
    assert [check.name for check in claims.checks if check.outcome is not Outcome.PASS] == ["nvidia.nonce"]
    assert not claims.complete


# NVIDIA 2


def test_a_root_that_is_not_pinned() -> None:
    entries, _ = device(changed(4, name="Another Device Identity CA"))
    assert code(bundle(device=entries)) == "nvidia.chain.root"


@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "change",
    [
        {"ca": False},
        {"ca": None},
        {"critical": False},
        {"usage": ("crl_sign",)},
        {"usage": None},
        {"curve": "secp256r1"},
        {"hash_name": "sha256"},
    ],
    ids=lambda change: "-".join(f"{name}={value}" for name, value in change.items())[:40],
)
def test_an_authority_that_is_none(at: int, change: dict[str, Any]) -> None:
    if at == 4 and "hash_name" in change:
        return  # the root's own signature is not looked at: its digest is pinned
    entries, asked = device(changed(at, **change))
    assert code(bundle(device=entries), **asked) == "nvidia.chain"


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_the_depth_of_an_authority(at: int) -> None:
    entries, asked = device(changed(at, path_length=at - 1))
    verified(bundle(device=entries), **asked)
    if at > 1:
        entries, asked = device(changed(at, path_length=at - 2))
        assert code(bundle(device=entries), **asked) == "nvidia.chain"


@pytest.mark.parametrize(
    "change",
    [{"ca": True}, {"usage": ("digital_signature", "key_cert_sign")}, {"usage": ("crl_sign",)}, {"usage": None}],
    ids=str,
)
def test_a_leaf_that_is_an_authority_or_no_signer(change: dict[str, Any]) -> None:
    entries, asked = device(changed(0, **change))
    assert code(bundle(device=entries), **asked) == "nvidia.chain"


@pytest.mark.parametrize("at", range(4))
def test_a_certificate_that_another_key_signed(at: int) -> None:
    """The issuer's name is right, its key is not."""
    own = list(device_chain())
    impostor = replace(own[at + 1], key=ec.generate_private_key(ec.SECP384R1()))
    own[at] = certify(device_templates()[at], impostor, serial=own[at].certificate.serial_number)
    assert code(bundle(device=tuple(own)), revocation_required=False) == "nvidia.chain"


@pytest.mark.parametrize("at", range(4))
def test_a_certificate_that_names_another_issuer(at: int) -> None:
    """The key is right, the name is not."""
    own = list(device_chain())
    renamed = certify(Template(name="somebody else"), None)
    own[at] = certify(device_templates()[at], replace(renamed, key=own[at + 1].key))
    assert code(bundle(device=tuple(own)), revocation_required=False) == "nvidia.chain"


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize(
    "change", [{"last": NOW - timedelta(seconds=1)}, {"first": NOW + timedelta(seconds=1)}], ids=str
)
def test_a_certificate_of_another_time(at: int, change: dict[str, Any]) -> None:
    entries, asked = device(changed(at, **change))
    assert code(bundle(device=entries), **asked) == "nvidia.validity"
    edge = {"last": NOW} if "last" in change else {"first": NOW}
    entries, asked = device(changed(at, **edge))
    verified(bundle(device=entries), **asked)


@pytest.mark.parametrize(
    ("at", "name"),
    [
        (0, "GB100 A01 GSP FMC LF"),
        (1, "GB100 A01 GSP BROM"),
        (1, "AD102 A01 GSP BROM"),
        (1, "GH100"),
        (2, "NVIDIA GB100 Provisioner ICA 1"),
        (2, "GH100 Provisioner ICA 1"),
    ],
)
def test_names_that_do_not_agree_on_one_model(at: int, name: str) -> None:
    entries, asked = device(changed(at, name=name))
    assert code(bundle(device=entries), **asked) == "nvidia.model"


SWITCH = (
    "LS_10 A01 FSP FMC LF",
    "LS_10 A01 FSP BROM",
    "NVIDIA LS_10 Provisioner ICA 1",
    "NVIDIA GH100 Identity",
    DEVICE[4],
)
SWITCH_FIELDS: dict[str, bytes | None] = {
    "FIRMWARE_VERSION": b"96.10.55.00.01",
    **dict.fromkeys(("CHIP_SKU", "PROJECT", "PROJECT_SKU", "DRIVER_VERSION", "NVDEC0_STATUS", "FEATURE_FLAG")),
}


def test_a_healthy_switch() -> None:
    entries, asked = device(device_templates(SWITCH))
    rim = Rim(product="LS10", version="96.10.55.00.01", golden={35: (measured(35),)})
    whole = bundle(
        report(gpu_fields(**SWITCH_FIELDS)),
        entries,
        rims={"NV_SWITCH_BIOS_5612_0002_890_9610550001": sign_rim(rim)},
    )
    claims = verified(whole, **asked)
    assert claims.model.architecture is Architecture.NVSWITCH3
    assert claims.model.is_switch
    assert claims.rim_names.driver is None
    assert (claims.driver_version, claims.firmware_version, claims.mode) == (None, "96.10.55.00.01", None)


def test_a_gpus_report_from_a_switch_and_the_reverse() -> None:
    entries, asked = device(device_templates(SWITCH))
    assert code(bundle(device=entries), **asked) == "nvidia.model"
    assert code(bundle(report(gpu_fields(**SWITCH_FIELDS)))) == "nvidia.model"


def test_a_chip_that_nobody_has_seen_yet() -> None:
    entries, asked = device(device_templates(tuple(name.replace("GH100", "AD102") for name in DEVICE)))
    assert code(bundle(device=entries), **asked) == "nvidia.model"


@pytest.mark.parametrize("name", ["CHIP_SKU", "PROJECT", "PROJECT_SKU", "NVDEC0_STATUS"])
def test_a_gpu_that_does_not_say_which_board(name: str) -> None:
    assert code(bundle(report(gpu_fields(**{name: None})))) == "nvidia.model"


def test_a_gpu_that_says_it_is_another_chip() -> None:
    verified(bundle(report(gpu_fields(CHIP_INFO=b"GH100\0"))))
    assert code(bundle(report(gpu_fields(CHIP_INFO=b"GB100\0")))) == "nvidia.model"


def test_blackwell_asks_for_its_own_manifests() -> None:
    names = tuple(name.replace("GH100", "GB100") for name in DEVICE)
    entries, asked = device(device_templates(names))
    product = {"driver": replace(DRIVER, product="GB100"), "firmware": replace(FIRMWARE, product="GB100")}
    driver = "NV_GPU_CC_DRIVER_GB100_550.144.03"
    verified(bundle(device=entries, names=(driver, RIM_NAMES[1]), **product), **asked)
    assert code(bundle(device=entries, **product), **asked) == "nvidia.driver-rim"
    # The other generation's manifest, validly signed, under the right name.
    assert code(bundle(device=entries, names=(driver, RIM_NAMES[1])), **asked) == "nvidia.driver-rim.product"


# NVIDIA 3


def leaf_with(*extensions: tuple[str, bytes]) -> tuple[Template, ...]:
    return changed(0, extensions=extensions)


@pytest.mark.parametrize("oid", ["2.23.133.5.4.1", "2.23.133.5.4.1.1"])
def test_the_key_is_that_of_the_firmware(oid: str) -> None:
    entries, asked = device(leaf_with(fwid_extension(FWID, oid)))
    verified(bundle(device=entries), **asked)
    entries, asked = device(leaf_with(fwid_extension(FWID[::-1][:-1] + b"g", oid)))
    assert code(bundle(device=entries), **asked) == "nvidia.fwid"


_OID = "2.23.133.5.4.1"
_GOOD = fwid_extension()[1]
_GOOD_INFO = fwid_extension(FWID, "2.23.133.5.4.1.1")[1]


@pytest.mark.parametrize(
    "extensions",
    [
        (),
        (fwid_extension(), fwid_extension(FWID, "2.23.133.5.4.1.1")),
        ((_OID, b""),),
        ((_OID, _GOOD[:-1]),),
        ((_OID, _GOOD + b"\0\0"),),
        ((_OID, b"\x30\x03\x02\x01\x01"),),
        ((_OID, _GOOD.replace(b"\x04\x02\x02", b"\x04\x02\x01")),),
        (fwid_extension(FWID[:-1]),),
        (("2.23.133.5.4.1.1", b"\x30\x08\x80\x06NVIDIA"),),
        (("2.23.133.5.4.1.1", b"\x30\x02\xa6\x00"),),
        (("2.23.133.5.4.1.1", b"\x30\x81\x02\xa6\x00"),),
        (("2.23.133.5.4.1.1", _GOOD_INFO.replace(b"\x80\x06", b"\x9f\x06")),),
    ],
    ids=range(12),
)
def test_a_firmware_identity_that_is_none(extensions: tuple[tuple[str, bytes], ...]) -> None:
    entries, asked = device(leaf_with(*extensions))
    assert code(bundle(device=entries), **asked) == "nvidia.fwid"


def test_a_list_of_identities_that_holds_something_else() -> None:
    good = fwid_extension(FWID, "2.23.133.5.4.1.1")[1]
    at = good.index(b"\xa6") + 2  # the list's length takes one byte here
    assert leaf_fwid({"2.23.133.5.4.1.1": good}) == FWID
    assert good[at] == 0x30
    with pytest.raises(Malformed, match="another type"):
        leaf_fwid({"2.23.133.5.4.1.1": good[:at] + b"\x31" + good[at + 1 :]})


@pytest.mark.parametrize("members", [1, 3])
def test_an_identity_of_more_and_of_less_than_algorithm_and_digest(members: int) -> None:
    parts = (oid("2.16.840.1.101.3.4.2.2"), tlv(OCTETS, FWID), b"\x05\x00")
    assert leaf_fwid({_OID: tlv(SEQUENCE, integer(1), b"\x05\x00", tlv(SEQUENCE, *parts[:2]))}) == FWID
    with pytest.raises(Malformed, match="not a SHA-384 digest"):
        leaf_fwid({_OID: tlv(SEQUENCE, integer(1), b"\x05\x00", tlv(SEQUENCE, *parts[:members]))})


@pytest.mark.parametrize("length", ["8105", "820005", "83000005", "80", "84ffffffff"])
def test_lengths_have_one_form(length: str) -> None:
    with pytest.raises(Malformed, match="shortest form"):
        leaf_fwid({"2.23.133.5.4.1": bytes.fromhex("30" + length) + b"\x02\x01\x01\x05\x00"})


def test_an_old_driver_does_not_report_it() -> None:
    claims = verified(bundle(report(gpu_fields(FWID=None))))
    assert [check.name for check in claims.checks if check.outcome is not Outcome.PASS] == ["nvidia.fwid"]


# NVIDIA 4


ROLES = {1: "brom", 2: "provisioner", 3: "identity"}


@pytest.mark.parametrize("at", ROLES)
def test_nobody_answers_for_one_of_the_chain(at: int) -> None:
    others = tuple(der for n, der in enumerate(all_good()) if n != at - 1)
    assert code(bundle(ocsp=others)) == f"nvidia.revocation.{ROLES[at]}"
    claims = verified(bundle(ocsp=others), revocation_required=False)
    silent = [check.name for check in claims.checks if check.outcome is not Outcome.PASS]
    assert silent == [f"nvidia.revocation.{ROLES[at]}"]


@pytest.mark.parametrize("at", ROLES)
@pytest.mark.parametrize("required", [True, False])
def test_one_of_the_chain_is_revoked_or_on_hold(at: int, required: bool) -> None:
    entries = device_chain()
    bad = answer(entries[at], entries[at + 1], status=ocsp.OCSPCertStatus.REVOKED)
    name = f"nvidia.revocation.{ROLES[at]}"
    # Beside a good one: what came along is not ignored.
    refused = refusal(bundle(ocsp=(*all_good(), bad)), revocation_required=required)
    assert refused.code == name
    assert "certificateHold" in refused.message
    listed = revocation_list(entries[at + 1], entries[at])
    assert code(bundle(crls=(listed,)), revocation_required=required) == name


def test_a_list_answers_as_well() -> None:
    entries, signers = device_chain(), signer_chain()
    lists = tuple(revocation_list(issuer) for issuer in (*entries[2:], *signers[1:]))
    assert verified(bundle(ocsp=(), crls=lists)).complete


@pytest.mark.parametrize(
    "change",
    [
        {"last": NOW},
        {"first": NOW + timedelta(seconds=1)},
        {"signed_by": signer_chain()[1]},
        {"hash_name": "sha256"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_list_that_does_not_count(change: dict[str, Any]) -> None:
    issuer = device_chain()[2]
    assert code(bundle(crls=(revocation_list(issuer, **change),))) == "nvidia.revocation.brom"


def test_an_issuer_that_may_not_sign_lists() -> None:
    entries, asked = device(changed(2, usage=("key_cert_sign",)))
    whole = bundle(device=entries, ocsp=())
    verified(whole, **asked)
    assert code(replace(whole, crls=(revocation_list(entries[2]),)), **asked) == "nvidia.revocation.brom"


def test_a_list_is_its_issuers() -> None:
    issuer, other = (load_certificate(entry.der, "test") for entry in device_chain()[2:4])
    require_listed_by(load_crl(revocation_list(device_chain()[2])), issuer, NVIDIA)
    with pytest.raises(NotAuthentic, match="is not NVIDIA GH100 Identity's"):
        require_listed_by(load_crl(revocation_list(device_chain()[2])), other, NVIDIA)


def test_answers_repeat_the_nonce_that_was_asked() -> None:
    """Exchanged for an older one of the same certificate, an answer is refused."""
    entries, signers = device_chain(), signer_chain()
    pairs = [(entries[at], entries[at + 1]) for at in ROLES] + [(signers[at], signers[at + 1]) for at in range(3)]
    asked = bundle(ocsp=tuple(answer(*pair, nonce=b"n" * 16) for pair in pairs))
    assert verified(asked, ocsp_nonce=b"n" * 16).complete
    assert code(asked, ocsp_nonce=b"m" * 16) == "nvidia.revocation.brom"
    assert code(bundle(), ocsp_nonce=b"n" * 16) == "nvidia.revocation.brom"


# NVIDIA 5


def test_a_report_that_another_key_signed() -> None:
    other = replace(device_chain()[0], key=ec.generate_private_key(ec.SECP384R1()))
    assert code(bundle(evidence=sign(report(), other))) == "nvidia.signature"


def test_signed_bytes_that_changed() -> None:
    evidence = bytearray(bundle().evidence)
    evidence[60] ^= 1
    assert code(bundle(evidence=bytes(evidence))) == "nvidia.signature"


# NVIDIA 6 and 7 (the manifests themselves: test_rim.py)


@pytest.mark.parametrize("at", [0, 1])
def test_a_manifest_that_is_missing(at: int) -> None:
    whole = bundle()
    kept = {name: document for name, document in whole.rims.items() if name != RIM_NAMES[at]}
    what = ("driver", "firmware")[at]
    refused = refusal(replace(whole, rims=kept))
    assert refused.code == f"nvidia.{what}-rim"
    assert refused.fix.endswith(RIM_NAMES[at])
    claims = verified(replace(whole, rims=kept), rims_required=False)
    silent = {check.name for check in claims.checks if check.outcome is not Outcome.PASS}
    assert silent == {f"nvidia.{what}-rim", f"nvidia.measurements.{what}"}


@pytest.mark.parametrize(
    ("rims", "refuses"),
    [
        ({"driver": replace(DRIVER, product="GB100")}, "nvidia.driver-rim.product"),
        ({"driver": replace(DRIVER, version="550.144.04")}, "nvidia.driver-rim.version"),
        ({"firmware": replace(FIRMWARE, product="LS10")}, "nvidia.firmware-rim.product"),
        ({"firmware": replace(FIRMWARE, version="96.00.5E.00.02")}, "nvidia.firmware-rim.version"),
    ],
)
def test_a_manifest_for_something_else(rims: dict[str, Rim], refuses: str) -> None:
    assert code(bundle(**rims)) == refuses
    assert code(bundle(**rims), rims_required=False) == refuses


def test_a_manifest_whose_signer_was_revoked() -> None:
    signers = signer_chain()
    for at, role in enumerate(("signer", "authority-1", "authority-2")):
        bad = answer(signers[at], signers[at + 1], status=ocsp.OCSPCertStatus.REVOKED)
        whole = bundle(ocsp=(*all_good(), bad))
        assert code(whole, revocation_required=False) == f"nvidia.driver-rim.revocation.{role}"


# NVIDIA 8


def test_both_manifests_claim_a_measurement() -> None:
    greedy = replace(FIRMWARE, golden={**FIRMWARE.golden, 7: (measured(7),)})
    refused = refusal(bundle(firmware=greedy))
    assert refused.code == "nvidia.measurements.no-conflict"
    assert "in both: 7" in refused.message
    # An inactive entry claims nothing.
    verified(bundle(firmware=replace(FIRMWARE, inactive=(7, 60))))


@pytest.mark.parametrize("what", ["driver", "firmware"])
def test_a_measurement_that_is_another(what: str) -> None:
    rim = {"driver": DRIVER, "firmware": FIRMWARE}[what]
    for index in rim.golden:
        wrong = replace(rim, golden={**rim.golden, index: (bytes(48), measured(index + 1))})
        refused = refusal(bundle(**{what: wrong}))
        assert refused.code == f"nvidia.measurements.{what}"
        assert refused.message.endswith(f"other measurements at {index}")


def test_a_reference_value_that_was_not_measured() -> None:
    verified(bundle(report(blocks=36)))
    refused = refusal(bundle(report(blocks=35)))
    assert refused.code == "nvidia.measurements.driver"
    assert "at 35" in refused.message


def test_the_decoders_measurement_counts_only_while_it_is_on() -> None:
    wrong = replace(DRIVER, golden={7: (measured(7),), 35: (bytes(48),)})
    assert code(bundle(driver=wrong)) == "nvidia.measurements.driver"
    off = report(gpu_fields(NVDEC0_STATUS=b"\x55"))
    claims = verified(bundle(off, driver=wrong))
    check = next(check for check in claims.checks if check.name == "nvidia.measurements.driver")
    assert check.expected == "1 of 1 reference values"
    # Only that one is left out.
    assert code(bundle(off, driver=replace(DRIVER, golden={34: (bytes(48),)}))) == "nvidia.measurements.driver"


@pytest.mark.parametrize("what", ["driver", "firmware"])
def test_nothing_to_compare_is_nothing_proven(what: str) -> None:
    rim = {"driver": DRIVER, "firmware": FIRMWARE}[what]
    refused = refusal(bundle(**{what: replace(rim, golden={}, inactive=(1, 2))}))
    assert refused.code == f"nvidia.measurements.{what}"
    assert "without active" in refused.message


def test_a_manifest_of_the_decoder_alone_proves_nothing_while_it_is_off() -> None:
    off = report(gpu_fields(NVDEC0_STATUS=b"\x55"))
    alone = replace(DRIVER, golden={35: (measured(35),)})
    verified(bundle(driver=alone))
    assert code(bundle(off, driver=alone)) == "nvidia.measurements.driver"


def test_certificates_are_told_apart_by_serial() -> None:
    """An answer about another certificate of the same issuer says nothing about this one."""
    entries = device_chain()
    other = certify(replace(device_templates()[1], name="GH100 A01 GSP BROM"), entries[2], serial=4242)
    others = (answer(other, entries[2]), *all_good()[1:])
    assert code(bundle(ocsp=others)) == "nvidia.revocation.brom"


def test_devices_authorities_sign_no_manifests() -> None:
    """Two roots of one vendor, and neither stands in for the other."""
    under = (certify(signer_templates()[0], device_chain()[3]), *device_chain()[3:])
    rims = {RIM_NAMES[0]: sign_rim(DRIVER, under), RIM_NAMES[1]: sign_rim(FIRMWARE, under)}
    refused = refusal(bundle(rims=rims))
    assert isinstance(refused, NotAuthentic)
    assert refused.code == "nvidia.driver-rim.chain.root"
