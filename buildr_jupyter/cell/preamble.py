"""The few lines at the head of main.py that run the notebook's own code as the kernel did."""

from __future__ import annotations

__all__ = ["MARK", "render_preamble"]

MARK = "# %% "
"""What a block's first line begins with, in the way of many editors."""

# Lines that begin with a letter and a bar are there only for the programs that need them: (a)wait at top
# level, or (p)lain, (h)idden code,
# (f)igures, cells that may fail as they may have done in the (n)otebook, and no such (x) cells
_TEMPLATE = """\
# Made by buildr: {title}. This runs the blocks below as the kernel did; only the last prints.
def _buildr_run(scope, own=False, name=None, failed=None):
    import ast, codeop, linecache, os, re, signal, sys, traceback
    if os.getpid() == 1 and (child := os.fork()):  # process 1 is shielded from signals: a child works, this one relays
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.kill(child, number))
        code = next(os.waitstatus_to_exitcode(status) for pid, status in iter(os.wait, None) if pid == child)
        os._exit(code if code >= 0 else 128 - code)
f|    def show(*_, **__):  # a notebook draws and closes its figures at show() and at the end of each cell
f|        pyplot, folder = sys.modules.get("matplotlib.pyplot"), os.environ.get("BUILDR_OUTPUT_DIR", "output")
f|        for number in pyplot.get_fignums() if pyplot and own else ():
f|            os.makedirs(folder, exist_ok=True)
f|            pyplot.figure(number).savefig(f"{{folder}}/figure-{{len(os.listdir(folder)) + 1}}.png")
f|        pyplot and pyplot.close("all")
f|    backend = sys.modules["buildr_backend"] = type(sys)("buildr_backend")  # draws as Agg does
f|    backend.__getattr__ = lambda name: getattr(__import__("matplotlib.backends.backend_agg", fromlist="*"), name)
f|    backend.show, os.environ["MPLBACKEND"] = show, "module://buildr_backend"
    blocks, compiler = "".join(linecache.getlines(__file__)).split("\\n{mark}")[1:], codeop.Compile()
    stdout = scope["_buildr_stdout"] = os.dup(1)
    os.dup2(2, 1)  # what the other cells print goes to standard error
a|    import asyncio; loop, compiler.flags = asyncio.new_event_loop(), compiler.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    for block in blocks:
        (name, line, text), previous = re.match(r"(.*), line (\\d+)\\n([^\\0]*)", block).groups(), name
h|        text = re.sub("(?m)^#: ?", "", text)  # code that Python takes in no file: await, a late __future__
        lines = [*(lines := linecache.getlines(name)), *["\\n"] * (int(line) - 1 - len(lines)), *text.splitlines(True)]
        linecache.cache[name] = 0, None, lines, name  # for tracebacks
n|        if name == failed and block not in blocks[-{own}:]: continue
f|        name == previous or show()
        if block is blocks[-{own}]: own = not sys.stdout.flush() and os.dup2(stdout, 1) == 1
        how = {how}
        try:
            code = compiler(ast.increment_lineno(ast.parse(text, name, how), int(line) - 1), name, how)
p|            eval(code, scope)
a|            value = eval(code, scope); code.co_flags & 128 and loop.run_until_complete(value)  # a coroutine
        except BaseException as error:
            if own and isinstance(error, SystemExit): raise
            traceback.print_exception(error.with_traceback(error.__traceback__.tb_next))
x|            sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)
n|            if own or isinstance(error, KeyboardInterrupt): sys.exit(1 if isinstance(error, Exception) else 130)
n|            failed = name  # in the notebook, too, the rest of that cell did not happen
f|    show()
raise SystemExit(_buildr_run(globals()))  # all that follows was run by this
"""


def render_preamble(
    *,
    title: str,
    own: int = 1,
    shown: bool = False,
    mark: str = MARK,
    tolerant: bool = False,
    awaits: bool = False,
    figures: bool = False,
    hidden: bool = False,
) -> str:
    """Return the head of main.py, at most 40 lines."""
    flags = {"a": awaits, "f": figures, "n": tolerant, "x": not tolerant, "p": not awaits, "h": hidden}
    how = '"single" if block is blocks[-1] else "exec"  # the last expression is shown' if shown else '"exec"'
    lines = []
    for line in _TEMPLATE.format(title=title, own=own, mark=mark, how=how).splitlines():
        if line[1:2] == "|":
            if flags[line[0]]:
                lines.append(line[2:])
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"
