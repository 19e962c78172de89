"""How levels are matched and converged: Intel's rules, one by one, and the second verifier's word on each (DCAP 10).

Every case is a whole bundle of an Intel of our own, so the installed dcap-qvl evaluates the same: a rule that we had
wrong would be a disagreement, and that refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hermetic.errors import NotAuthentic
from hermetic.evidence import SGX, TDX
from hermetic.verify import IntelClaims, Outcome, TcbStatus, verify
from hermetic.verify.intel_collateral import TcbStatus as Status
from intel_forge import NOW, PCK, QE_REPORT, REPORT_DATA, TD_REPORT, Intel, pck_extension

pytest.importorskip("dcap_qvl", reason="the second verifier is not installed (pip install dcap-qvl)")

Change = Callable[[dict[str, Any], dict[str, Any]], None]
UP, OUT = "UpToDate", "OutOfDate"


def svn(minor: int, major: int = 1, microcode: int = 5) -> bytes:
    return bytes((minor, major, microcode, *bytes(13)))


def intel(
    *,
    platform: int = 5,
    pce_svn: int = 13,
    launched: bytes | None = None,
    running: bytes | None = None,
    enclave: int = 4,
    change: Change = lambda tcb, qe: None,
    tee: str = TDX,
) -> Intel:
    """A platform whose components, modules and quoting enclave are of these versions."""
    launched = launched or svn(7)
    return Intel(
        tee=tee,
        pck=replace(PCK, extension=pck_extension(components=(platform,) * 16, pce_svn=pce_svn)),
        body=replace(TD_REPORT, tee_tcb_svn=launched, tee_tcb_svn2=running or launched),
        qe_report=replace(QE_REPORT, isv_svn=enclave),
        change=change,
    )


def verified(made: Intel) -> IntelClaims:
    claims = verify(made.issue(), roots=made.roots, now=NOW, report_data=REPORT_DATA)
    assert isinstance(claims, IntelClaims)
    assert {check.outcome for check in claims.checks} == {Outcome.PASS}
    return claims


def judged(made: Intel) -> tuple[str, list[str]]:
    tcb = verified(made).tcb
    return str(tcb.status), [name.removeprefix("INTEL-SA-0000") for name in tcb.advisories]


def first_level(status: str) -> Change:
    return lambda tcb, qe: tcb["tcbLevels"][0].update(tcbStatus=status)


def module_level(place: int, status: str) -> Change:
    return lambda tcb, qe: tcb["tdxModuleIdentities"][0]["tcbLevels"][place].update(tcbStatus=status)


def enclave_level(status: str) -> Change:
    return lambda tcb, qe: qe["tcbLevels"][0].update(tcbStatus=status)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        pytest.param(intel(), (UP, []), id="all current"),
        pytest.param(intel(platform=4), (OUT, ["1"]), id="a component between two levels"),
        pytest.param(intel(platform=3, pce_svn=11), (OUT, ["1"]), id="the lower level exactly"),
        pytest.param(intel(pce_svn=11), (OUT, ["1"]), id="a provisioning enclave of the lower level"),
        pytest.param(intel(launched=svn(7, microcode=4)), (OUT, ["1"]), id="microcode of the lower level"),
        pytest.param(intel(launched=svn(6)), (OUT, ["2"]), id="a module between two levels"),
        pytest.param(intel(enclave=3), (OUT, ["3"]), id="an enclave between two levels"),
        pytest.param(intel(platform=4, launched=svn(4), enclave=2), (OUT, ["1", "2", "3"]), id="all outdated"),
        pytest.param(intel(launched=svn(5, 0)), (UP, []), id="a module without a major version, current"),
        pytest.param(intel(launched=svn(4, 0)), (OUT, ["1"]), id="a module without a major version, outdated"),
        pytest.param(intel(tee=SGX), (UP, []), id="SGX, current"),
        pytest.param(intel(tee=SGX, platform=4), (OUT, ["1"]), id="SGX, outdated"),
        pytest.param(intel(tee=SGX, enclave=2), (OUT, ["3"]), id="SGX, an outdated enclave"),
    ],
)
def test_levels(made: Intel, expected: tuple[str, list[str]]) -> None:
    assert judged(made) == expected


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(intel(platform=2), id="components below every level"),
        pytest.param(intel(pce_svn=10), id="a provisioning enclave below every level"),
        pytest.param(intel(launched=svn(7, microcode=2)), id="microcode below every level"),
        pytest.param(intel(launched=svn(3)), id="a module below every level"),
        pytest.param(intel(launched=svn(2, 0)), id="a module without a major version, below every level"),
        pytest.param(intel(enclave=1), id="an enclave below every level"),
        pytest.param(intel(tee=SGX, platform=2), id="SGX below every level"),
        pytest.param(intel(change=first_level("Revoked")), id="a revoked platform"),
        pytest.param(intel(tee=SGX, change=first_level("Revoked")), id="a revoked platform of SGX"),
        pytest.param(intel(change=module_level(0, "Revoked")), id="a revoked module"),
        pytest.param(intel(change=enclave_level("Revoked")), id="a revoked enclave"),
        pytest.param(
            intel(launched=svn(7, microcode=4), change=first_level("Revoked")),
            id="a platform whose best level is revoked, under a module of a lower one",
        ),
        pytest.param(intel(running=svn(3)), id="below every level is the module that runs it"),
        pytest.param(intel(running=svn(7, microcode=2)), id="below every level is the microcode that runs it"),
        pytest.param(intel(running=svn(7, 2)), id="Intel does not know the module that runs it"),
        pytest.param(intel(running=svn(4), change=module_level(1, "Revoked")), id="a revoked module runs it"),
    ],
)
def test_no_level_and_revoked_are_no_claims(made: Intel) -> None:
    with pytest.raises(NotAuthentic) as refused:
        verified(made)
    assert refused.value.code == "dcap.tcb"


LIFTED = {
    "UpToDate": "OutOfDate",
    "SWHardeningNeeded": "OutOfDate",
    "ConfigurationNeeded": "OutOfDateConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded": "OutOfDateConfigurationNeeded",
    "OutOfDate": "OutOfDate",
    "OutOfDateConfigurationNeeded": "OutOfDateConfigurationNeeded",
}


@pytest.mark.parametrize(("status", "lifted"), LIFTED.items())
def test_what_is_outdated_makes_the_whole_so(status: str, lifted: str) -> None:
    change = first_level(status)
    assert judged(intel(change=change))[0] == status
    assert judged(intel(change=change, enclave=2))[0] == lifted
    assert judged(intel(change=change, launched=svn(4)))[0] == lifted
    assert judged(intel(change=change, tee=SGX, enclave=2))[0] == lifted


def test_every_status_of_a_level_converges() -> None:
    derived = {Status.TD_RELAUNCH_ADVISED, Status.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED, Status.REVOKED}
    assert LIFTED.keys() | {str(status) for status in derived} == {str(status) for status in Status}


@pytest.mark.parametrize("status", sorted(LIFTED.keys() - {UP, OUT}))
def test_a_status_that_only_platforms_have_is_no_modules_and_no_enclaves(status: str) -> None:
    for change in (module_level(0, status), enclave_level(status)):
        with pytest.raises(NotAuthentic) as refused:
            verified(intel(change=change))
        assert refused.value.code == "dcap.tcb"
    assert judged(intel(change=module_level(1, status))) == (UP, [])


RELAUNCH = "TDRelaunchAdvised"


@pytest.mark.parametrize(
    ("made", "status"),
    [
        pytest.param(intel(launched=svn(4), running=svn(7)), RELAUNCH, id="a current module runs it"),
        pytest.param(intel(launched=svn(4), running=svn(8)), RELAUNCH, id="a later one runs it"),
        pytest.param(intel(launched=svn(4), running=svn(6)), OUT, id="an outdated module runs it"),
        pytest.param(intel(launched=svn(4), running=svn(7, microcode=4)), OUT, id="outdated microcode runs it"),
        pytest.param(
            intel(launched=svn(4), running=svn(5, 0)), RELAUNCH, id="a current module without a major version"
        ),
        pytest.param(intel(launched=svn(4), running=svn(4, 0)), OUT, id="an outdated one without a major version"),
        pytest.param(intel(launched=svn(4), running=svn(7), enclave=2), OUT, id="the enclave is outdated"),
        pytest.param(intel(launched=svn(4), running=svn(7), platform=4), OUT, id="the platform is outdated"),
        pytest.param(intel(launched=svn(7), running=svn(9)), UP, id="nothing is outdated"),
        pytest.param(
            intel(launched=svn(7, microcode=4), running=svn(7)), RELAUNCH, id="only the microcode was outdated"
        ),
        pytest.param(intel(launched=svn(4, 0), running=svn(7)), RELAUNCH, id="one without a major version launched it"),
        pytest.param(intel(change=module_level(0, OUT)), OUT, id="the best module there is, and that is outdated"),
        pytest.param(
            intel(launched=svn(4), running=svn(7), change=module_level(0, OUT)), OUT, id="no module is current"
        ),
        pytest.param(
            intel(launched=svn(4), running=svn(7), change=first_level("ConfigurationNeeded")),
            "TDRelaunchAdvisedConfigurationNeeded",
            id="and the platform has to be configured",
        ),
        pytest.param(
            intel(launched=svn(4), running=svn(7), change=first_level("SWHardeningNeeded")),
            RELAUNCH,
            id="and software has to be hardened",
        ),
    ],
)
def test_a_relaunch_is_advised_only_where_it_helps(made: Intel, status: str) -> None:
    assert judged(made)[0] == status


@pytest.mark.parametrize("running", [svn(4), svn(7, microcode=4)], ids=["module", "microcode"])
def test_what_runs_a_domain_counts_as_much_as_what_launched_it(running: bytes) -> None:
    with pytest.raises(NotAuthentic, match="out of date runs what a current one launched") as refused:
        verified(intel(launched=svn(7), running=running))
    assert refused.value.code == "dcap.tcb"


@pytest.mark.parametrize(("launched", "code"), [(svn(5, 0), "tdx.module"), (svn(7), "dcap.tcb")])
def test_documents_that_know_no_module_without_a_major_version(launched: bytes, code: str) -> None:
    with pytest.raises(NotAuthentic, match="without a TDX module") as refused:
        verified(intel(launched=launched, running=svn(5, 0), change=lambda tcb, qe: tcb.pop("tdxModule")))
    assert refused.value.code == code


def test_the_date_is_that_of_the_oldest_part() -> None:
    tcb = verified(intel()).tcb
    assert f"{tcb.date:%Y-%m-%d}" == "2025-05-14"
    assert tcb.module is not None
    assert f"{tcb.module.date:%Y-%m-%d}" == f"{tcb.enclave.date:%Y-%m-%d}" == "2025-08-13"
    assert tcb.evaluation_numbers == (18, 18)
    assert tcb.status is TcbStatus.UP_TO_DATE
