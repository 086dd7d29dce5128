"""Makes ``buildr_jupyter/leak_rules.json`` from gitleaks' own configuration: ``python -m tests.engines.leakrules``.

gitleaks' rules are written for Go's RE2. What differs in Python's ``re`` is turned here, once, so that the package only
reads and compiles: flags in the middle of a pattern, ``\\z``, a leading optional run that costs time and decides
nothing, and a leading "any of the next lines", which a backtracking engine reads in quadratic time: it becomes the
rule's ``near``, a pattern that stands at most so many line ends before. No rule is left out.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from tests.engines.gotools import TOOLS

TARGET = Path(__file__).parents[2] / "buildr_jupyter" / "secretscan" / "leak_rules.json"
_NEAR = re.compile(r"(\\bcurl\\b)\(\?:\.\*\??\|\.\*\??\(\?:\[\\r\\n\]\{1,2\}\.\*\??\)\{1,(\d)\}\)")
"""``curl``, then anything up to the end of so many lines."""
_LEADING_RUN = "[\\w.-]{0,50}?"


def read_config() -> dict[str, Any]:
    """Return gitleaks' default configuration at the pinned version; the Go client fetches the module."""
    tool = TOOLS["gitleaks"]
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "go.mod").write_text("module x\n\ngo 1.24\n")
        done = subprocess.run(
            ["go", "mod", "download", "-json", f"{tool.module}@{tool.version}"],
            cwd=scratch,
            env={**os.environ, "GOFLAGS": "-mod=mod"},
            capture_output=True,
            check=True,
        )
    folder = Path(json.loads(done.stdout)["Dir"])
    return tomllib.loads((folder / "config" / "gitleaks.toml").read_text(encoding="utf-8"))


def to_python(pattern: str) -> str:
    """Return an RE2 pattern as Python's ``re`` takes it: ``(?i)`` reaches to the end of its group."""
    pattern = pattern.replace("\\z", "\\Z").replace("[[:alnum:]]", "[0-9A-Za-z]")
    leading = pattern.startswith("(?i)" + _LEADING_RUN)
    if leading:
        pattern = "(?i)" + pattern.removeprefix("(?i)" + _LEADING_RUN)
    result, open_flags, at, in_class = [], [0], 0, False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            result.append(pattern[at : at + 2])
            at += 2
            continue
        if in_class:
            in_class = char != "]"
            result.append("\\[" if char == "[" else char)
        elif char == "[":
            in_class = True
            result.append(char)
            if pattern[at + 1 : at + 2] == "]":
                result.append("\\]")
                at += 1
            elif pattern[at + 1 : at + 3] == "^]":
                result.append("^\\]")
                at += 2
        elif flag := re.match(r"\(\?([ims]+)\)", pattern[at:]):
            result.append(f"(?{flag[1]}:")
            open_flags[-1] += 1
            at += len(flag[0])
            continue
        elif char == "(":
            open_flags.append(0)
            result.append(char)
        elif char == ")":
            result.append(")" * (open_flags.pop() + 1))
        else:
            result.append(char)
        at += 1
    return "".join(result) + ")" * open_flags[0]


def make() -> dict[str, Any]:
    """Return the rules as the package keeps them.

    id, pattern, keywords (one is in every match), and where there is one: entropy, ``path`` (of the files it is for),
    ``group``, ``near`` and ``near_lines``, ``run`` (a name may stand before the match and belongs to it), and what is
    no finding: ``allowed`` (patterns of the value), ``allowed_match``, ``allowed_line``, ``stopwords``.
    """
    config = read_config()
    rules = []
    for rule in config["rules"]:
        if "regex" not in rule:  # a name of a file alone: the guard has them
            continue
        pattern, made = rule["regex"], {}
        if near := _NEAR.match(pattern):
            made |= {"near": near[1], "near_lines": 2 * int(near[2])}
            pattern = pattern[near.end() :]
        if pattern.startswith("(?i)" + _LEADING_RUN):
            made["run"] = True
        made = {"id": rule["id"], "pattern": to_python(pattern), "keywords": sorted(rule["keywords"]), **made}
        for others, ours in (("entropy", "entropy"), ("secretGroup", "group")):
            if value := rule.get(others):
                made[ours] = value
        if path := rule.get("path"):
            made["path"] = to_python(path)
        for listed in rule.get("allowlists", []):
            if "paths" in listed:  # of recipes of other build systems: to find more there is no fault
                continue
            target = {"match": "allowed_match", "line": "allowed_line"}.get(listed.get("regexTarget", ""), "allowed")
            made.setdefault(target, []).extend(to_python(one) for one in listed.get("regexes", []))
            made.setdefault("stopwords", []).extend(listed.get("stopwords", []))
        made = {name: value for name, value in made.items() if value != []}
        for one in (made["pattern"], *(one for name in made if name.startswith("allowed") for one in made[name])):
            re.compile(one.encode())
        rules.append(made)
    return {
        "source": f"{TOOLS['gitleaks'].module}@{TOOLS['gitleaks'].version} config/gitleaks.toml",
        "license": "MIT, Copyright (c) 2019 Zachary Rice",
        "allowed": [to_python(one) for one in config["allowlist"]["regexes"]],
        "stopwords": config["allowlist"]["stopwords"],
        "rules": rules,
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make(), indent=1) + "\n", encoding="utf-8")
    print(f"{TARGET.name}: {len(make()['rules'])} rules")
