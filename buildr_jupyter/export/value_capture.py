"""Which names come as values and not as code: parameters, literals, snapshots, and what the kernel alone knows."""

from __future__ import annotations

import ast
import sys
import types

from buildr_jupyter.analysis.slicer import Slice, Statement
from buildr_jupyter.analysis.value_origins import FRESH
from buildr_jupyter.errors import OptionError, ValueRefused
from buildr_jupyter.export import snapshot as values
from buildr_jupyter.export.ipython_syntax import kernel_name_hint
from buildr_jupyter.export.parameters import check_parameter, parameter_block, parse_default
from buildr_jupyter.export.renderer import Layout
from buildr_jupyter.model.plan import ImportUse
from buildr_jupyter.model.progress import BuildWarning

__all__ = ["Carried", "asks_kernel", "importable"]


class Carried(Layout):
    """Adds the values to the text."""

    def _choose_values(self, sliced: Slice) -> bool:
        """Take values instead of code where the code is slow or cannot run in an image; tell whether any was."""
        assert self.namespace is not None
        found = False
        asked = {*self.options.recompute, *self.params}
        for statement in sliced.kept:
            facts = statement.facts
            if statement.run == self.last or facts is None:
                continue
            duration = self.runs[statement.run].duration_s
            why = ""
            if duration is not None and duration > self.options.slow_s:
                why = f"its cell took {duration:.1f} s, more than {self.options.slow_s:g} s"
            if "input" in facts.direct or asks_kernel(statement.node):
                why = "it came from something that the image does not have"
            if not why:
                continue
            for name in sorted(facts.binds | facts.maybe):
                if name in asked or name in self.supplied or name not in self.namespace:
                    continue
                if not any(need.name == name for need in sliced.why.get(statement.number, ())):
                    continue
                value = self.namespace[name]
                if isinstance(value, (types.ModuleType, types.FunctionType, type)):
                    continue
                literal = values.as_literal(value)
                if literal is not None:
                    self.supplied.literal[name] = (literal, why)
                else:
                    self.supplied.snapshot[name] = why
                found = True
        return found

    def _ask_namespace(self, sliced: Slice) -> bool:
        """Take names that no known run gives from the kernel: by their import or as a literal; tell whether any was.

        Raises ValueRefused for a value that can be had neither way: the program would fail when it runs.
        """
        assert self.namespace is not None
        found = False
        for name, need in sorted(sliced.unresolved.items()):
            taken = name in self.supplied or name in self.known_only_to_kernel or name in self.params
            if taken or name not in self.namespace or kernel_name_hint(name) is not None or name == "display":
                continue
            value = self.namespace[name]
            where = f"{self.title(need.by.run)}, line {need.by.line}"
            if (text := importable(name, value)) is not None:
                self.known_only_to_kernel[name] = (text[0], ImportUse(text[1], text[2], where))
            elif (literal := values.as_literal(value)) is not None:
                self.supplied.literal[name] = (literal, "the kernel has it; no run that is known gave it")
                found = True
            elif name in self.evidence.given_unseen and self._take(
                name, f"{self.title(self.evidence.given_unseen[name])} gave it in a way that its text does not say"
            ):
                found = True
            elif not self.flow.star:
                kind = f"{type(value).__module__}.{type(value).__qualname__}"
                raise ValueRefused(
                    f"{where}: {name} ({kind}) is in the kernel, but no run that is known gave it",
                    hint=f"run the cell that makes it again, or take its value: --snapshot {name}",
                )
        return found

    def _choose_unrepeatable(self, sliced: Slice) -> bool:
        """Take values whose code would give others; tell whether any was.

        They came from randomness that nothing seeds or from fresh identifiers, or from a statement that reads such a
        value as it was before it changed; or the kernel has them from a run whose text does not say so.
        """
        before = len(self.supplied.snapshot) + len(self.supplied.literal), len(self.uncarried)
        for name in sorted({need.name for needs in sliced.why.values() for need in needs}):
            if (run := self.evidence.given_unseen.get(name)) is not None:
                self._take(name, f"{self.title(run)} gave it in a way that its text does not say")
        for statement in sliced.kept:
            origins = self.evidence.unrepeatable.get(statement.number)
            if statement.run == self.last or not origins:
                continue
            why = "it is a fresh identifier" if origins == {FRESH} else "it came from randomness that nothing seeds"
            for need in sliced.why.get(statement.number, ()):
                self._take(need.name, why)
        for need in sliced.conflicts:
            if need.name not in self.automatic:
                continue
            made = [one.name for one in sliced.why.get(need.by.number, ()) if one.name != need.name]
            taken = [self._take(name, f"it was made from {need.name} before that changed") for name in made]
            if not any(taken) and not any(name in self.supplied for name in made):
                self._give_up(need.name, f"what {self.title(need.by.run)} makes from it cannot be carried either")
        return before != (len(self.supplied.snapshot) + len(self.supplied.literal), len(self.uncarried))

    def _take(self, name: str, why: str) -> bool:
        """Take the value of a name instead of its code; tell whether that was done now."""
        assert self.namespace is not None
        asked = name in self.options.recompute or name in self.params or name in self.uncarried
        if asked or name in self.supplied or name not in self.namespace or not name.isidentifier():
            return False
        value = self.namespace[name]
        if isinstance(value, (types.ModuleType, types.FunctionType, type)):
            return False
        self.automatic.add(name)
        literal = values.as_literal(value)
        if literal is not None:
            self.supplied.literal[name] = (literal, why)
        else:
            self.supplied.snapshot[name] = why
        return True

    def _give_up(self, name: str, reason: str) -> None:
        """Leave a name to its code, and say so."""
        self.uncarried.add(name)
        self.automatic.discard(name)
        why = self.supplied.snapshot.pop(name, None) or self.supplied.literal.pop(name, ("", ""))[1]
        self.warnings.append(
            BuildWarning(
                f"{name}: {why}, and its value cannot be carried ({reason}): the program makes another",
                hint=f"seed it in its cell, or make {name} in the chosen cell",
            )
        )

    def _leave_uncarried(self) -> bool:
        """Leave those names to their code that were taken by themselves and cannot be carried; tell whether any was."""
        assert self.namespace is not None
        found = False
        for name in sorted(self.automatic & set(self.supplied.snapshot)):
            if (reason := values.why_not_carried(self.namespace[name])) is not None:
                self._give_up(name, reason)
                found = True
        return found

    def _parameters(self, sliced: Slice) -> None:
        if not self.params:
            return
        defaults: dict[str, object] = {}
        for name, text in self.params.items():
            if not name.isidentifier():
                raise OptionError(f"--param {name}: not a name")
            found = self._assignment(sliced, name)
            if text is not None:
                defaults[name] = parse_default(name, text)
            elif found is not None:
                defaults[name] = self._default(name, found[1])
            else:
                raise OptionError(
                    f"--param {name}: no plain assignment to {name} before the cell is used by it",
                    hint=f"give a default: --param {name}=VALUE",
                )
            given = f"_buildr_params[{name!r}]"
            if found is not None:
                self.edits.setdefault(found[0].run, []).append((found[1], given))
            else:
                self.late.append((f"parameter {name}", 1, f"{name} = {given}\n"))
        self.added.insert(0, ("parameters", 1, parameter_block(defaults, self.title(self.last))))

    def _assignment(self, sliced: Slice, name: str) -> tuple[Statement, ast.expr] | None:
        for statement in reversed(sliced.kept):
            node = statement.node
            if statement.run == self.last:
                continue
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                target: ast.expr = node.targets[0]
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                target = node.target
            else:
                continue
            if isinstance(target, ast.Name) and target.id == name and node.value is not None:
                return statement, node.value
        return None

    def _default(self, name: str, node: ast.expr) -> object:
        try:
            return check_parameter(name, ast.literal_eval(node))
        except (ValueError, TypeError, SyntaxError):
            if self.namespace is not None and name in self.namespace:
                return check_parameter(name, self.namespace[name])
        raise OptionError(
            f"--param {name}: its value in the notebook is computed", hint=f"give a default: --param {name}=VALUE"
        )

    def _snapshot(self, sliced: Slice) -> values.Snapshot | None:
        names = sorted(self.supplied.snapshot)
        if not names:
            return None
        if self.namespace is None:
            raise ValueRefused(
                f"--snapshot {names[0]}: there is no kernel that holds its value",
                hint="snapshots are taken by %%containerize in a notebook that runs",
            )
        origins = {}
        for name in names:
            for statement in sliced.supplied_by.get(name, ()):
                origins[name] = f"{self.title(statement.run)}, line {statement.line}"
        return values.take_snapshot(
            names, self.namespace, limit_bytes=self.options.snapshot_limit_bytes, origins=origins
        )


def importable(name: str, value: object) -> tuple[str, str, tuple[str, ...]] | None:
    """Return the import that gives ``name`` this value, its module and what is taken from there; None without one."""
    if isinstance(value, types.ModuleType):
        module = value.__name__
        if module == "__main__" or sys.modules.get(module) is not value:
            return None
        return f"import {module}" + (f" as {name}" if name != module else ""), module, ()
    home, own = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(home, str) or not isinstance(own, str) or home == "__main__" or not own.isidentifier():
        return None
    if home not in sys.modules or vars(sys.modules[home]).get(own) is not value:
        return None
    return f"from {home} import {own}" + (f" as {name}" if name != own else ""), home, (own,)


def asks_kernel(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.Name) and inner.id == "get_ipython" for inner in ast.walk(node))
