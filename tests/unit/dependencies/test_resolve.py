from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from buildr_jupyter.dependencies.environment import Installed, Interpreter
from buildr_jupyter.dependencies.resolve import Requirements, analyze_imports, resolve, target_markers
from buildr_jupyter.errors import OptionError, RequirementError
from buildr_jupyter.model.plan import ImportUse

MARKERS = target_markers("3.11", "x86_64")


class Site:
    """A site-packages folder made by hand, as installers leave it."""

    def __init__(self, root: Path) -> None:
        self.path = root / "site-packages"
        self.path.mkdir(parents=True)

    def add(
        self,
        name: str,
        version: str,
        files: dict[str, str],
        *,
        requires: tuple[str, ...] = (),
        direct_url: dict | None = None,
        installer: str = "pip",
        record: bool = True,
        tag: str = "py3-none-any",
    ) -> None:
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        everything = {
            **files,
            f"{info}/METADATA": "\n".join(
                [
                    "Metadata-Version: 2.1",
                    f"Name: {name}",
                    f"Version: {version}",
                    *(f"Requires-Dist: {r}" for r in requires),
                    "",
                ]
            ),
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py2-none-any\nTag: {tag}\n",
            f"{info}/INSTALLER": f"{installer}\n",
        }
        if direct_url:
            everything[f"{info}/direct_url.json"] = json.dumps(direct_url)
        rows = []
        for path, text in everything.items():
            target = self.path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            rows.append(f"{path},sha256={digest},{len(text)}\n")
        if record:
            (self.path / info / "RECORD").write_text("".join(rows) + f"{info}/RECORD,,\n")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "env")


def installed(site: Site, *folders: Path, paths: tuple[str, ...] = ()) -> Installed:
    interpreter = replace(Interpreter.current(), paths=(str(site.path), *paths))
    return Installed(interpreter, first=folders)


def pins(found: Requirements) -> list[str]:
    return [pin.text for pin in found.pins]


def use(module: str, *names: str, optional: bool = False) -> ImportUse:
    return ImportUse(module, names, "nb.ipynb, cell 3, line 1", optional)


def test_the_owner_of_the_file_is_the_distribution_not_the_name(site: Site) -> None:
    site.add("PyYAML", "6.0", {"yaml/__init__.py": ""})
    site.add("yaml-tools", "1.0", {"yamltools.py": ""})
    found = resolve([use("yaml")], installed(site), markers=MARKERS)
    assert pins(found) == ["pyyaml==6.0"]
    assert found.pins[0].why == "yaml in nb.ipynb, cell 3, line 1"


def test_a_namespace_is_shared_and_each_module_finds_its_own(site: Site) -> None:
    site.add("google-cloud-storage", "2.1", {"google/cloud/storage/__init__.py": ""})
    site.add("google-auth", "2.9", {"google/auth/__init__.py": ""})
    index = installed(site)
    assert pins(resolve([use("google.cloud", "storage")], index, markers=MARKERS)) == ["google-cloud-storage==2.1"]
    assert pins(resolve([use("google.auth")], index, markers=MARKERS)) == ["google-auth==2.9"]


def test_what_is_needed_is_pinned_with_the_targets_markers(site: Site) -> None:
    site.add(
        "top",
        "1",
        {"top.py": ""},
        requires=("mid[fast]>=1", 'win; sys_platform == "win32"', 'old; python_version < "3.8"'),
    )
    site.add("mid", "1.5", {"mid.py": ""}, requires=('quick; extra == "fast"', 'slow; extra == "slow"'))
    for name in ("win", "old", "quick", "slow"):
        site.add(name, "9", {f"{name}.py": ""})
    assert pins(resolve([use("top")], installed(site), markers=MARKERS)) == ["mid==1.5", "quick==9", "top==1"]


def test_what_only_the_target_needs_comes_without_a_pin(site: Site) -> None:
    """A kernel on macOS has no package that only Linux wants."""
    site.add("top", "1", {"top.py": ""}, requires=('linuxonly>=2; sys_platform == "linux"',))
    found = resolve([use("top")], installed(site), markers=MARKERS)
    assert pins(found) == ["linuxonly>=2", "top==1"]
    assert "not installed here" in found.pins[0].why


def test_one_module_in_two_distributions_takes_the_one_whose_bytes_are_there(site: Site) -> None:
    site.add("opencv-python", "4.1", {"cv2/__init__.py": "a"})
    site.add("opencv-python-headless", "4.2", {"cv2/__init__.py": "b"})
    found = resolve([use("cv2")], installed(site), markers=MARKERS)
    assert pins(found) == ["opencv-python-headless==4.2"]
    assert "opencv-python 4.1" in found.warnings[0].text
    given = resolve([use("cv2")], installed(site), markers=MARKERS, given=[("opencv-python", "--requirement")])
    assert pins(given) == ["opencv-python==4.1"]


def test_a_missing_module_is_named_with_the_distribution_that_is_known_to_own_it(site: Site) -> None:
    with pytest.raises(RequirementError, match="cell 3, line 1: module 'sklearn.svm'") as raised:
        resolve([use("sklearn.svm")], installed(site), markers=MARKERS)
    assert raised.value.hint == "install it first: %pip install scikit-learn"
    assert pins(resolve([use("sklearn.svm", optional=True)], installed(site), markers=MARKERS)) == []


def test_where_the_notebooks_own_kernel_is_missing_a_known_owner_is_taken_and_said(site: Site) -> None:
    stand_in = Installed(replace(Interpreter.current(), paths=(str(site.path),), stand_in=True))
    found = resolve([use("sklearn.svm")], stand_in, markers=MARKERS)
    assert pins(found) == ["scikit-learn"]
    assert "is taken without a version" in found.warnings[0].text


def test_no_distribution_is_guessed_from_the_name_of_a_module(site: Site) -> None:
    for interpreter in (Interpreter.current(), replace(Interpreter.current(), paths=(), stand_in=True)):
        with pytest.raises(RequirementError, match="some_lib") as raised:
            resolve([use("some_lib")], Installed(interpreter), markers=MARKERS)
        assert "some-lib" not in f"{raised.value} {raised.value.hint}"
        assert "some_lib" not in str(raised.value.hint)


def test_a_distribution_that_the_user_names_may_have_a_module_that_is_not_installed(site: Site) -> None:
    given = [("the-dist>=1", "--requirement")]
    found = resolve([use("some_lib")], installed(site), markers=MARKERS, given=given)
    assert pins(found) == ["the-dist>=1"]
    assert "module some_lib is not installed here; it is taken to come from the-dist" in found.warnings[0].text


def test_the_standard_library_needs_nothing_but_a_shadow_of_it_comes_along(site: Site, tmp_path: Path) -> None:
    asked = [use("json"), use("os.path"), use("sys"), use("__main__")]
    assert resolve(asked, installed(site), markers=MARKERS) == Requirements()
    (tmp_path / "random.py").write_text("seed = 4\n")
    found = resolve([use("random")], installed(site, tmp_path), markers=MARKERS)
    assert [entry.path for entry in found.modules] == ["app/random.py"]


def test_a_module_that_left_the_library_is_warned_of(site: Site) -> None:
    found = resolve([use("imp")], installed(site), markers=target_markers("3.12", "x86_64"))
    assert (
        "imp is not in Python 3.12 any more" in found.warnings[0].text
        if "imp" in Interpreter.current().stdlib_names
        else True
    )


def test_local_modules_come_with_what_they_import_and_their_data(site: Site, tmp_path: Path) -> None:
    site.add("dep", "3", {"dep.py": ""})
    files = {
        "tool.py": "from pack import part\n",
        "pack/__init__.py": "",
        "pack/part.py": "from . import other\nfrom .sub.deep import f\nimport dep\n",
        "pack/other.py": "import tool\n",  # a circle
        "pack/unused.py": "import nothing_of_the_kind\n",
        "pack/sub/__init__.py": "",
        "pack/sub/deep.py": "def f(): ...\n",
        "pack/table.csv": "1,2\n",
        "pack/.hidden": "x",
        "unrelated.py": "",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    found = resolve([use("tool")], installed(site, tmp_path), markers=MARKERS)
    assert [entry.path for entry in found.modules] == [
        "app/pack/__init__.py", "app/pack/other.py", "app/pack/part.py", "app/pack/sub/__init__.py",
        "app/pack/sub/deep.py", "app/pack/table.csv", "app/tool.py",
    ]  # fmt: skip
    assert pins(found) == ["dep==3"]


def test_nothing_is_imported_while_looking(site: Site, tmp_path: Path) -> None:
    marker = tmp_path / "was-imported"
    (tmp_path / "loud").mkdir()
    (tmp_path / "loud" / "__init__.py").write_text(f"open({str(marker)!r}, 'w')\n")
    (tmp_path / "loud" / "inner.py").write_text("")
    found = resolve([use("loud.inner")], installed(site, tmp_path), markers=MARKERS)
    assert [entry.path for entry in found.modules] == ["app/loud/__init__.py", "app/loud/inner.py"]
    assert not marker.exists()


def test_a_local_module_that_does_not_parse_is_said(site: Site, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def (:\n")
    with pytest.raises(RequirementError, match=r"bad\.py does not parse"):
        resolve([use("bad")], installed(site, tmp_path), markers=MARKERS)


def test_a_package_that_imports_by_name_comes_whole(site: Site, tmp_path: Path) -> None:
    (tmp_path / "plug").mkdir()
    (tmp_path / "plug" / "__init__.py").write_text("import importlib\n")
    (tmp_path / "plug" / "one.py").write_text("")
    (tmp_path / "plug" / "sub").mkdir()
    (tmp_path / "plug" / "sub" / "__init__.py").write_text("")
    (tmp_path / "plug" / "main.py").write_text("import importlib\n")
    found = resolve([use("plug.main")], installed(site, tmp_path), markers=MARKERS)
    assert "app/plug/one.py" in [entry.path for entry in found.modules]


def test_an_editable_install_comes_as_files_and_its_needs_as_pins(site: Site, tmp_path: Path) -> None:
    project = tmp_path / "project" / "src"
    (project / "mylib").mkdir(parents=True)
    (project / "mylib" / "__init__.py").write_text("")
    site.add("dep", "3", {"dep.py": ""})
    direct = {"url": (tmp_path / "project").as_uri(), "dir_info": {"editable": True}}
    site.add("my-lib", "0.1", {"_my_lib.pth": f"{project}\n"}, requires=("dep",), direct_url=direct)
    found = resolve([use("mylib")], installed(site, paths=(str(project),)), markers=MARKERS)
    assert [entry.path for entry in found.modules] == ["app/mylib/__init__.py"]
    assert pins(found) == ["dep==3"]


def test_a_notebook_beside_an_editable_project_is_not_a_part_of_it(site: Site, tmp_path: Path) -> None:
    """A notebooks/ folder inside the project's folder: its modules ask for nothing of the project's needs."""
    site.add("dep", "3", {"dep.py": ""})
    direct = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
    site.add("my-lib", "0.1", {"_my_lib.pth": f"{tmp_path}\n"}, requires=("dep",), direct_url=direct)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "sales.py").write_text("")
    found = resolve([use("sales")], installed(site, tmp_path / "notebooks", paths=(str(tmp_path),)), markers=MARKERS)
    assert [entry.path for entry in found.modules] == ["app/sales.py"]
    assert pins(found) == []


def test_setuptools_finder_hooks_are_read_not_run(site: Site, tmp_path: Path) -> None:
    package = tmp_path / "elsewhere" / "hooked"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    direct = {"url": (tmp_path / "elsewhere").as_uri(), "dir_info": {"editable": True}}
    mapping = f"raise SystemExit\nMAPPING: dict[str, str] = {{'hooked': {str(package)!r}}}\n"
    site.add("hooked", "0.1", {"__editable___hooked_0_1_finder.py": mapping}, direct_url=direct)
    found = resolve([use("hooked")], installed(site), markers=MARKERS)
    assert [entry.path for entry in found.modules] == ["app/hooked/__init__.py"]


def test_version_control_installs_keep_their_commit(site: Site) -> None:
    direct = {"url": "https://git.example/x.git", "vcs_info": {"vcs": "git", "commit_id": "a" * 40}}
    site.add("vcs-lib", "0.1", {"vcslib.py": ""}, direct_url=direct)
    assert pins(resolve([use("vcslib")], installed(site), markers=MARKERS)) == [
        f"vcs-lib @ git+https://git.example/x.git@{'a' * 40}"
    ]


def test_a_local_wheel_is_taken_and_packed_again_where_it_is_gone(site: Site, tmp_path: Path) -> None:
    wheel = tmp_path / "loc-1.0-py3-none-any.whl"
    wheel.write_bytes(b"PK wheel")
    site.add("loc", "1.0", {"loc/__init__.py": "x = 1\n"}, direct_url={"url": wheel.as_uri(), "archive_info": {}})
    kept = resolve([use("loc")], installed(site), markers=MARKERS)
    assert pins(kept) == ["./wheels/loc-1.0-py3-none-any.whl"]
    with kept.wheels[0].open() as stream:
        assert stream.read() == b"PK wheel"
    wheel.unlink()
    packed, again = (resolve([use("loc")], installed(site), markers=MARKERS) for _ in range(2))
    assert packed.wheels[0].path == "wheels/loc-1.0-py2.py3-none-any.whl"
    assert packed.wheels[0].sha256 == again.wheels[0].sha256
    with packed.wheels[0].open() as stream, zipfile.ZipFile(stream) as archive:
        assert archive.read("loc/__init__.py") == b"x = 1\n"
        assert archive.testzip() is None
        assert "loc-1.0.dist-info/direct_url.json" not in archive.namelist()
        assert "loc-1.0.dist-info/RECORD" in archive.namelist()


def test_conda_installs_are_pinned_by_name_with_a_warning(site: Site) -> None:
    site.add("np", "1.2", {"np.py": ""}, installer="conda", direct_url={"url": "file:///home/conda/x", "dir_info": {}})
    found = resolve([use("np")], installed(site), markers=MARKERS)
    assert pins(found) == ["np==1.2"]
    assert "conda" in found.warnings[0].text


def test_what_was_compiled_here_is_said_before_the_build(site: Site) -> None:
    site.add("fast", "1.2", {"fast.so": ""}, tag="cp311-cp311-linux_x86_64")
    site.add("wheel", "1.2", {"wheel.so": ""}, tag="cp311-cp311-manylinux_2_28_x86_64")
    found = resolve([], installed(site), markers=MARKERS, given=[("fast", "x"), ("wheel", "x")])
    assert pins(found) == ["fast==1.2", "wheel==1.2"]
    assert [warning.text for warning in found.warnings] == [
        "fast 1.2 was compiled on this machine: the index may have no wheel of it"
    ]


def test_local_versions_bring_their_index(site: Site) -> None:
    site.add("torch", "2.3.0+cpu", {"torch.py": ""})
    assert pins(resolve([use("torch")], installed(site), markers=MARKERS)) == [
        "--extra-index-url https://download.pytorch.org/whl/cpu",
        "torch==2.3.0+cpu",
    ]


def test_given_requirements_win_and_bad_ones_are_named(site: Site) -> None:
    site.add("lib", "1.0", {"lib.py": ""})
    found = resolve(
        [use("lib")], installed(site), markers=MARKERS, given=[("lib>=2", "--requirement"), ("other", "%pip, cell 1")]
    )
    assert pins(found) == ["lib>=2", "other"]
    with pytest.raises(OptionError, match="'no such thing!'"):
        resolve([], installed(site), markers=MARKERS, given=[("no such thing!", "--requirement")])


def test_an_installed_file_that_nobody_owns_is_an_error(site: Site) -> None:
    (site.path / "stray.py").write_text("")
    with pytest.raises(RequirementError, match="belongs to no installed distribution"):
        resolve([use("stray")], installed(site), markers=MARKERS)


def test_relative_and_guarded_imports_are_read() -> None:
    source = b"""
from . import a
from ..up import b
import importlib
try:
    import fast
except ImportError:
    fast = None
if TYPE_CHECKING:
    import types_only
importlib.import_module("named")
"""
    uses = {use.module: use.optional for use in analyze_imports(source, "p/q/m.py", package="p.q")}
    assert uses == {"p.q": False, "p.up": False, "importlib": False, "fast": True, "types_only": True, "named": False}


def test_the_real_interpreter_answers_the_same_from_outside() -> None:
    import sys

    asked, own = Interpreter.ask([sys.executable]), Interpreter.current()
    assert (asked.version, asked.stdlib, asked.stdlib_names) == (own.version, own.stdlib, own.stdlib_names)
    found = resolve([use("pandas")], Installed(asked), markers=MARKERS)
    import numpy as np
    import pandas as pd

    assert f"pandas=={pd.__version__}" in pins(found)
    assert f"numpy=={np.__version__}" in pins(found)
    with pytest.raises(RequirementError, match="does not answer"):
        Interpreter.ask(["/no/such/python"])


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ({}, ["core==1", "usual==9"]),
        ({"sheets"}, ["core==1", "sheets==9", "usual==9"]),  # by the name of the package
        ({"excel"}, ["core==1", "sheets==9", "usual==9"]),  # by the name of the extra
        ({"frames"}, ["arrows==9", "core==1", "usual==9"]),  # an extra of its own other extra
        ({"arrow"}, ["arrows==9", "core==1", "usual==9"]),
        ({"test", "absent", "win", "stranger"}, ["core==1", "usual==9"]),
    ],
)
def test_what_a_word_names_of_the_extras_of_what_is_imported(site: Site, words: set[str], found: list[str]) -> None:
    extras = ('sheets>=1; extra == "excel"', 'absent; extra == "excel"', 'core[arrow]; extra == "frames"',
              'arrows; extra == "arrow"', 'checks; extra == "test"', 'usual; extra == "default"',
              'win; extra == "excel" and sys_platform == "win32"')  # fmt: skip
    site.add("core", "1", {"core.py": ""}, requires=extras)
    for name in ("sheets", "arrows", "checks", "usual", "win", "stranger"):
        site.add(name, "9", {f"{name}.py": ""}, requires=('stranger; extra == "excel"',) if name == "usual" else ())
    named = dict.fromkeys(words, "nb.ipynb, cell 0, line 1")
    assert pins(resolve([use("core")], installed(site), markers=MARKERS, named=named)) == found


def test_the_word_that_named_a_package_is_said(site: Site) -> None:
    site.add("core", "1", {"core.py": ""}, requires=('sheets; extra == "excel"',))
    site.add("sheets", "9", {"sheets.py": ""})
    found = resolve([use("core")], installed(site), markers=MARKERS, named={"sheets": "nb.ipynb, cell 0, line 1"})
    assert found.pins[1].why == "core may load it: named in nb.ipynb, cell 0, line 1"
