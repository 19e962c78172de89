"""A folder of files that somebody downloaded: recognised by what is in them, judged like everything else."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

import intel_forge
import nvidia_forge as forge
from collateral_support import day, document, endorser, question, wanted
from collateral_vendor import Vendor, pem
from hermetic.errors import Malformed, Misconfigured
from hermetic.sources.collateral import CollateralUnavailable, Endorser, Origin, Period
from hermetic.sources.collateral.cache import MemoryCache
from hermetic.sources.collateral.folder import CollateralFolder, recognise
from hermetic.sources.collateral.question import Kind
from hermetic.sources.collateral.supply import Supply
from hermetic.sources.collateral.timed import Deadline
from hermetic.verify import verify
from snp_support import NOW, REPORT_DATA, issue, roots, simulated

SNP = issue().endorsements
INTEL = intel_forge.Intel().issue().endorsements
CRL_PEM = x509.load_der_x509_crl(SNP["crl"]).public_bytes(Encoding.PEM)
SPACED = SNP["crl"][:-1] + b"\n"
CHAIN = pem(SNP["intermediate"], SNP["root"])
RIM = forge.bundle().rims[forge.RIM_NAMES[0]]
RIM_JSON = json.dumps({"id": "x", "rim": base64.b64encode(RIM).decode(), "sha256": "x"}).encode()


@pytest.mark.parametrize(
    ("content", "pieces"),
    [
        (SNP["leaf"], ((Kind.CERTIFICATE, SNP["leaf"]),)),
        (pem(SNP["leaf"]), ((Kind.CHAIN, pem(SNP["leaf"])), (Kind.CERTIFICATE, SNP["leaf"]))),
        (
            b"\n" + CHAIN.replace(b"\n", b"\r\n"),
            (
                (Kind.CHAIN, CHAIN),
                (Kind.CERTIFICATE, SNP["intermediate"]),
                (Kind.CERTIFICATE, SNP["root"]),
            ),
        ),
        (SNP["crl"], ((Kind.CRL, SNP["crl"]),)),
        (CRL_PEM, ((Kind.CRL, SNP["crl"]),)),
        (b"\n" + CRL_PEM, ((Kind.CRL, SNP["crl"]),)),
        (b" " + SNP["crl"].hex().encode() + b"\n", ((Kind.CRL, SNP["crl"]),)),
        (SPACED, ((Kind.CRL, SPACED),)),
        (forge.all_good()[0], ((Kind.OCSP, forge.all_good()[0]),)),
        (INTEL["tcb_info"] + b"\n", ((Kind.INTEL_JSON, INTEL["tcb_info"]),)),
        (INTEL["qe_identity"], ((Kind.INTEL_JSON, INTEL["qe_identity"]),)),
        (RIM, ((Kind.RIM, RIM),)),
        (RIM_JSON, ((Kind.RIM, RIM),)),
    ],
    ids=[
        "certificate",
        "certificate in PEM",
        "chain with other line ends",
        "list",
        "list in PEM",
        "list in PEM after a line",
        "list in hex",
        "list that ends like a line",
        "OCSP answer",
        "TCB info",
        "QE identity",
        "manifest",
        "manifest in JSON",
    ],
)
def test_a_file_is_recognised_by_what_is_in_it(content: bytes, pieces: tuple[tuple[Kind, bytes], ...]) -> None:
    assert recognise(content) == pieces


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"{}", b'{"rim": 1}', b"-----BEGIN CERTIFICATE-----", b"-----BEGIN X509 CRL-----", b"30", b"0\x00"],
    ids=["empty", "text", "JSON", "odd JSON", "half a certificate", "half a list", "hex", "DER"],
)
def test_what_is_something_else_is_nothing(content: bytes) -> None:
    assert recognise(content) == ()


@given(st.binary(max_size=200) | st.sampled_from([SNP["leaf"], SNP["crl"], CHAIN]).map(lambda data: data[:-1]))
def test_nothing_in_a_folder_raises(content: bytes) -> None:
    recognise(content)


def test_a_folder_endorses_whatever_its_files_are_called(tmp_path: Path) -> None:
    for name, content in enumerate((SNP["leaf"], CHAIN, SNP["crl"], b"a note", INTEL["tcb_info"])):
        (tmp_path / f"{name}.bin").write_bytes(content)
    (tmp_path / "a folder").mkdir()
    whole = issue()
    with Endorser(None, folder=tmp_path, offline=True) as made:
        found = made.complete(replace(whole, endorsements={}), now=NOW)
    assert found.bundle == whole
    assert {document.origin for document in found.obtained} == {Origin.FOLDER}
    verify(found.bundle, roots=roots(simulated()), now=NOW, report_data=REPORT_DATA)


def test_a_device_is_endorsed_from_a_folder_of_manifests_and_answers(tmp_path: Path) -> None:
    whole = forge.bundle()
    for number, content in enumerate((*whole.rims.values(), *whole.ocsp)):
        (tmp_path / f"{number}.swidtag").write_bytes(content)
    with Endorser(None, folder=tmp_path, offline=True) as made:
        found = made.endorse_device(replace(whole, rims={}, ocsp=()), now=forge.NOW)
    assert found.rims == whole.rims
    assert set(found.ocsp) == set(whole.ocsp)


def test_files_of_another_platform_answer_nothing(tmp_path: Path) -> None:
    for name, content in intel_forge.Intel(tee="sgx").issue().endorsements.items():
        (tmp_path / name).write_bytes(content)
    bare = replace(intel_forge.Intel().issue(), endorsements={})
    with Endorser(None, folder=tmp_path, offline=True) as made, pytest.raises(CollateralUnavailable) as error:
        made.endorse(bare, now=intel_forge.NOW)
    # The authority of the platform and the root are the same for both.
    assert [missing.names[0] for missing in error.value.missing] == ["tcb_info", "qe_identity"]


def test_of_several_files_the_one_that_holds_longest_counts_and_a_stale_one_never_silently(tmp_path: Path) -> None:
    def supply(*documents: bytes) -> Supply:
        for number, each in enumerate(documents):
            content = {"rim": base64.b64encode(each).decode()}
            (tmp_path / str(number)).write_bytes(json.dumps(content).encode())
        return Supply(MemoryCache(), None, folder=CollateralFolder(tmp_path), ahead=day(0) - day(0))

    with Vendor() as vendor:
        asked = (wanted(question(vendor.url)),)
        made = supply(document(0, 5), document(2, 9), document(8, 30), b"junk")
        for now, last in ((1, 5), (3, 9), (8, 30)):
            (found,) = made.obtain(asked, day(now), Deadline(20), allow_stale=False)
            assert (found.period.last, found.stale, found.origin) == (day(last), False, Origin.FOLDER)
        with pytest.raises(CollateralUnavailable, match="offline; what is here holds until 2026-01-31"):
            made.obtain(asked, day(30), Deadline(20), allow_stale=False)
        (found,) = made.obtain(asked, day(30), Deadline(20), allow_stale=True)
        assert (found.period.last, found.stale) == (day(30), True)


def test_each_file_is_looked_at_once_for_each_part(tmp_path: Path) -> None:
    """And not with every other: a folder of many certificates would never be done with."""
    looks: list[bytes] = []

    def look(part: bytes) -> Period:
        looks.append(part)
        last = int(part)
        if last == 20:
            raise Malformed("not this one")
        return Period(first=day(last - 15), last=day(last))

    for number in range(1, 31):
        (tmp_path / f"{number}").write_bytes(json.dumps({"rim": base64.b64encode(b"%d" % number).decode()}).encode())
    names = {"one": Kind.RIM, "other": Kind.RIM}
    asked = replace(question("http://a.example"), names=names, periods=dict.fromkeys(names, look))
    folder = CollateralFolder(tmp_path)
    assert folder.answer(asked, day(5)) == ({"one": b"19", "other": b"19"}, Period(first=day(4), last=day(19)))
    assert len(looks) == 60
    assert folder.answer(replace(asked, names=names | {"third": Kind.CRL}), day(5)) is None


def test_online_a_folder_saves_the_question(tmp_path: Path) -> None:
    for name, content in SNP.items():
        (tmp_path / name).write_bytes(content)
    with Vendor() as vendor, endorser(vendor, folder=tmp_path) as made:
        assert made.endorse(replace(issue(), endorsements={}), now=NOW).endorsements == SNP
        assert not vendor.asked


def test_a_file_that_is_too_large_is_passed_over(tmp_path: Path) -> None:
    small, large = SNP["crl"].hex().encode(), SNP["crl"].hex().encode() + b"\n" * (1 << 20)
    (tmp_path / "list").write_bytes(small)
    assert list(CollateralFolder(tmp_path).pieces(Kind.CRL)) == [SNP["crl"]]
    (tmp_path / "list").write_bytes(large)
    assert list(CollateralFolder(tmp_path).pieces(Kind.CRL)) == []


def test_a_folder_that_is_none_or_the_wrong_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        CollateralFolder(tmp_path / "missing")
    for number in range(513):
        if number == 512:
            CollateralFolder(tmp_path)
        (tmp_path / str(number)).write_bytes(b"")
    with pytest.raises(Misconfigured, match="more than 512 files"):
        CollateralFolder(tmp_path)
