from __future__ import annotations

import sys
import types

from buildr_jupyter.notebook.import_draws import ImportDraws


def frame_in(name: str, outer: str | None = None) -> types.FrameType:
    """Return a frame of a module of this name, called from one of ``outer``."""
    names: dict[str, object] = {"__name__": name, "sys": sys}
    exec("def frame(): return sys._getframe()", names)
    if outer is None:
        return names["frame"]()  # type: ignore[operator, no-any-return]
    names = {"__name__": outer, "inner": names["frame"]}
    exec("def frame(): return inner()", names)
    return names["frame"]()  # type: ignore[operator, no-any-return]


class Moving:
    def __init__(self) -> None:
        self.states = {"random": 1}
        self.draws = ImportDraws(lambda: dict(self.states), dict(self.states), {})
        self.number = 0

    def look(self, frame: types.FrameType | None) -> None:
        self.number += 1
        self.draws.look(frame, f"package{self.number}.module")

    def end(self) -> tuple[set[str], set[str]]:
        by_imports, by_others = self.draws.end(self.states)
        return set(by_imports), set(by_others)


def test_what_moves_within_one_import_is_its_doing() -> None:
    made, going = Moving(), frame_in("importlib._bootstrap")
    made.look(going)
    made.states["random"] = 2
    made.look(going)
    assert made.end() == ({"random"}, set())
    made.states["random"] = 3
    assert made.end() == ({"random"}, {"random"}), "after the last module began: nobody knows"


def test_what_moves_between_two_imports_is_not() -> None:
    made = Moving()
    made.look(frame_in("importlib._bootstrap"))
    made.states["random"] = 2
    made.look(frame_in("importlib._bootstrap"))
    assert made.end() == (set(), {"random"})


def test_the_outermost_import_counts() -> None:
    made, going = Moving(), frame_in("_frozen_importlib", "importlib")
    made.look(going)
    made.states["random"] = 2
    made.look(going.f_back)
    assert made.end() == ({"random"}, set())


def test_a_generator_that_is_loaded_moved_if_it_was_drawn_from() -> None:
    for loaded, moved in (({"numpy": 7, "numpy:untouched": 7}, set()), ({"numpy": 8}, {"numpy"})):
        made, going = Moving(), frame_in("importlib._bootstrap")
        made.look(going)
        made.states |= loaded
        made.look(going)
        assert made.end() == (moved, set())


def test_a_frame_that_is_no_import_s_begins_none() -> None:
    made = Moving()
    made.look(frame_in("tools"))
    made.states["random"] = 2
    made.look(frame_in("tools"))
    assert made.end() == (set(), {"random"})


def test_modules_of_one_package_are_one() -> None:
    made, going = Moving(), frame_in("importlib._bootstrap")
    made.draws.look(going, "rich")
    made.states["random"] = 2
    made.draws.look(going, "rich.style")
    assert made.end() == (set(), {"random"}), "nobody looked since"


def test_a_look_after_the_package_tells() -> None:
    made, going = Moving(), frame_in("importlib._bootstrap")
    made.draws.look(going, "rich.style")
    made.states["random"] = 2
    made.draws.look(going, "rich.color")
    made.draws.look(going, "attr")
    assert made.end() == ({"random"}, set())
