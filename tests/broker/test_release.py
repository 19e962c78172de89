"""Challenge, verify, appraise, release: what is granted, and every way in which it is denied."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import hostile_support as hostile
from broker_support import OTHER, RESOURCE, House, Running, amd, changed, checks, with_keyset
from hermetic.broker import Broker
from hermetic.channel.kem import XWingPrivateKey
from hermetic.client.broker import BrokerClient
from hermetic.errors import ChannelBroken, Misconfigured, NotReleased
from hermetic.identity import MeasuredModel, Purpose, format_ed25519
from hermetic.ledger import leaf_commitment
from hermetic.release import Decision, Grant, Terms, context_digest, convert, open_box, open_signed
from hermetic.seal import FileKey, ResourceVersion, parse_recipient, sign_version
from hermetic.seal.age import make_header
from hermetic.wire import b64decode, b64encode, canonical, sha256_digest, unhex


def test_a_wanted_workload_gets_exactly_the_file_keys(running: Running) -> None:
    workload, sealed = running.house.workload(), running.house.sealed[RESOURCE]
    with BrokerClient(running.url, broker_key=running.broker_key) as client:
        released = client.release(workload.attester, [sealed.want()], release_key=workload.release_key)
    assert [key.secret for key in released.file_keys[0]] == [key.secret for key in sealed.file_keys]
    assert released.decision.machine is not None
    assert released.decision.machine.simulated
    newest = running.house.seen()[0]
    assert (newest.decision, newest.findings) == (released.decision, ())


def test_two_resources_come_together_in_the_order_asked(running: Running) -> None:
    workload = running.house.workload()
    first, second = running.house.sealed[OTHER], running.house.sealed[RESOURCE]
    wants = [first.want(resource=OTHER), second.want(headers=tuple(h.raw for h in reversed(second.headers)))]
    with BrokerClient(running.url, broker_key=running.broker_key) as client:
        released = client.release(workload.attester, wants, release_key=workload.release_key)
    expected = [first.file_keys, tuple(reversed(second.file_keys))]
    assert [[key.secret for key in group] for group in released.file_keys] == [
        [key.secret for key in group] for group in expected
    ]


def test_an_answer_is_in_the_log_under_its_checkpoint_and_names_its_box(running: Running) -> None:
    workload = running.house.workload()
    request = running.request(workload)
    grant = convert(running.post(request).json(), Grant, what="grant")
    decision = open_signed(grant.receipt, Decision, broker_key=running.broker_key)
    leaf = leaf_commitment(unhex(grant.salt), canonical(grant.receipt))
    assert running.server.broker.log.entry(grant.index) == leaf
    assert decision.box_digest == sha256_digest(b64decode(grant.box))


def test_the_box_opens_for_nobody_else_and_under_no_other_terms(running: Running) -> None:
    workload, sealed = running.house.workload(), running.house.sealed[RESOURCE]
    request = running.request(workload)
    grant = convert(running.post(request).json(), Grant, what="grant")
    decision = open_signed(grant.receipt, Decision, broker_key=running.broker_key)
    terms = Terms(
        broker_key=running.broker_key,
        challenge_id=decision.challenge_id,
        decision_id=decision.decision_id,
        keyset_digest=workload.keyset.digest,
        launch_digest=workload.launch.digest,
        wants=(sealed.want(),),
    )
    box = b64decode(grant.box)
    assert open_box(box, workload.release_key, terms=terms)
    others: dict[str, Any] = {
        "broker_key": format_ed25519(os.urandom(32)),
        "challenge_id": "00" * 16,
        "decision_id": "00" * 16,
        "keyset_digest": sha256_digest(b""),
        "launch_digest": sha256_digest(b""),
        "wants": (sealed.want(version="2"),),
    }
    for name, value in others.items():
        with pytest.raises(ChannelBroken, match="does not open"):
            open_box(box, workload.release_key, terms=replace(terms, **{name: value}))
    with pytest.raises(ChannelBroken, match="does not open"):
        open_box(box, XWingPrivateKey.generate(), terms=terms)


# --- challenges -------------------------------------------------------------------------------------------------------


def test_an_unknown_challenge_is_refused(running: Running) -> None:
    challenge = running.challenge() | {"challenge_id": os.urandom(16).hex()}
    answer = running.post(running.request(running.house.workload(), challenge=challenge))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "challenge")


def test_a_challenge_is_good_once(running: Running) -> None:
    request = running.request(running.house.workload())
    assert running.post(request).status_code == 200
    again = running.post(request)
    assert (again.status_code, again.json()["error"]["code"]) == (403, "challenge")


def test_a_challenge_is_spent_by_a_denial_too(running: Running) -> None:
    request = running.request(running.house.workload(), purpose=Purpose.SESSION)
    running.denied(request)
    assert running.post(request).json()["error"]["code"] == "challenge"


def test_of_many_requests_with_one_challenge_one_is_granted(running: Running) -> None:
    request = running.request(running.house.workload())
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: running.post(request).status_code, range(16)))
    assert sorted(answers) == [200, *[403] * 15]


def test_an_expired_challenge_is_refused(house: House) -> None:
    house.limits["challenge_seconds"] = 1
    house.write_config()
    with house.serving() as running:
        request = running.request(house.workload())
        time.sleep(1.05)
        answer = running.post(request)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "challenge")


# --- evidence that does not answer this question ----------------------------------------------------------------------


def test_another_purpose_is_denied(running: Running) -> None:
    for purpose in Purpose:
        if purpose is not Purpose.RELEASE:
            seen = running.denied(running.request(running.house.workload(), purpose=purpose))
            assert checks(seen) == {"binding.purpose"}


def test_another_nonce_is_denied(running: Running) -> None:
    seen = running.denied(running.request(running.house.workload(), nonce=os.urandom(32)))
    assert checks(seen) == {"binding.nonce"}


def test_evidence_about_other_wants_is_denied(running: Running) -> None:
    sealed = running.house.sealed[RESOURCE]
    request = running.request(running.house.workload(), sealed.want(), attested=(sealed.want(version="2"),))
    assert checks(running.denied(request)) == {"binding.context"}


def test_wants_added_after_attesting_are_denied(running: Running) -> None:
    first, second = running.house.sealed[RESOURCE].want(), running.house.sealed[OTHER].want(resource=OTHER)
    request = running.request(running.house.workload(), first, second, attested=(first,))
    assert checks(running.denied(request)) == {"binding.context"}


def test_evidence_for_another_broker_is_denied(running: Running) -> None:
    """The context names the broker: what was made for a fake one is of no use here."""
    challenge, workload = running.challenge(), running.house.workload()
    wants = (running.house.sealed[RESOURCE].want(),)
    report = workload.attester.attest(
        purpose=Purpose.RELEASE,
        nonce=bytes.fromhex(challenge["nonce"]),
        context_digest=context_digest(format_ed25519(os.urandom(32)), wants),
    )
    request = running.request(workload, *wants, challenge=challenge) | {"report": report.to_json()}
    assert checks(running.denied(request)) == {"binding.context"}


def test_evidence_altered_in_any_bound_field_is_denied(running: Running) -> None:
    workload = running.house.workload()
    stranger = running.house.workload()
    for field, value in {
        "keyset": stranger.keyset.to_json(),
        "launch": changed(workload, service="other").launch.to_json(),
    }.items():
        request = running.request(workload)
        request["report"][field] = value
        assert checks(running.denied(request)) == {"snp.report-data"}


@pytest.mark.parametrize("name", ["leaf", "intermediate", "root", "crl"])
def test_an_endorsement_that_is_written_to_break_its_reader_is_denied(running: Running, name: str) -> None:
    """A denial like any other, which the owner sees: an identifier of more digits than Python writes out."""
    request = running.request(running.house.workload())
    made = hostile.revocation_list if name == "crl" else hostile.certificate
    broken = b64encode(made(hostile.extension(hostile.LONG)))
    request["report"]["evidence"]["endorsements"][name] = broken
    (finding,) = running.denied(request).findings
    assert "63 bytes" in finding.got


def test_an_expired_keyset_is_denied(running: Running) -> None:
    workload = with_keyset(running.house.workload(), not_after=int(time.time()) - 1)
    assert checks(running.denied(running.request(workload))) == {"keyset.expiry"}


def test_a_simulator_does_not_move_the_brokers_clock(house: House) -> None:
    """It signs any date it likes; believing it would let it deny everybody else."""
    broker = Broker.open(house.config_path)
    try:
        challenge = broker.challenge(peer="test")["document"]
        verdict = broker.decide(json.dumps(house.request(house.workload(), challenge=challenge)).encode())
    finally:
        broker.close()
    assert (verdict.decision.outcome, verdict.dates) == ("granted", ())


def test_a_simulator_that_the_policy_does_not_pin_is_denied(house: House) -> None:
    policy = house.policy_text(house.launch(), simulated_root=sha256_digest(b"another installation's root"))
    (house.folder / house.resources[RESOURCE]["policy"]).write_text(policy)
    with house.serving() as running:
        seen = running.denied(running.request(house.workload()))
    assert seen.decision.machine is None
    assert any("root" in name for name in checks(seen))


def test_simulated_evidence_opens_nothing_of_class_hardware(tmp_path: Path) -> None:
    with House(tmp_path, resource_class="hardware").serving() as running:
        seen = running.denied(running.request(running.house.workload()))
    assert any("root" in name for name in checks(seen))


@pytest.mark.parametrize("pinned", [True, False], ids=["pins a simulator", "pins none"])
def test_a_development_policy_opens_nothing_of_class_hardware(tmp_path: Path, pinned: bool) -> None:
    """It may take hardware that can be debugged or forged, so no broker starts with it; one for production does."""
    house = House(tmp_path, resource_class="hardware")
    with house.serving():
        pass
    policy = house.policy_text(house.launch(), simulated_root=amd().root_digest if pinned else None)
    (house.folder / house.resources[RESOURCE]["policy"]).write_text(policy)
    with pytest.raises(Misconfigured) as refused, house.serving():
        pass
    assert refused.value.code == "hardware_profile"
    assert "policy.toml" in refused.value.message


# --- a workload that is not the one -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"program_digest": sha256_digest(b"another program")}, "policy.program"),
        ({"config_digest": sha256_digest(b"another config")}, "policy.config"),
        ({"argv": ("hermetic", "serve", "--debug")}, "policy.argv"),
        ({"environment": {"LD_PRELOAD": "x.so"}}, "policy.environment"),
        ({"service": "other-chat"}, "policy.service"),
        ({"outbound": {"elsewhere": sha256_digest(b"policy")}}, "policy.outbound"),
    ],
)
def test_a_changed_launch_costs_the_key(running: Running, change: dict[str, object], check: str) -> None:
    seen = running.denied(running.request(changed(running.house.workload(), **change)))
    assert checks(seen) == {check}
    finding = seen.findings[0]
    assert finding.expected
    assert finding.got
    assert finding.expected != finding.got


def test_every_failure_is_told_at_once_and_only_to_the_owner(running: Running) -> None:
    workload = changed(
        running.house.workload(), program_digest=sha256_digest(b"other"), config_digest=sha256_digest(b"other")
    )
    request = running.request(workload)
    seen = running.denied(request)
    assert checks(seen) == {"policy.program", "policy.config"}
    assert all(finding.fix for finding in seen.findings)
    challenge = running.challenge()
    answer = running.post(running.request(workload, challenge=challenge))
    assert set(answer.json()["error"]) == {"code", "message"}
    assert "policy" not in answer.text
    assert "program" not in answer.text


def test_a_launch_that_names_another_broker_is_denied(house: House) -> None:
    """Even where the owner's policy allows that other broker: our own check does not depend on it."""
    stray = house.launch(broker_key=format_ed25519(os.urandom(32)))
    house.write_policies(stray)
    with house.serving() as running:
        seen = running.denied(running.request(house.workload(broker_key=stray.broker_key)))
    assert checks(seen) == {"launch.broker"}


def test_a_launch_without_a_broker_is_denied(house: House) -> None:
    house.write_policies(house.launch(broker_key=None))
    with house.serving() as running:
        seen = running.denied(running.request(house.workload(broker_key=None)))
    assert checks(seen) == {"launch.broker"}


def test_a_launch_that_does_not_name_the_model_is_denied(house: House) -> None:
    models = (MeasuredModel(name="other", manifest_digest=sha256_digest(b"another model")),)
    house.write_policies(house.launch(models=models))
    with house.serving() as running:
        seen = running.denied(running.request(house.workload(models=models)))
    assert checks(seen) == {"launch.model"}


def test_a_keyset_without_a_release_key_is_denied(running: Running) -> None:
    workload = with_keyset(running.house.workload(), e2ee_public_keys=())
    assert checks(running.denied(running.request(workload))) == {"keyset_role"}


def test_a_release_key_that_is_no_key_is_denied(running: Running) -> None:
    workload = running.house.workload()
    broken = replace(workload.keyset.e2ee_public_keys[0], public_key=b"\xff" * 1216)
    workload = with_keyset(workload, e2ee_public_keys=(broken,))
    assert checks(running.denied(running.request(workload))) == {"malformed"}


# --- headers and versions ---------------------------------------------------------------------------------------------


def test_an_unknown_resource_and_an_unknown_version_are_denied_alike(running: Running) -> None:
    sealed = running.house.sealed[RESOURCE]
    workload = running.house.workload()
    unknown = running.denied(running.request(workload, sealed.want(resource="broker/clinic/none")))
    version = running.denied(running.request(workload, sealed.want(version="7")))
    assert (checks(unknown), checks(version)) == ({"resource.unknown"}, {"version.unknown"})


def test_a_header_that_the_owner_did_not_list_is_never_unwrapped(running: Running) -> None:
    recipient = parse_recipient(running.house.made.recipients[RESOURCE])
    stray = make_header(FileKey.generate(), [recipient])
    good = running.house.sealed[RESOURCE].headers[0]
    want = running.house.sealed[RESOURCE].want(headers=(good.raw, stray.raw))
    assert checks(running.denied(running.request(running.house.workload(), want))) == {"header.unlisted"}


def test_a_header_of_another_resource_is_denied(running: Running) -> None:
    want = running.house.sealed[OTHER].want(resource=RESOURCE)
    assert checks(running.denied(running.request(running.house.workload(), want))) == {"header.unlisted"}


def test_a_listed_header_whose_mac_does_not_hold_is_denied(house: House) -> None:
    """An owner can sign for a header that is broken; its MAC is checked nonetheless."""
    sealed = house.sealed[RESOURCE]
    raw = sealed.headers[0].raw
    broken = raw[:-3] + (b"AA" if raw[-3:-1] != b"AA" else b"BB") + raw[-1:]
    version = ResourceVersion(
        resource=RESOURCE, version="1", manifest_digest=sealed.manifest_digest, headers=(sha256_digest(broken),)
    )
    path = house.folder / house.resources[RESOURCE]["version"]
    path.write_bytes(sign_version(version, house.owner).encode())
    with house.serving() as running:
        seen = running.denied(running.request(house.workload(), sealed.want(headers=(broken,))))
    assert checks(seen) == {"cannot_open"}


def test_one_bad_want_denies_all(running: Running) -> None:
    good = running.house.sealed[RESOURCE].want()
    bad = running.house.sealed[OTHER].want(resource=OTHER, version="9")
    seen = running.denied(running.request(running.house.workload(), good, bad))
    assert checks(seen) == {"version.unknown"}
    assert {finding.resource for finding in seen.findings} == {OTHER}


def test_the_owner_of_one_resource_sees_only_decisions_about_it(running: Running) -> None:
    sealed = running.house.sealed[OTHER]
    seen = running.denied(running.request(running.house.workload(), sealed.want(resource=OTHER, version="11")))
    assert seen.decision in [each.decision for each in running.house.seen(resource=OTHER)]
    assert seen.decision not in [each.decision for each in running.house.seen(resource=RESOURCE)]


def test_a_want_is_the_same_want_only_once(running: Running) -> None:
    want = running.house.sealed[RESOURCE].want()
    answer = running.post(running.request(running.house.workload(), want, want))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed")


def test_the_client_tells_a_denial_and_where_to_look(running: Running) -> None:
    workload = changed(running.house.workload(), program_digest=sha256_digest(b"tampered"))
    with (
        BrokerClient(running.url, broker_key=running.broker_key) as client,
        pytest.raises(NotReleased) as refused,
    ):
        client.release(workload.attester, [running.house.sealed[RESOURCE].want()], release_key=workload.release_key)
    assert refused.value.code == "not_released"
    assert "hermetic broker releases" in refused.value.fix
