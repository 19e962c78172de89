"""What is written to cost much or to break its reader is refused like everything else, wherever it comes in."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import hostile_support as hostile
import intel_forge
import nvidia_forge
from hermetic.errors import Malformed, Refused
from hermetic.evidence import EvidenceBundle, recognise
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.evidence.x509 import load_certificate, load_crl
from hermetic.results.describe import describe
from hermetic.sources.collateral import Endorser
from hermetic.sources.collateral.folder import CollateralFolder
from hermetic.sources.collateral.question import Kind
from hermetic.verify import verify
from hermetic.verify.intel_collateral import load_qe_identity, load_tcb_info
from hermetic.verify.nvidia import verify_device
from snp_support import NOW, REPORT_DATA, endorsed, issue, roots, simulated

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")

CERTIFICATE = hostile.certificate(hostile.extension(hostile.LONG))
LIST = hostile.revocation_list(hostile.extension(hostile.LONG))


def refusal_of(bundle: EvidenceBundle) -> str:
    with pytest.raises(Refused) as caught:
        verify(bundle, roots=roots(simulated()), now=NOW, report_data=REPORT_DATA)
    return caught.value.message


def refusal_of_device(bundle: DeviceBundle) -> str:
    with pytest.raises(Refused) as caught:
        verify_device(bundle, roots=nvidia_forge.roots(), now=nvidia_forge.NOW, nonce=nvidia_forge.NONCE)
    return caught.value.message


# An identifier of one long arc


@pytest.mark.parametrize(
    ("load", "make"),
    [
        (lambda der: load_certificate(der, "x"), lambda oid: hostile.certificate(hostile.extension(oid))),
        (lambda der: load_certificate(der, "x"), lambda oid: hostile.certificate(subject=hostile_name(oid))),
        (load_crl, lambda oid: hostile.revocation_list(hostile.extension(oid))),
    ],
    ids=["an extension", "a name", "a list"],
)
def test_a_long_identifier(load: Callable[[bytes], object], make: Callable[[bytes], bytes]) -> None:
    """Of one more byte than are read; of 63 it is an identifier that nobody knows."""
    for length in (64, 2501):
        with pytest.raises(Malformed, match="identifier of more than 63 bytes"):
            load(make(hostile.identifier(length)))


def hostile_name(oid: bytes) -> bytes:
    return hostile.sequence(hostile.der(0x31, hostile.sequence(oid, hostile.der(hostile.UTF8, b"x"))))


def test_an_identifier_of_63_bytes_is_one_like_any_other() -> None:
    read = load_certificate(hostile.certificate(hostile.extension(hostile.identifier(63))), "x")
    assert len(next(iter(read.extensions))) > 100


@pytest.mark.parametrize("name", ["leaf", "intermediate", "root", "crl"])
def test_of_a_platform(name: str) -> None:
    assert "63 bytes" in refusal_of(endorsed(issue(), **{name: LIST if name == "crl" else CERTIFICATE}))


@pytest.mark.parametrize("at", range(5))
def test_of_a_devices_chain(at: int) -> None:
    whole = nvidia_forge.bundle()
    chain = (*whole.certificates[:at], CERTIFICATE, *whole.certificates[at + 1 :])
    assert "63 bytes" in refusal_of_device(replace(whole, certificates=chain))


def test_of_a_devices_lists() -> None:
    refusal_of_device(replace(nvidia_forge.bundle(), crls=(LIST,), ocsp=()))


def test_of_the_signer_of_a_manifest() -> None:
    whole = nvidia_forge.bundle()
    name, document = next(iter(whole.rims.items()))
    first = re.compile(rb"(<ds:X509Certificate>)[^<]*")
    changed = first.sub(rb"\g<1>" + base64.b64encode(CERTIFICATE), document, count=1)
    assert changed != document
    assert "63 bytes" in refusal_of_device(replace(whole, rims={**whole.rims, name: changed}))


@pytest.mark.parametrize("content", [CERTIFICATE, LIST], ids=["a certificate", "a list"])
def test_of_a_file_in_a_folder(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.der").write_bytes(content)
    folder = CollateralFolder(tmp_path)
    assert not any(folder.pieces(kind) for kind in Kind)


# Intel's documents, with a deep member that nobody reads


@pytest.mark.parametrize(
    ("load", "member"),
    [(load_tcb_info, "tcbInfo"), (load_qe_identity, "enclaveIdentity")],
    ids=["TCB info", "QE identity"],
)
def test_a_deep_document(load: Callable[[bytes], object], member: str) -> None:
    with pytest.raises(Malformed, match="nested too deeply"):
        load(hostile.deep_intel(member))


@pytest.mark.parametrize(
    ("name", "member"), [("tcb_info", "tcbInfo"), ("qe_identity", "enclaveIdentity")], ids=["TCB info", "QE identity"]
)
def test_a_deep_document_wherever_it_comes_in(tmp_path: Path, name: str, member: str) -> None:
    deep = hostile.deep_intel(member)
    intel = intel_forge.Intel()
    whole = intel.issue()
    bundle = replace(whole, endorsements={**whole.endorsements, name: deep})
    # 1. The verifier refuses it.
    with pytest.raises(Refused, match="nested too deeply"):
        verify(bundle, roots=intel.roots, now=intel_forge.NOW, report_data=intel_forge.REPORT_DATA)
    # 2. An endorser takes it for missing.
    with Endorser(None, offline=True) as made:
        assert any(name in each.names for each in made.missing(bundle, now=intel_forge.NOW))
    # 3. A folder that holds it has nothing that could answer.
    (tmp_path / "deep.json").write_bytes(deep)
    assert CollateralFolder(tmp_path).pieces(Kind.INTEL_JSON) == (deep,)
    with Endorser(None, offline=True, folder=tmp_path) as made:
        assert any(name in each.names for each in made.missing(bundle, now=intel_forge.NOW))
    # 4. It is shown as what cannot be read.
    described = describe(recognise(json.dumps(bundle.to_json()).encode()))
    assert "nested too deeply" in described["parts"][0]["endorsements"][name]["cannot be read"]
