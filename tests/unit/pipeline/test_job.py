from __future__ import annotations

import pickle
from dataclasses import fields, replace
from pathlib import Path

import pytest

from buildr_jupyter.config.options import Options
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.model.request import Mount
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.pipeline.job import BuildOrder, ExportRequest
from buildr_jupyter.pipeline.planner import CellSource, ContextSource, ScriptSource

RUN = CellRun("print(1)", "print(1)", id="cell-1", index=3)


def request(folder: Path, *, namespace: dict[str, object] | None = None, **options: object) -> ExportRequest:
    source = CellSource((RUN,), RUN, folder, "nb.ipynb", namespace)
    return ExportRequest(
        source, Options(**options), Interpreter.current(), {"TOKEN": "hush-hush"}, notebook_path=folder / "nb.ipynb"
    )  # type: ignore[arg-type]


def test_an_order_has_what_is_done_without_the_notebook(tmp_path: Path) -> None:
    asked = request(tmp_path, namespace={"x": 1}, name="reg.example/app", tags=("v1", "v2"))
    order = asked.order()
    assert [str(ref) for ref in order.refs] == ["reg.example/app:v1", "reg.example/app:v2"]
    assert (order.folder, order.context, order.own_context) == (tmp_path, asked.context, False)
    assert (order.namespace, order.notebook_path) == ({"x": 1}, tmp_path / "nb.ipynb")
    assert order.made_here is asked.made_here, "what is built is known to the whole session"


def test_a_context_is_where_it_was_named_else_in_the_cache_of_its_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert request(tmp_path, name="app", context=tmp_path / "named").context == tmp_path / "named"
    kept = request(tmp_path, name="app").context
    assert kept.parent == tmp_path / "cache" / "buildr" / "contexts"
    other = replace(RUN, id="cell-2")
    of_other = replace(request(tmp_path, name="app"), source=CellSource((other,), other, tmp_path, "nb.ipynb"))
    assert of_other.context != kept
    own = ExportRequest(ContextSource(tmp_path / "own"), Options(name="app"), Interpreter.current(), {})
    assert (own.context, own.order().own_context, own.namespace) == (tmp_path / "own", True, None)
    script = ExportRequest(ScriptSource(tmp_path / "run.py", tmp_path), Options(), Interpreter.current(), {})
    assert [str(ref) for ref in script.order().refs] == ["run:latest"]


def test_an_order_goes_to_another_process_by_the_names_of_its_fields(tmp_path: Path) -> None:
    order = request(tmp_path, namespace={"open": open}, name="app", context=tmp_path / "c").order()
    sent = pickle.loads(pickle.dumps(order.by_name()))
    assert set(sent) == {one.name for one in fields(order)} - {"environ", "builder", "namespace", "made_here"}
    assert "hush-hush" not in repr(sent)
    arrived = BuildOrder.from_names(sent, {"TOKEN": "its own"})
    assert arrived == replace(order, environ={"TOKEN": "its own"}, reads_values=False)
    assert (arrived.namespace, arrived.made_here, arrived.builder) == (None, set(), None)
    with pytest.raises(TypeError, match="unheard_of"):
        BuildOrder.from_names({**sent, "unheard_of": 1}, {})


def test_a_run_takes_what_it_is_given_by_name_from_the_environment(tmp_path: Path) -> None:
    mount = Mount(tmp_path, "/data")
    given = (("TOKEN", None), ("PLAIN", "1"), ("NOT_SET", None))
    order = request(tmp_path, name="app", run_environment=given, mounts=(mount,), memory_bytes=2**20).order()
    spec = order.run_spec("app:latest", "buildr-app")
    assert spec.environment == (("TOKEN", "hush-hush"), ("PLAIN", "1"), ("NOT_SET", ""))
    assert (spec.image, spec.name, spec.mounts, spec.memory_bytes) == ("app:latest", "buildr-app", (mount,), 2**20)
