"""An attestation report: each thing it binds, changed alone, is refused by the check that is there for it."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from attested_support import NONCE, NOT_AFTER, NOW, amd, report
from hermetic.errors import Malformed, NotAuthentic
from hermetic.identity import AttestationReport, Claims, Purpose, verify_report
from hermetic.verify import AMD_ROOTS, Outcome, simulated_root
from hermetic.wire import canonical, sha256_digest
from identity_support import keyset, launch

OTHER = sha256_digest(b"other")


def verified(document: AttestationReport, **changes: Any) -> Claims:
    asked: dict[str, Any] = {
        "roots": (simulated_root(amd().root_digest),),
        "now": NOW,
        "purpose": Purpose.SESSION,
        "nonce": NONCE,
    }
    return verify_report(document, **(asked | changes))


def test_a_true_report_is_authentic_and_every_check_passed() -> None:
    claims = verified(report())
    assert claims.fresh
    assert claims.simulated
    assert claims.launch == launch()
    assert {check.outcome for check in claims.checks} == {Outcome.PASS}
    names = [check.name for check in claims.checks]
    assert len(names) == len(set(names))
    assert {"binding.purpose", "binding.nonce", "binding.context", "launch.host-data", "keyset.expiry"} <= set(names)


def test_a_report_survives_being_saved() -> None:
    original = report()
    saved = AttestationReport.from_bytes(original.to_bytes())
    assert saved == original
    assert verified(saved).binding == original.binding


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"purpose": Purpose.RELEASE}, "binding.purpose"),
        ({"nonce": bytes(32)}, "binding.nonce"),
        ({"context_digest": OTHER}, "binding.context"),
        ({"now": NOW + timedelta(hours=1)}, "keyset.expiry"),
    ],
)
def test_another_question_refuses(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(NotAuthentic) as refusal:
        verified(report(), **changes)
    assert refusal.value.code == code


def test_without_our_nonce_freshness_was_not_performed() -> None:
    claims = verified(report(), nonce=None)
    assert not claims.fresh
    assert [check.name for check in claims.checks if check.outcome is Outcome.NOT_PERFORMED] == ["binding.nonce"]


@pytest.mark.parametrize(
    "swapped",
    [
        {"keyset": keyset(not_after=NOT_AFTER + 1)},
        {"launch": launch(service="clinic-chat", config_digest=OTHER)},
    ],
    ids=["keyset", "launch"],
)
def test_a_part_of_another_report_is_not_what_the_hardware_signed(swapped: dict[str, Any]) -> None:
    forged = report().to_json() | {name: part.to_json() for name, part in swapped.items()}
    with pytest.raises(NotAuthentic) as refusal:
        verified(AttestationReport.from_json(forged))
    assert refusal.value.code == "snp.report-data"


def test_a_launch_document_that_the_platform_was_not_started_with_refuses() -> None:
    """The workload lies about its launch: it binds another document than the one in HOST_DATA."""
    with pytest.raises(NotAuthentic) as refusal:
        verified(report(document=launch(), started=launch(config_digest=OTHER)))
    assert refusal.value.code == "launch.host-data"


def test_keys_of_another_service_refuse() -> None:
    with pytest.raises(NotAuthentic) as refusal:
        verified(report(keys=keyset(subject="other-service", not_after=NOT_AFTER)))
    assert refusal.value.code == "keyset.subject"


def test_simulated_evidence_is_nothing_under_the_vendors_roots() -> None:
    with pytest.raises(NotAuthentic):
        verified(report(), roots=AMD_ROOTS)
    with pytest.raises(NotAuthentic):
        verified(report(), roots=(simulated_root(amd("two").root_digest),))


def test_what_a_report_says_of_itself_does_not_make_it_simulated_or_not() -> None:
    document = report().to_json()
    with pytest.raises(Malformed, match="simulated"):
        AttestationReport.from_json(document | {"simulated": False})


def test_every_missing_field_refuses() -> None:
    document = report().to_json()
    for name in document:
        with pytest.raises(Malformed, match=name):
            AttestationReport.from_json({key: value for key, value in document.items() if key != name})


@pytest.mark.parametrize(
    ("field", "value"),
    [("version", "hermetic.attestation.v0"), ("purpose", "hermetic.anything.v1"), ("purpose", None), ("nonce", "00")],
)
def test_a_wrong_field_refuses(field: str, value: object) -> None:
    with pytest.raises(Malformed):
        AttestationReport.from_json(report().to_json() | {field: value})


def test_flipping_any_bit_of_what_is_bound_refuses() -> None:
    """Each bit of the nonce, of each digest and of each key: no report with one of them changed is accepted."""
    original = report().to_json()
    flips = 0
    for path in _hex_and_key_paths(original):
        for bit in (0, 7):
            forged = _flipped(original, path, bit)
            if forged == original:
                continue
            flips += 1
            with pytest.raises((NotAuthentic, Malformed)):
                verified(AttestationReport.from_bytes(canonical(forged)))
    assert flips > 20


def _hex_and_key_paths(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    keys = [("keyset", "receipt_signing_keys", 0, "public_key")]
    keys += [("keyset", "e2ee_public_keys", number, "public_key") for number in range(3)]
    digests = [("launch", name) for name in ("program_digest", "config_digest", "broker_key", "service")]
    return [("nonce",), ("context_digest",), ("devices_digest",), ("keyset", "not_after"), *keys, *digests]


def _flipped(document: dict[str, Any], path: tuple[Any, ...], bit: int) -> dict[str, Any]:
    """A copy in which one character of the text (or one bit of the number) at ``path`` is another."""
    forged: Any = copy.deepcopy(document)
    place = forged
    for step in path[:-1]:
        place = place[step]
    value = place[path[-1]]
    if isinstance(value, int):
        place[path[-1]] = value ^ (1 << bit)
    else:
        at = 12 + bit if len(value) > 20 else bit
        place[path[-1]] = value[:at] + ("b" if value[at] == "a" else "a") + value[at + 1 :]
    return dict(forged)
