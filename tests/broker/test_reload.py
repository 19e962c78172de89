"""Policies and versions: read strictly, logged before they count, and never half-changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker_support import OTHER, RESOURCE, House, amd, changed, checks
from hermetic.broker import Broker, load_config
from hermetic.broker.making import load_resource
from hermetic.broker.premises import open_premises
from hermetic.broker.resources import stand
from hermetic.errors import Misconfigured, NotReleased
from hermetic.identity import Purpose, verify_report
from hermetic.ledger import leaf_commitment
from hermetic.policy import Policy, appraise
from hermetic.release import Standing, open_signed
from hermetic.seal import ResourceVersion, SignedVersion, sign_version
from hermetic.wire import parse_object, sha256_digest


def _version_path(house: House, name: str = RESOURCE) -> Path:
    return house.folder / house.resources[name]["version"]


def _policy_path(house: House) -> Path:
    return house.folder / house.resources[RESOURCE]["policy"]


def _refuses(house: House, code: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        Broker.open(house.config_path)
    assert refused.value.code == code


def test_a_new_policy_counts_after_a_reload_and_voids_challenges(house: House) -> None:
    with house.serving() as running:
        before = running.challenge()
        old, new = house.workload(), changed(house.workload(), config_digest=sha256_digest(b"new config"))
        assert "policy.config" in checks(running.denied(running.request(new)))
        house.write_policies(new.launch)
        assert running.server.broker.reload() == before["policy_epoch"] + 1
        stale = running.post(running.request(new, challenge=before))
        assert (stale.status_code, stale.json()["error"]["code"]) == (403, "challenge")
        assert running.post(running.request(new)).status_code == 200
        assert "policy.config" in checks(running.denied(running.request(old)))
        assert house.seen()[0].decision.policy_epoch == before["policy_epoch"] + 1


def test_a_decision_under_the_policy_before_is_not_written_after_the_new_one(house: House) -> None:
    with house.serving() as running:
        broker, workload = running.server.broker, house.workload()
        verdict = broker.decide(msgspec.json.encode(running.request(workload)))
        assert verdict.decision.outcome == "granted"
        house.write_policies(changed(workload, config_digest=sha256_digest(b"new config")).launch)
        broker.reload()
        size = broker.log.checkpoint.size
        with pytest.raises(NotReleased) as refused:
            broker.record(verdict).result(timeout=20)
        assert refused.value.code == "challenge"
        assert broker.log.checkpoint.size == size
        assert house.seen() == ()
        assert broker.healthy


def test_a_decision_is_written_after_a_reload_that_changed_nothing(house: House) -> None:
    with house.serving() as running:
        broker = running.server.broker
        verdict = broker.decide(msgspec.json.encode(running.request(house.workload())))
        broker.reload()
        broker.record(verdict).result(timeout=20)
        assert house.seen()[0].decision == verdict.decision


def test_a_reload_without_a_change_is_no_new_epoch(house: House) -> None:
    with house.serving() as running:
        challenge, size = running.challenge(), running.server.broker.log.checkpoint.size
        assert running.server.broker.reload() == challenge["policy_epoch"]
        assert running.server.broker.log.checkpoint.size == size
        assert running.post(running.request(house.workload(), challenge=challenge)).status_code == 200


def test_a_reload_that_is_refused_changes_nothing(house: House) -> None:
    with house.serving() as running:
        good = _policy_path(house).read_text()
        _policy_path(house).write_text(good.replace("services", "servces"))
        with pytest.raises(Misconfigured):
            running.server.broker.reload()
        assert running.post(running.request(house.workload())).status_code == 200


def test_what_a_resource_stands_under_is_in_the_log_before_the_first_decision(house: House) -> None:
    Broker.open(house.config_path).close()
    with open_premises(load_config(house.config_path)) as premises:
        policy_digest = sha256_digest(_policy_path(house).read_bytes())
        signed = SignedVersion.parse(_version_path(house).read_bytes())
        entry = premises.store.entries_of(Standing.TYPE)[-1]
        standing = open_signed(parse_object(entry.document or b""), Standing, broker_key=premises.broker_key)
        assert (standing.policy_digest, standing.versions) == (policy_digest, (signed.digest,))
        assert premises.log.entry(entry.log_index) == leaf_commitment(entry.salt or b"", entry.document or b"")


def test_restarting_under_another_policy_is_a_new_epoch_too(house: House) -> None:
    with house.serving() as running:
        first = running.challenge()["policy_epoch"]
    house.write_policies(house.launch(config_digest=sha256_digest(b"x")))
    with house.serving() as running:
        second = running.challenge()["policy_epoch"]
    with house.serving() as running:
        assert running.challenge()["policy_epoch"] == second == first + 1


def test_a_version_that_another_key_signed_is_refused(house: House) -> None:
    signed = SignedVersion.parse(_version_path(house).read_bytes())
    said = signed.verify(owner=house.resources[RESOURCE]["owner"])
    _version_path(house).write_bytes(sign_version(said, Ed25519PrivateKey.generate()).encode())
    _refuses(house, "version_owner_signature")


def test_a_version_that_was_changed_is_refused(house: House) -> None:
    document = json.loads(_version_path(house).read_bytes())
    document["document"]["headers"].append(sha256_digest(b"one more"))
    document["document"]["headers"].sort()
    _version_path(house).write_text(json.dumps(document))
    _refuses(house, "version_owner_signature")


def test_a_version_of_another_resource_is_refused(tmp_path: Path) -> None:
    house = House(tmp_path, names=(RESOURCE, OTHER))
    _version_path(house).write_bytes(_version_path(house, OTHER).read_bytes())
    _refuses(house, "version_resource")


def test_two_statements_for_one_version_are_refused(house: House) -> None:
    said = ResourceVersion(
        resource=RESOURCE, version="1", manifest_digest=sha256_digest(b"m"), headers=(sha256_digest(b"h"),)
    )
    (house.folder / "again.json").write_bytes(sign_version(said, house.owner).encode())
    text = house.config_path.read_text()
    house.config_path.write_text(text.replace("versions = [", 'versions = ["again.json", '))
    _refuses(house, "version_twice")


@pytest.mark.parametrize("junk", [b"", b"{}", b"[]", b"not json"])
def test_a_version_that_is_not_one_is_refused(house: House, junk: bytes) -> None:
    _version_path(house).write_bytes(junk)
    _refuses(house, "version_malformed")


def test_a_missing_version_or_policy_is_named(house: House) -> None:
    version = _version_path(house).read_bytes()
    _version_path(house).unlink()
    _refuses(house, "version_unreadable")
    _version_path(house).write_bytes(version)
    _policy_path(house).unlink()
    _refuses(house, "policy_unreadable")


def test_a_simulated_resource_needs_a_pinned_simulator(house: House) -> None:
    _policy_path(house).write_text(house.policy_text(house.launch()))
    _refuses(house, "simulated_root_unpinned")


def test_a_resource_without_versions_releases_nothing(house: House) -> None:
    text = house.config_path.read_text()
    house.config_path.write_text(text.replace(f'versions = ["{house.resources[RESOURCE]["version"]}"]', ""))
    with house.serving() as running:
        assert checks(running.denied(running.request(house.workload()))) == {"version.unknown"}


def test_under_another_policy_nothing_is_unwrapped(house: House) -> None:
    """An acceptance by one resource's policy opens nothing of a resource with another."""
    config = load_config(house.config_path).resource(RESOURCE)
    with open_premises(load_config(house.config_path)) as premises:
        keeper = load_resource(
            config, store=premises.store, log=premises.log, vault=premises.vault, broker_key=premises.broker_key
        )
    resource = stand(config, keeper)
    other = Policy.parse(house.policy_text(house.launch(), simulated_root=amd().root_digest).encode() + b"\n# other\n")
    nonce = bytes(32)
    report = house.workload().attester.attest(purpose=Purpose.RELEASE, nonce=nonce)
    claims = verify_report(report, roots=resource.roots, now=datetime.now(UTC), purpose=Purpose.RELEASE, nonce=nonce)
    version = resource.version("1")
    headers = house.sealed[RESOURCE].headers
    keys = resource.unlock(version, headers, to=appraise(claims, resource.policy))
    assert [key.secret for key in keys] == [key.secret for key in house.sealed[RESOURCE].file_keys]
    with pytest.raises(NotReleased) as refused:
        resource.unlock(version, headers, to=appraise(claims, other))
    assert refused.value.code == "policy.other"
