"""Notebooks with deep and mutual recursion, generators and callbacks, in the shapes that people write them."""

from __future__ import annotations

__all__ = ["PROGRAMS"]


def _chain(count: int) -> list[str]:
    """Return functions of which each calls the one before twice."""
    steps = ["def step0(items):\n    items.append(1)\n    return len(items)"]
    steps += [
        f"def step{n}(items):\n    first = step{n - 1}(items)\n    return first + step{n - 1}(items[:1])"
        for n in range(1, count)
    ]
    return [*steps, "kept = []", f"total = step{count - 1}(kept)", "print(len(kept), total)"]


def _mutual(count: int) -> list[str]:
    """Return functions that all call each other."""
    names = [f"visit{n}" for n in range(count)]
    bodies = [
        f"def {name}(tree, seen):\n    seen.setdefault({number}, []).append(tree)\n"
        + "".join(f"    if tree > {other}: {called}(tree - 1, seen)\n" for other, called in enumerate(names))
        for number, name in enumerate(names)
    ]
    return [*bodies, "seen = {}", f"{names[-1]}(3, seen)", "print(sorted(seen))"]


_PARSER = [
    "import re\ntokens = []\nposition = 0",
    (
        "def peek(): return tokens[position] if position < len(tokens) else None\n"
        "def take():\n    global position\n    position += 1\n    return tokens[position - 1]"
    ),
    (
        "def factor():\n    if peek() == '(':\n        take(); value = expression(); take()\n        return value\n"
        "    return int(take())\n"
        "def term():\n    value = factor()\n    while peek() in ('*', '/'):\n"
        "        value = value * factor() if take() == '*' else value / factor()\n    return value\n"
        "def expression():\n    value = term()\n    while peek() in ('+', '-'):\n"
        "        value = value + term() if take() == '+' else value - term()\n    return value"
    ),
    "tokens.extend(re.findall(r'\\d+|[-+*/()]', '2*(3+4)-5'))",
    "print(expression())",
]
_TREE = [
    (
        "class Node:\n    def __init__(self, key, left=None, right=None):\n        self.key, self.left, self.right = key, left, right\n"
        "    def insert(self, key):\n        side = 'left' if key < self.key else 'right'\n        child = getattr(self, side)\n"
        "        if child is None: setattr(self, side, Node(key))\n        else: child.insert(key)\n"
        "    def walk(self):\n        if self.left: yield from self.left.walk()\n        yield self.key\n"
        "        if self.right: yield from self.right.walk()\n    def depth(self):\n"
        "        return 1 + max((child.depth() for child in (self.left, self.right) if child), default=0)"
    ),
    "root = Node(5)\nfor key in (2, 8, 1, 9, 3): root.insert(key)",
    "print(list(root.walk()), root.depth())",
]
_VISITOR = [
    (
        "class Visitor:\n    def visit(self, node):\n        return getattr(self, 'visit_' + node[0], self.generic)(node)\n"
        "    def generic(self, node): return [self.visit(child) for child in node[1:] if isinstance(child, tuple)]"
    ),
    (
        "class Printer(Visitor):\n    def __init__(self): self.lines = []\n"
        "    def visit_add(self, node):\n        self.generic(node)\n        self.lines.append('add')\n"
        "    def visit_num(self, node): self.lines.append(str(node[1]))\n    def visit_mul(self, node): return self.visit_add(node)"
    ),
    "tree = ('add', ('num', 1), ('mul', ('num', 2), ('num', 3)))\nprinter = Printer()",
    "printer.visit(tree)",
    "print(printer.lines)",
]
_MEMO = [
    "from functools import lru_cache, reduce\ncalls = []",
    "@lru_cache(maxsize=None)\ndef fib(n):\n    calls.append(n)\n    return n if n < 2 else fib(n - 1) + fib(n - 2)",
    "def compose(*functions): return reduce(lambda f, g: lambda x: f(g(x)), functions)",
    "pipeline = compose(*[lambda x, n=n: x + fib(n) for n in range(12)])",
    "print(pipeline(1), len(calls))",
]
_GENERATORS = [
    "def numbers(limit):\n    for n in range(limit): yield n",
    *(f"def stage{n}(source):\n    for item in source:\n        yield from (item, item + {n})" for n in range(12)),
    "stream = numbers(3)",
    *(f"stream = stage{n}(stream)" for n in range(12)),
    "print(sum(1 for _ in stream))",
]
_CALLBACKS = [
    "handlers = {}\nlog = []",
    (
        "def on(event):\n    def register(function):\n        handlers.setdefault(event, []).append(function)\n        return function\n"
        "    return register\ndef emit(event, *given):\n    for handler in handlers.get(event, []): handler(*given)"
    ),
    *(
        f"@on({n})\ndef handle{n}(value):\n    log.append(value)\n    if value < 4: emit({(n + 1) % 10}, value + 1)"
        for n in range(10)
    ),
    "emit(0, 1)",
    "print(log)",
]
_SEARCH = [
    "board = [[0] * 6 for _ in range(6)]\nsolutions = []",
    "def safe(row, column): return not any(board[row][c] or any(board[r][column] for r in range(6)) for c in range(column))",
    (
        "def place(row):\n    if row == 3:\n        solutions.append([line[:] for line in board])\n        return\n"
        "    for column in range(6):\n        if safe(row, column):\n            board[row][column] = 1\n            place(row + 1)\n"
        "            board[row][column] = 0"
    ),
    "def count(found=solutions): return len(found) if found else (place(0), count())[1]",
    "print(count())",
]
_HELD = [
    "from graphs import Op\nseen = []",
    (
        "class Node(Op):\n    def perform(self, x):\n        seen.append(x)\n        return [other(x) for other in self.others]\n"
        "    def __call__(self, *given): return self.perform(*given)"
    ),
    "\n".join(f"op{n} = Node()" for n in range(6)),
    "\n".join(f"op{n}.others = [op0, op1, op2, op3, op4, op5]" for n in range(6)),
    "made = op0(1)",
    "print(seen)",
]

PROGRAMS: dict[str, list[str]] = {
    "a chain of calls": _chain(26),
    "mutual recursion": _mutual(10),
    "a parser": _PARSER,
    "a tree": _TREE,
    "a visitor": _VISITOR,
    "memoized closures": _MEMO,
    "generators": _GENERATORS,
    "callbacks": _CALLBACKS,
    "a search": _SEARCH,
    "objects of a library": _HELD,
}
"""Name to the cells; the last one prints."""
