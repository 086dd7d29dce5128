"""What stays in the saved notebook: the end as static HTML and as plain text: no script, no style sheet."""

from __future__ import annotations

import html

from buildr_jupyter.ui.pane.view_model import ResultView, RunRow, RunsView, View, WentIn
from buildr_jupyter.ui.sanitize import show_count

__all__ = ["render_record_html", "render_record_text"]

_MARKS = {"done": "✓", "cached": "≡", "failed": "✗", "cancelled": "-", "running": "▸", "waiting": "·"}
_LEFT = 'style="text-align:left"'
_VALUE = 'style="text-align:left;white-space:normal;overflow-wrap:anywhere"'  # a digest is wider than a narrow page
_PRE = 'style="white-space:pre-wrap;overflow-wrap:anywhere"'


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f} s" if value < 60 else f"{int(value // 60)} min {int(value % 60)} s"


def _head(view: View) -> str:
    mark = _MARKS[view["status"]]
    said = view["said"] if view["status"] != "waiting" else "starting"
    when = "" if view["status"] not in ("waiting", "running") else " when this was saved"
    return f"{mark} {view['title']} · {said}{when} · {_seconds(view['elapsed'])}"


def _summary(result: ResultView) -> str:
    cached = f"{result['cached']} of {result['steps']} steps cached" if result["cached"] else ""
    steps = "nothing had changed" if result["same"] else cached
    digest = result["digest"][:19] + "…" if result["digest"] else ""
    return " · ".join(
        part for part in (result["image"], digest, result["size"], f"{result['seconds']} s", steps) if part
    )


def _facts(result: ResultView) -> list[tuple[str, str]]:
    facts = [
        ("image id" if result["is_id"] else "digest", result["digest"]),
        ("pushed", ", ".join(result["pushed"])), ("archive", result["archive"]),
        ("exit code", "" if result["exit"] is None else str(result["exit"])), ("run it", result["command"]),
        ("files", result["files"]), ("proof", result["proof"]), *(("widened", why) for why in result["widened"]),
    ]  # fmt: skip
    return [fact for fact in facts if fact[1]]


def _went_in(result: ResultView) -> str:
    """Return the line that sums up what went in; empty where that is not known."""
    parts = "; ".join(part["title"] for part in result["went"])
    return f"what went in: {parts}" if parts else ""


def _step_lines(view: View) -> list[str]:
    lines = [f"… {view['more_steps']} steps before"] if view["more_steps"] else []
    for step in view["steps"]:
        number = f"[{step['number']}] " if step["number"] else ""
        note = step["status"] if step["status"] == "cached" else _seconds(step["took"])
        lines.append(f"{_MARKS[step['status']]} {number}{step['title']}{f'  {note}' if note else ''}")
    return lines


def _count(runs: RunsView) -> str:
    counts = ", ".join(f"{count} {phase}" for phase, count in runs["counts"].items())
    more = f"; {len(runs['rows'])} of them are shown" if len(runs["rows"]) < runs["total"] else ""
    return f"{show_count(runs['total'], 'run')}: {counts}{more}"


def _run_cells(row: RunRow, names: list[str]) -> list[str]:
    state = f"{row['phase']}, before" if row["before"] else row["phase"]
    returned = [row["returned"].get(name, "") for name in names]
    return [str(row["number"]), row["inputs"], state, _seconds(row["took"]), *returned, row["reason"]]


def _run_lines(runs: RunsView) -> list[str]:
    rows = ["  ".join(cell for cell in _run_cells(row, runs["names"]) if cell) for row in runs["rows"]]
    return [_count(runs), *rows]


def _runs_html(runs: RunsView) -> str:
    names = ["", "inputs", "state", "time", *runs["names"], ""]
    head = "".join(f"<th {_LEFT}>{html.escape(name)}</th>" for name in names)
    rows = "".join(
        "<tr>" + "".join(f"<td {_LEFT}>{html.escape(cell)}</td>" for cell in _run_cells(row, runs["names"])) + "</tr>"
        for row in runs["rows"]
    )
    return f"<div>{html.escape(_count(runs))}</div><table><tr>{head}</tr>{rows}</table>"


def render_record_text(view: View) -> str:
    """Return the state as plain text; ``view`` is what ``make_view`` gives."""
    result, error = view["result"], view["error"]
    lines = [f"✓ {_summary(result)}" if result else _head(view)]
    if error:
        lines += [f"{error['kind']}: {error['text']}"]
        lines += [f"  hint: {error['hint']}"] if error["hint"] else []
        lines += [f"  use instead: {error['instead']}"] if error["instead"] else []
    lines += [f"warning: {text}{f' ({hint})' if hint else ''}" for text, hint in view["warnings"]]
    lines += [f"  {name}: {value}" for name, value in _facts(result)] if result else []
    lines += [f"  {title}"] if result and (title := _went_in(result)) else []
    lines += [f"  {line}" for line in _run_lines(runs)] if (runs := view.get("runs")) else []
    lines += [f"  {line}" for line in _step_lines(view)]
    lines += [f"    | {line}" for line in error["tail"]] if error else []
    lines += view.get("output", [])
    return "\n".join(lines)


def _table_html(part: WentIn) -> str:
    rows = [*part["rows"], *([[f"… and {part['more']} more"]] if part["more"] else [])]
    cells = ("".join(f"<td {_VALUE}>{html.escape(text)}</td>" for text in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<div><b>{html.escape(part['title'])}</b></div><table>{body}</table>"


def render_record_html(view: View, mark: str = "") -> str:
    """Return the state as HTML, every text escaped. ``mark`` is the class by which the page's script finds it."""
    result, error = view["result"], view["error"]
    parts = []
    if result:
        facts = "".join(
            f"<tr><th {_LEFT}>{name}</th><td {_VALUE}><code>{html.escape(value)}</code></td></tr>"
            for name, value in _facts(result)
        )
        parts.append(f"<div>✓ <b>{html.escape(_summary(result))}</b></div><table>{facts}</table>")
    else:
        parts.append(f"<div><b>{html.escape(_head(view))}</b></div>")
    if error:
        parts.append(
            f"<div><b>{html.escape(error['kind'])}</b>: <span {_PRE}>{html.escape(error['text'])}</span></div>"
        )
        if error["hint"]:
            parts.append(f"<div>hint: {html.escape(error['hint'])}</div>")
        if error["instead"]:
            parts.append(f"<div>use instead: <code>{html.escape(error['instead'])}</code></div>")
    parts += [
        f"<div>⚠ {html.escape(text)}{html.escape(f' ({hint})') if hint else ''}</div>"
        for text, hint in view["warnings"]
    ]
    if result and (title := _went_in(result)):
        tables = "".join(map(_table_html, result["went"]))
        parts.append(f"<details><summary>{html.escape(title)}</summary>{tables}</details>")
    if runs := view.get("runs"):
        parts.append(_runs_html(runs))
    if steps := _step_lines(view):
        block = f"<pre {_PRE}>{html.escape(chr(10).join(steps))}</pre>"
        count = show_count(len(view["steps"]) + view["more_steps"], "step")
        parts.append(f"<details><summary>{count}</summary>{block}</details>" if result else block)
    if error and error["tail"]:
        parts.append(f"<pre {_PRE}>{html.escape(chr(10).join(error['tail']))}</pre>")
    if any(view.get("output", [])):
        parts.append(f"<pre {_PRE}>{html.escape(chr(10).join(view['output']))}</pre>")
    classes = f"buildr-record {mark}".strip()
    return f'<div class="{html.escape(classes)}">{"".join(parts)}</div>'
