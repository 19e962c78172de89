"""What a verdict says in words follows from its parts, its checks and its policy, and from nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hermetic.errors import Misconfigured, NotAuthentic
from hermetic.results import Claim, Overall, Part, Source, Verdict
from results_support import AT, POLICY, check, checks, part, verdict


@pytest.mark.parametrize(
    ("changes", "overall"),
    [
        pytest.param({}, Overall.ACCEPTED, id="appraised, everything passed"),
        pytest.param({"policy": None}, Overall.NOT_APPRAISED, id="no policy"),
        pytest.param({"checks": checks("a", "b?")}, Overall.INCOMPLETE, id="something was not performed"),
        pytest.param({"checks": ()}, Overall.INCOMPLETE, id="nothing was performed"),
        pytest.param({"checks": checks("a", "b?"), "policy": None}, Overall.NOT_APPRAISED, id="neither"),
        pytest.param({"checks": checks("a", "b!")}, Overall.REFUSED, id="something failed"),
        pytest.param({"checks": checks("a", "b!", "c?")}, Overall.REFUSED, id="failed beside not performed"),
        pytest.param({"checks": checks("b!"), "policy": None}, Overall.REFUSED, id="failed, without a policy"),
        pytest.param({"refusal": NotAuthentic("no")}, Overall.REFUSED, id="a refusal"),
        pytest.param({"parts": (part(authentic=False),)}, Overall.REFUSED, id="a part that is not authentic"),
        pytest.param({"parts": (part(), part("gpu0", authentic=False))}, Overall.REFUSED, id="one part of two"),
    ],
)
def test_in_words(changes: dict[str, Any], overall: Overall) -> None:
    assert verdict(**changes).overall is overall


def test_one_simulated_part_makes_all_of_it_simulated() -> None:
    assert not verdict(parts=(part(), part("gpu0", kind="nvidia"))).simulated
    assert verdict(parts=(part(), part("gpu0", kind="nvidia", simulated=True))).simulated


def test_a_verdict_is_about_something() -> None:
    with pytest.raises(Misconfigured, match="about something"):
        Verdict(at=AT, parts=(), checks=())
    with pytest.raises(Misconfigured, match="one name"):
        Verdict(at=AT, parts=(part(), part()), checks=())


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"claims": (Claim(name="hwmodel", value="Genoa", source=Source.CERTIFICATE),)}, id="claims"),
        pytest.param({"simulated": True}, id="simulated"),
    ],
)
def test_what_is_not_authentic_says_nothing(changes: dict[str, Any]) -> None:
    assert Part(name="cpu0", kind="sev-snp", authentic=False)
    with pytest.raises(Misconfigured, match="claims nothing"):
        Part(name="cpu0", kind="sev-snp", authentic=False, **changes)


def test_json_is_complete() -> None:
    stated = part(stated={"snp.policy": ("SMT", "bit 9"), "oemid": 3704})
    workload = (Claim(name="hermetic.service", value="clinic-chat", source=Source.EVIDENCE),)
    made = verdict(parts=(stated,), workload=workload)
    document = json.loads(json.dumps(made.to_json()))
    assert document["verdict"] == "accepted"
    assert document["policy_digest"] == POLICY
    assert document["at"] == "2026-11-24T12:00:00Z"
    assert document["parts"]["cpu0"]["claims"][0] == {
        "name": "snp.policy",
        "value": ["SMT", "bit 9"],
        "source": "evidence",
    }
    assert document["workload"] == {"hermetic.service": "clinic-chat"}
    assert [each["name"] for each in document["checks"]] == [each.name for each in made.checks]
    assert document["checks"][0].keys() == {"name", "title", "outcome", "expected", "got", "section", "fix"}
    assert "error" not in document


def test_json_of_a_refusal() -> None:
    refusal = NotAuthentic("another root", code="snp.chain.root", fix="ask again")
    document = verdict(refusal=refusal, parts=(part(authentic=False),)).to_json()
    assert document["error"] == {"code": "snp.chain.root", "message": "another root", "fix": "ask again"}
    assert document["parts"]["cpu0"] == {"kind": "sev-snp", "authentic": False, "simulated": False, "claims": []}


def test_its_repr_is_short() -> None:
    assert "claims" not in repr(part(stated={"snp.measurement": "00" * 48}))
    assert check("a").name == "a"
