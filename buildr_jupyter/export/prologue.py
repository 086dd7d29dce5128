"""The few lines at the head of main.py that run the notebook's own code as the kernel did.

Where a carried statement fails: if it is known that its cell did not fail in the notebook, the program cannot be what
the cell was, and ends with status 1. If that is not known, as in a file whose outputs are stripped, the rest of that
cell is passed over, for in the notebook it would not have happened either; the traceback goes to standard error, and
the blocks of the other cells run, as a person would have run them. A name that is then missing ends the chosen cell
with its own NameError, so that a wrong output cannot follow from it unseen.
"""

from __future__ import annotations

__all__ = ["MARK", "render_preamble"]

MARK = "# %% "
"""What a block's first line begins with, in the way of many editors."""

# Lines that begin with a letter and a bar are there only for the programs that need them: (a)wait at top level, or
# (p)lain, (h)idden code, a notebook's folder to (c)hange into, (m)oves to other folders, (f)igures, cells that may fail
# as they may have done in the (n)otebook, and no such (x) cells, a module's (d)ocumentation
_TEMPLATE = """\
# Made by buildr: {title}. This runs the blocks below as the kernel did; only the last prints.
def _buildr_run(scope, own, name, failed):
    import ast, atexit, codeop, io, itertools, linecache, os, re, signal, sys, traceback; sys.dont_write_bytecode = True
    if os.getpid() == 1 and (pid := os.fork()):  # process 1 is shielded from signals: a child works, this one relays
        for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, lambda number, _: os.kill(pid, number))
        os._exit(next(c if (c := os.waitstatus_to_exitcode(s))>=0 else 128-c for p, s in iter(os.wait, 0) if p == pid))
c|    os.makedirs(folder := os.path.join(os.path.dirname(__file__), {folder!r}), exist_ok=True)  # the notebook's own
c|    os.chdir(folder); sys.path[0] = os.getcwd()
m|    sys.path.insert(1, "")  # a kernel imports from the folder that it is in
f|    shows = lambda: vars(sys.modules.get("matplotlib", sys)).get("rcParams", {{}}).get("backend", "")[:7] == "module:"
f|    def show(*_, to=os.path.abspath(os.environ.get("BUILDR_OUTPUT_DIR", "output")), count=itertools.count(1), **__):
f|        for one in gcf.Gcf.get_all_fig_managers() if (gcf := sys.modules.get("matplotlib._pylab_helpers")) else ():
f|            try:
f|                png = own and ((figure := one.canvas.figure).axes or figure.lines or shows() and print(repr(figure)))
f|                file = os.makedirs(to, exist_ok=True) or f"{{to}}/figure-{{next(count)}}.png" if png else io.BytesIO()
f|                one.canvas.figure.savefig(file, bbox_inches="tight")
f|            except Exception as error: print("buildr: a figure is not kept:", error, file=sys.stderr)
f|            gcf.Gcf.destroy(one.num)  # as a notebook does at show() and at the end of each cell
f|    agg = property(lambda _: vars(__import__("matplotlib.backends.backend_agg", fromlist="*")) | {{"show": show}})
f|    backend = type("Backend", (type(sys),), {{"__dict__": agg, "__getattr__": lambda one, name: vars(one).get(name)}})
f|    sys.modules["buildr_backend"], os.environ["MPLBACKEND"] = backend("buildr_backend"), "module://buildr_backend"
r|    def give():
r|        try: scope["_buildr_returns"]["write"](scope, {returns!r}, scope["_buildr_output"])
r|        except Exception as error: sys.exit(print("buildr: --return", error, file=sys.stderr) or 1)
    stdout, close = os.dup(1), lambda: sys.stdout.flush() or sys.__stdout__.flush() or os.dup2(2, 1)
    scope["_buildr_stdout"] = close() and stdout  # what the other cells print, also at the exit, goes to standard error
    blocks, compiler = "".join(linecache.getlines(__file__)).split("\\n{mark}")[1:], codeop.Compile()
a|    import asyncio; loop, compiler.flags = asyncio.new_event_loop(), compiler.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
a|    async def run(code): value = eval(code, scope); code.co_flags & 128 and await value  # in the loop, as in a kernel
    for block in blocks:
        (name, line, text), previous = re.match(r"(.*), line (\\d+)\\n([^\\0]*)", block).groups(), name
h|        text = re.sub("(?m)^#: ?", "", text)  # code that Python takes in no file: await, a late __future__
        lines = [*(lines := linecache.getlines(name)), *["\\n"] * (int(line) - 1 - len(lines)), *text.splitlines(True)]
        linecache.cache[name], how = (0, None, lines, name), {how}
n|        if name == failed and block not in blocks[-{own}:]: continue  # nor did it happen in the notebook
f|        name == previous or not shows() or show()  # another backend than the notebook's leaves figures to later cells
        if block is blocks[-{own}]: own = not sys.stdout.flush() and atexit.register(close) is close{opened}
        try:
            code = compiler(ast.increment_lineno(ast.parse(text, name, how), int(line) - 1), name, how)
p|            eval(code, scope)
a|            loop.run_until_complete(run(code))
        except BaseException as e:
r|            if own and isinstance(e, SystemExit) and not e.code: give()
            if own and isinstance(e, SystemExit): raise
            while (t := e.__traceback__).tb_next and name != t.tb_frame.f_code.co_filename: e.__traceback__ = t.tb_next
            failed = traceback.print_exception(e) or name
x|            sys.exit(130 if isinstance(e, KeyboardInterrupt) else 1)
n|            if own or isinstance(e, KeyboardInterrupt): sys.exit((130, 1)[isinstance(e, Exception)])
f|    show()
r|    give()
_buildr_run = type(_buildr_run)(_buildr_run.__code__, dict(globals()), "", (0, "", ""))  # the notebook may bind len
d|__doc__ = "Automatically created module for IPython interactive environment"  # what a kernel's module has
del __file__; raise SystemExit(_buildr_run(globals()))  # a notebook has none; all that follows was run by this
"""


def render_preamble(
    *,
    title: str,
    own: int = 1,
    shown: int = 0,
    mark: str = MARK,
    tolerant: bool = False,
    awaits: bool = False,
    figures: bool = False,
    hidden: bool = False,
    captured: bool = False,
    documented: bool = False,
    moves: bool = False,
    folder: str = "",
    returns: tuple[str, ...] = (),
) -> str:
    """Return the head of main.py, at most 49 lines, and one more for a program that reads ``__doc__``.

    ``documented`` gives it the one that a kernel's module has. ``captured`` keeps what the chosen cell prints off
    standard output, as its own ``%%capture`` does; ``folder`` is the notebook's, relative to that of main.py, empty
    where that is the same. ``shown`` says of how many blocks at the end the expressions are shown.
    """
    flags = {
        "c": bool(folder),
        "a": awaits,
        "f": figures,
        "n": tolerant,
        "x": not tolerant,
        "p": not awaits,
        "h": hidden,
        "d": documented,
        "r": bool(returns),
        "m": moves,
    }
    how = '"single" if block is blocks[-1] else "exec"' if shown else '"exec"'  # single: the expression is shown
    if shown > 1:
        how = f'"single" if block in blocks[-{shown}:] else "exec"'
    opened = "" if captured else " and os.dup2(stdout, 1) == 1"
    lines = []
    for line in _TEMPLATE.format(
        title=title, own=own, mark=mark, how=how, opened=opened, folder=folder, returns=returns
    ).splitlines():
        if line[1:2] == "|":
            if flags[line[0]]:
                lines.append(line[2:])
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"
