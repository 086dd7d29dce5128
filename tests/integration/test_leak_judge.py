"""gitleaks, by other authors, judges what the guard finds: the same credentials in the same lines, and no fewer."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.secretscan import search
from tests.engines._process import EngineStartError
from tests.engines.gotools import tool
from tests.fakes.credentials import ASSIGNED_KINDS, OWN_KINDS, assigned, fakes


@pytest.fixture(scope="module")
def gitleaks() -> Path:
    try:
        return tool("gitleaks")
    except EngineStartError as error:
        pytest.skip(str(error))


def test_it_finds_what_gitleaks_finds(gitleaks: Path, tmp_path: Path) -> None:
    made = list(fakes(each=4, seed=11))
    for number, fake in enumerate(made):
        folder = tmp_path / "files" / f"{number:03}-{fake.kind}"
        folder.mkdir(parents=True)
        (folder / "plain.py").write_text("import os\n\n" + fake.line)
        (folder / "packed.py").write_text(f'x = "{base64.b64encode(fake.line.encode()).decode()}"\n')
    others = {
        (path.relative_to(tmp_path / "files"), kind) for path, kind in found_by(gitleaks, tmp_path / "files", tmp_path)
    }
    ours = {
        (path.relative_to(tmp_path / "files"), hit.kind)
        for path in (tmp_path / "files").rglob("*.py")
        for hit in search.search_deeply(path.read_bytes())
    }
    assert not_found(others, ours) == set()
    expected = {fake.kind for fake in made} - set(OWN_KINDS)
    assert {kind for path, kind in others if path.name == "plain.py"} >= expected, "the judge sees what was planted"
    print(f"{len(made)} credentials; gitleaks {len(others)} findings, ours {len(ours)}")


def test_it_finds_as_many_of_what_only_its_name_tells(gitleaks: Path, tmp_path: Path) -> None:
    made = list(assigned(each=40, seed=21))
    files = tmp_path / "files"
    for number, fake in enumerate(made):
        path = files / fake.kind / f"{number:04}.{'yaml' if fake.kind.startswith(('yaml', 'kube')) else 'txt'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fake.line)
    others = {path for path, _ in found_by(gitleaks, files, tmp_path)}
    ours = {
        path
        for path in files.rglob("*.*")
        if any(True for _ in search.search_deeply(path.read_bytes(), path=path.name))
    }
    assert {path.relative_to(files) for path in others - ours} == set()
    for kind in ASSIGNED_KINDS:
        seen, judged = (sum(path.parent.name == kind for path in found) for found in (ours, others))
        print(f"{kind}: gitleaks {judged}, ours {seen} of 40")
        assert seen >= 34, kind


def test_each_rule_finds_what_it_finds_in_its_own_examples(gitleaks: Path, tmp_path: Path) -> None:
    """The rules for one kind of file, and those that look some lines back."""
    texts = {
        "a.php": '$config = array(\n  "secret_key" => "sk_ubb4yN3mzqGR2x8#P7r5&@*xC$utE",\n);\n',
        "main.tf": 'administrator_login_password = "Xy7-abcd9Q"\n',
        "nuget.config": '<add key="ClearTextPassword" value="aB3dE5fG7hJ9" />\n',
        "secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\ndata:\n  some-name: dGhlIHZhbHVlIGlzIGxvbmc=\n",
        "run.sh": 'curl https://a.example \\\n -o x \\\n --header "X-Api-Key: 6f2a9c81d4e7"\n',
    }
    for name, text in texts.items():
        (tmp_path / "files").mkdir(exist_ok=True)
        (tmp_path / "files" / name).write_text(text)
    others = {(path.name, kind) for path, kind in found_by(gitleaks, tmp_path / "files", tmp_path)}
    ours = {(name, hit.kind) for name, text in texts.items() for hit in search.search_deeply(text.encode(), path=name)}
    assert {name for name, _ in others} == set(texts), "the judge sees what was planted"
    assert not_found(others, ours) == set()


def not_found(others: set[tuple[Any, str]], ours: set[tuple[Any, str]]) -> set[tuple[Any, str]]:
    """Return what only the judge found; a "generic" key that we name more exactly is found."""
    places = {place for place, _ in ours}
    return {(place, kind) for place, kind in others - ours if kind != "generic-api-key" or place not in places}


def found_by(gitleaks: Path, files: Path, scratch: Path) -> set[tuple[Path, str]]:
    report = scratch / "report.json"
    subprocess.run(
        [gitleaks, "dir", "--no-banner", "--log-level=error", "--max-decode-depth=2", "--exit-code=0",
         "--report-format=json", f"--report-path={report}", str(files)],
        check=True,
    )  # fmt: skip
    return {(Path(one["File"]), one["RuleID"]) for one in json.loads(report.read_bytes())}
