import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from buildr_jupyter.errors import BuildrError
from buildr_jupyter.pipeline.preparation import at_stage


def test_a_failure_has_the_name_of_the_innermost_stage() -> None:
    with pytest.raises(BuildrError) as caught, at_stage("build"), at_stage("export"):
        raise BuildrError("x")
    assert caught.value.stage == "export"
    with at_stage("export"):
        pass


def test_an_export_imports_nothing_that_builds_runs_or_proves(tmp_path: Path) -> None:
    notebook = tmp_path / "nb.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("n = 3"), new_code_cell("%%containerize x\nprint(n)")]), notebook)
    code = (
        "import sys\nfrom buildr_jupyter import cli\n"
        f"assert cli.main(['export', {str(notebook)!r}, '--out', {str(tmp_path / 'out')!r}]) == 0\n"
        "print(*(name for name in sys.modules if name.startswith('buildr_jupyter.')))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    loaded = set(ran.stdout.split())
    assert "buildr_jupyter.pipeline.preparation" in loaded
    heavy = {"pipeline.stages", "pipeline.verify", "pipeline.sweeps", "engine.connection", "oci.image", "runner.sweep"}
    assert not {f"buildr_jupyter.{name}" for name in (*heavy, "ui.plain", "journal.journal")} & loaded
