"""The few lines at the head of main.py that run the notebook's own code as the kernel did."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["MARK", "render_preamble"]

MARK = "# %% "
"""What a block's first line begins with, in the way of many editors."""

_HEAD = '''\
def _buildr_run(scope):
    """Run the blocks below as the kernel did: standard output is the last cell's alone."""
    import ast, codeop, linecache, os, signal, sys, traceback

    if os.getpid() == 1:  # process 1 is shielded from signals: a child does the work, this process passes them on
        signals = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        if child := os.fork():
            for number in signals:
                signal.signal(number, lambda number, frame: os.kill(child, number))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
            while (ended := os.wait())[0] != child:
                pass
            os._exit(code if (code := os.waitstatus_to_exitcode(ended[1])) >= 0 else 128 - code)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
'''
_LOOP = """\
    stdout, cells, compiler = os.dup(1), {{}}, codeop.Compile()
    os.dup2(2, 1)  # what the other cells print goes to standard error
    for block in (blocks := open(__file__, encoding="utf-8").read().split("\\n{mark}")[1:]):
        (name, _, line), text = block[: block.index("\\n")].rpartition(", line "), block[block.index("\\n") + 1 :]
        (lines := cells.setdefault(name, [])).extend(["\\n"] * (int(line) - 1 - len(lines)) + text.splitlines(True))
        linecache.cache[name] = len(text), None, lines, name
        tree = ast.increment_lineno(ast.parse(text, name), int(line) - 1)
"""
_SKIP = "        if name == failed and block is not blocks[-1]:\n            continue\n"
_EXEC = """\
        try:
            shown = tree.body.pop() if block is blocks[-1] and isinstance((tree.body or [0])[-1], ast.Expr) else None
            exec(compiler(tree, name, "exec"), scope)
            if shown and (value := eval(compiler(ast.Expression(shown.value), name, "eval"), scope)) is not None:
                print(repr(value))
"""
_EXEC_AWAIT = """\
        try:
            shown = tree.body.pop() if block is blocks[-1] and isinstance((tree.body or [0])[-1], ast.Expr) else None
            for part, how in ((tree, "exec"), (shown and ast.Expression(shown.value), "eval")):
                value = part and eval(code := compiler(part, name, how), scope)
                value = loop.run_until_complete(value) if part and code.co_flags & inspect.CO_COROUTINE else value
            if value is not None:
                print(repr(value))
"""
_EXCEPT = """\
        except BaseException as error:
            if isinstance(error, SystemExit) and block is blocks[-1]:
                raise
            frames = error.__traceback__
            while frames and frames.tb_frame.f_code.co_filename == __file__:
                frames = frames.tb_next
            traceback.print_exception(error.with_traceback(frames))
"""
_STRICT = "            sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)\n"
_TOLERANT = """\
            if block is blocks[-1] or isinstance(error, KeyboardInterrupt):
                sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)
            failed = name  # in the notebook, too, the rest of that cell did not happen
"""
_FIGURES = '''\
def _buildr_show(*_, save=True, **__):
    """Close the open figures, as a notebook does at show() and after a cell; the last cell's are written first."""
    import os, pathlib, sys

    pyplot, folder = sys.modules.get("matplotlib.pyplot"), pathlib.Path(os.environ.get("BUILDR_OUTPUT_DIR", "output"))
    for number in pyplot.get_fignums() if pyplot and save else ():
        folder.mkdir(parents=True, exist_ok=True)
        pyplot.figure(number).savefig(folder / f"figure-{len([*folder.glob('figure-*')]) + 1}.png")
    if pyplot:
        pyplot.close("all")


'''


def render_preamble(
    *,
    title: str,
    mark: str = MARK,
    tolerant: bool = False,
    awaits: bool = False,
    figures: bool = False,
    extra: Sequence[str] = (),
) -> str:
    """Return the head of main.py.

    ``tolerant``: how the other cells ended is not known, so a failed one is left as the notebook would leave it.
    ``extra``: lines that come before the first block, inside ``_buildr_run``.
    """
    parts = [f"# Made by buildr: {title}. The notebook's code stands below, each block headed by its cell and line.\n"]
    if figures:
        parts.append(_FIGURES)
    parts.append(_HEAD)
    parts.extend(f"    {line}\n" for line in extra)
    if figures:
        parts.append(
            '    backend = sys.modules["buildr_backend"] = type(sys)("buildr_backend")  # draws as Agg does\n'
            "    backend.__getattr__ = lambda name: getattr(__import__("
            '"matplotlib.backends.backend_agg", fromlist=["*"]), name)\n'
            '    os.environ["MPLBACKEND"] = "module://buildr_backend"\n'
        )
    if tolerant:
        parts.append("    failed = None\n")
    if awaits:
        parts.append("    import asyncio, inspect\n\n    loop = asyncio.new_event_loop()\n")
    loop = _LOOP.format(mark=mark)
    if awaits:
        loop = loop.replace("    for block", "    compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT\n    for block")
    parts.append(loop)
    if tolerant:
        parts.append(_SKIP)
    parts.append("        if block is blocks[-1]:\n            sys.stdout.flush()\n            os.dup2(stdout, 1)\n")
    if figures:
        parts[-1] += "            backend.show = _buildr_show\n"
    parts.append(_EXEC_AWAIT if awaits else _EXEC)
    if figures:
        parts.append("            _buildr_show(save=block is blocks[-1])\n")
    parts.append(_EXCEPT)
    parts.append(_TOLERANT if tolerant else _STRICT)
    parts.append("\n\n_buildr_run(globals())\nraise SystemExit  # all that follows was run above\n")
    return "".join(parts)
