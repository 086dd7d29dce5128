from __future__ import annotations

from buildr_jupyter.export.renderer import carried_blocks, chosen_blocks, load_blocks
from buildr_jupyter.export.value_capture import Values
from buildr_jupyter.model.plan import ImportUse

from .parts import given_of, sliced_of

LOAD = [("values of the kernel", 1, "k = 1\n")]


def carried(*cells: str, names: tuple[str, ...] = ()) -> list[tuple[str, int, str]]:
    given = given_of(*cells)
    reading, sliced = sliced_of(given, *names)
    others = [statement for statement in sliced.kept if statement.run != given.last]
    return carried_blocks(given, reading, others, frozenset(names), LOAD if names else [])


def test_statements_that_follow_each_other_are_one_block_with_their_gap() -> None:
    assert carried("a = 1\n\n\nb = 2\nskipped = 0\nc = 3", "print(a, b, c)") == [
        ("nb.ipynb, cell 0", 1, "a = 1\n\n\nb = 2\n"), ("nb.ipynb, cell 0", 6, "c = 3\n"),
    ]  # fmt: skip


def test_statements_of_one_line_are_blocks_of_their_own() -> None:
    assert [text for _, _, text in carried("a = 1; b = 2", "print(a, b)")] == ["a = 1\n", "b = 2\n"]


def test_values_are_loaded_before_the_first_statement_that_reads_one() -> None:
    blocks = carried("a = 1", "b = k + a", "c = k", "print(b, c)", names=("k",))
    assert [text for _, _, text in blocks] == ["a = 1\n", "k = 1\n", "b = k + a\n", "c = k\n"]
    assert carried("a = 1", "print(a, k)", names=("k",))[-1] == LOAD[0]


def chosen(source: str, **options: object) -> list[tuple[str, int, str]]:
    given = given_of(source, **options)
    reading, _ = sliced_of(given)
    return chosen_blocks(given, reading)


def test_the_chosen_cell_is_one_block_and_its_value_another() -> None:
    title = "nb.ipynb, cell 0"
    assert chosen("\na = 1\nb = 2\n") == [(title, 2, "a = 1\nb = 2\n")]
    assert chosen("a = 1\na + 1") == [(title, 1, "a = 1\n"), (title, 2, "a + 1\n")]
    assert chosen("'ü'; 2") == [(title, 1, "'ü';\n"), (title, 1, "2\n")]
    assert chosen("7") == [(title, 1, "7\n")]
    assert chosen("7", returns=("_",)) == [(title, 1, "(_buildr_value := (7))\n")]
    assert chosen("7;", returns=("_",)) == [(title, 1, "(_buildr_value := (7))\n")]


def test_names_of_the_kernel_come_by_import_and_as_literals() -> None:
    given = given_of("x", params=(("x", "1"),))
    reading, _ = sliced_of(given)
    values = Values(given, reading)
    assert load_blocks(values, None, None) == []
    values.known_only_to_kernel["np"] = ("import numpy as np", ImportUse("numpy", (), "here"))
    values.supplied.literal.update({"b": ("'two'", "why"), "a": ("1", "why")})
    assert load_blocks(values, None, None) == [
        ("imports of the kernel", 1, "import numpy as np\n"),
        ("values of the kernel", 1, "a = 1\nb = 'two'\n"),
    ]
