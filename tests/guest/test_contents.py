"""Which files are measured, and which are left out."""

from __future__ import annotations

from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from guest_support import install
from hermetic.errors import Misconfigured
from hermetic.guest.contents import distribution_files, package_files, stdlib_files
from hermetic.guest.installation import Installation


def _files(info: Path) -> list[str]:
    return sorted(path for path, _ in distribution_files(PathDistribution(info)))


def test_what_runs_by_itself_or_varies_with_the_installer_is_left_out(tmp_path: Path) -> None:
    unwanted = {
        "start.pth": "import evil",
        "sitecustomize.py": "",
        "sitecustomize/__init__.py": "",
        "usercustomize.py": "",
        "pkg/__pycache__/a.cpython-311.pyc": "",
        "pkg/old.pyc": "",
        "../../../bin/tool": "#!/somewhere/bin/python",
    }
    wanted = {"pkg/__init__.py": "", "pkg/sitecustomize.py": "", "pkg/data.json": "{}", "pkg/RECORD": "a sleeve"}
    info = install(tmp_path / "lib/python/site", "pkg", files=unwanted | wanted, direct_url='{"url": "file:///x"}')
    assert _files(info) == sorted([*wanted, "pkg-1.0.dist-info/METADATA"])


def test_an_editable_distribution_is_refused(tmp_path: Path) -> None:
    info = install(tmp_path, "pkg", direct_url='{"url": "file:///x", "dir_info": {"editable": true}}')
    with pytest.raises(Misconfigured, match="pkg is an editable install"):
        _files(info)


def test_a_distribution_without_a_record_is_refused(tmp_path: Path) -> None:
    info = install(tmp_path, "pkg", record=False)
    with pytest.raises(Misconfigured, match="pkg does not record its files"):
        _files(info)


def test_a_package_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    for path in ("a.py", "sub/b.py", "py.typed", "sub/__pycache__/b.pyc", ".hidden", ".cache/x.py", "x.pth"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert sorted(path for path, _ in package_files(tmp_path)) == ["a.py", "py.typed", "sub/b.py"]


def test_the_standard_library_without_its_tests() -> None:
    place = Installation.running()
    paths = [path for path, _ in stdlib_files(place.prefix / place.stdlib)]
    assert {"os.py", "asyncio/events.py", "encodings/utf_8.py", "unittest/case.py"} <= set(paths)
    folders = {folder for path in paths for folder in path.split("/")[:-1]}
    assert not folders & {"test", "tests", "idlelib", "tkinter", "__pycache__", "site-packages", "dist-packages"}
    assert not [path for path in paths if path.endswith((".pyc", ".pth", ".a")) or "sitecustomize" in path]
