"""gitleaks, by other authors, judges what the guard finds: the same credentials in the same lines, and no fewer."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from buildr_jupyter import leaks
from tests.engines._process import EngineStartError
from tests.engines.gotools import tool
from tests.fakes.credentials import OWN_KINDS, fakes


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
    report = tmp_path / "report.json"
    subprocess.run(
        [gitleaks, "dir", "--no-banner", "--log-level=error", "--max-decode-depth=2", "--exit-code=0",
         "--report-format=json", f"--report-path={report}", str(tmp_path / "files")],
        check=True,
    )  # fmt: skip
    theirs = {
        (Path(one["File"]).relative_to(tmp_path / "files"), one["RuleID"]) for one in json.loads(report.read_bytes())
    }
    ours = {
        (path.relative_to(tmp_path / "files"), hit.kind)
        for path in (tmp_path / "files").rglob("*.py")
        for hit in leaks.search_deeply(path.read_bytes())
    }
    # Its rule for any assignment to a name like "key" is not ours: it alarms on ordinary code.
    assert {one for one in theirs if one[1] != "generic-api-key"} <= ours
    expected = {fake.kind for fake in made} - set(OWN_KINDS)
    assert {kind for path, kind in theirs if path.name == "plain.py"} >= expected, "the judge sees what was planted"
    print(f"{len(made)} credentials; gitleaks {len(theirs)} findings, ours {len(ours)}")
