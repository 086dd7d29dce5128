"""The writer of returned values: which format, that the value comes back exactly, and what cannot be carried."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from buildr_jupyter.in_image import returns
from tests.fakes import torch


class Own:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and other.value == self.value

    __hash__ = None


def there_and_back(value: Any, folder: Path) -> tuple[str, Any]:
    entry = returns.write_value("x", value, str(folder))
    path = folder / f"x.{returns.EXTENSIONS[entry['format']]}"
    content = path.read_bytes()
    assert (entry["size"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    return entry["format"], returns.read_value(str(path), entry["format"])


shared: list[Any] = []


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (None, "json"), (True, "json"), (10**2000, "json"), (-0.0, "json"), ("häl\n", "json"), ([1, [2.5]], "json"),
        ({"b": 1, "a": [None]}, "json"), ({1: 2}, "pickle"), ((1, 2), "pickle"), ({1}, "pickle"), (1j, "pickle"),
        ("\ud83d\ude00", "pickle"), ("\udcff", "pickle"), ([shared, shared], "pickle"), pytest.param(10**5000, "pickle", id="big"),
        (np.arange(6).reshape(2, 3), "npy"), (np.float32(1.5), "pickle"), (np.array(["a", None]), "pickle"),
        (np.asfortranarray(np.eye(3)), "npy"), (np.zeros((0, 3), ">i2"), "npy"), (np.array("2024", "M8[D]"), "npy"),
        (np.ma.array([1, 2]), "pickle"), (np.array([(1, 2.0)], "i4,f8"), "pickle"), (Own([1]), "pickle"),
    ],
)  # fmt: skip
def test_formats(value: Any, form: str, tmp_path: Path) -> None:
    found, back = there_and_back(value, tmp_path)
    assert found == form
    assert type(back) is type(value)
    if isinstance(value, np.ndarray):
        assert (back.dtype, back.shape, back.tolist()) == (value.dtype, value.shape, value.tolist())
        assert back.flags.writeable
    else:
        assert back == value


def test_what_is_shared_stays_shared(tmp_path: Path) -> None:
    inner: list[Any] = []
    loop: list[Any] = [inner, inner]
    loop.append(loop)
    _, back = there_and_back(loop, tmp_path)
    assert back[0] is back[1]
    assert back[2] is back


@settings(max_examples=200, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary()
        | st.complex_numbers() | st.dates() | st.datetimes() | st.timedeltas() | st.decimals() | st.fractions(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
        max_leaves=20,
    )
)  # fmt: skip
def test_any_value_comes_back_type_for_type(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    assert same(there_and_back(value, folder)[1], value)


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (one == other and math.copysign(1, one) == math.copysign(1, other)) or (one != one and other != other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one), list(other)) and all(same(one[key], other[key]) for key in one)
    return repr(one) == repr(other)


@settings(max_examples=100, deadline=None)
@given(value=arrays.arrays(arrays.scalar_dtypes() | arrays.array_dtypes(), arrays.array_shapes(min_side=0)))
def test_any_array_comes_back(value: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "arrays"
    folder.mkdir(exist_ok=True)
    _, back = there_and_back(value, folder)
    assert (back.dtype, back.shape, back.tobytes()) == (value.dtype, value.shape, value.tobytes())


def frames() -> list[pd.DataFrame]:
    times = pd.date_range("2024-01-01", periods=3, tz="Europe/Berlin", name="when")
    plain = pd.DataFrame({"a": [1, 2, 3], "b": [1.5, math.nan, -0.0], "c": ["x", None, "ü"]})
    odd = pd.DataFrame(
        {
            "cat": pd.Categorical(["a", "b", None], ["b", "a"], ordered=True), "tz": times, "null": pd.array([1, None, 3]),
            "flag": pd.array([True, None, False]), "text": pd.array(["a", None, "c"], "string"),
            "per": pd.period_range("2024-01", periods=3, freq="M"), "span": pd.to_timedelta([1, None, 3]),
            "int": pd.arrays.IntervalArray.from_breaks([0, 1, 2, 3]), "obj": [{1}, None, [2]],
        },
        index=times,
    )  # fmt: skip
    odd.attrs["from"] = "here"
    many = plain.set_index(["a", "c"])
    many.columns = pd.MultiIndex.from_tuples([("u", "v")], names=["p", None])
    return [plain, odd, many, pd.DataFrame(), plain.iloc[:0], plain.T]


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("arrow", [True, False])
def test_frames_come_back_with_dtypes_index_names_and_attrs(
    number: int, arrow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not arrow:  # as in a program whose packages have none
        monkeypatch.setattr(returns, "_arrow", lambda: None)
    frame = frames()[number]
    form, back = there_and_back(frame, tmp_path)
    assert form in ("arrow", "pickle")
    assert (form == "arrow") <= arrow
    pd.testing.assert_frame_equal(back, frame, check_exact=True, check_freq=True)
    assert back.attrs == frame.attrs
    for column in frame.columns:
        pd.testing.assert_series_equal(there_and_back(frame[column], tmp_path)[1], frame[column])
    assert there_and_back(frame.index, tmp_path)[1].identical(frame.index)


def named(index: pd.Index) -> pd.Index:
    return index.rename("key")


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (pd.Series([1, 2], name="a"), "arrow"), (pd.Series([1, 2], name=("a", 1)), "pickle"),
        (pd.Series([True, None], dtype=object, name=3), "arrow"), (pd.Series([{1}]), "pickle"),
        (pd.Series([1, "x"], dtype=object), "pickle"), (pd.Series([1, 2], dtype=object), "pickle"),
        (pd.Series([0.0, -0.0]), "arrow"), (pd.Series([1j]), "pickle"), (pd.Series(["a"], dtype="category"), "arrow"),
        (pd.Series(pd.to_datetime(["2024-01-01"]).tz_localize("Asia/Tokyo")), "arrow"),
        (named(pd.RangeIndex(2, 9, 3)), "arrow"), (named(pd.Index(["x", "y"])), "arrow"),
        (pd.MultiIndex.from_product([[1, 2], ["a"]], names=["n", None]), "arrow"),
        (pd.Series([], dtype=pd.CategoricalDtype(["b", "a"])), "arrow"), (pd.Series([], dtype="Int8"), "arrow"),
        (pd.DataFrame({"a": pd.Categorical([], ["b"])}), "arrow"), (pd.CategoricalIndex([], ["b"]), "arrow"),
        (pd.date_range("2024", periods=2, freq="D"), "pickle"), (pd.Index([1, "a"]), "pickle"),
        (pd.DataFrame({1: [1], 5: [2.5]}), "pickle"), (pd.DataFrame({"a": [1], "b": [2.5]}), "arrow"), (pd.DataFrame([[1, 2]], columns=["a", "a"]), "pickle"),
    ],
    ids=range(22),
)  # fmt: skip
def test_arrow_is_taken_where_it_gives_the_value_back_exactly(value: Any, form: str, tmp_path: Path) -> None:
    found, back = there_and_back(value, tmp_path)
    assert found == form
    if isinstance(value, pd.Index):
        assert type(back) is type(value)
        assert back.identical(value)
    elif isinstance(value, pd.Series):
        pd.testing.assert_series_equal(back, value, check_exact=True)
        assert type(back.name) is type(value.name)
    else:
        pd.testing.assert_frame_equal(back, value, check_exact=True)


FLOATS = st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf, -math.inf])
WORDS = st.sampled_from(["", "a", "ü", "\U0001f600", "a\nb"])
WHOLE, TIMES = st.integers(0, 100), st.datetimes(pd.Timestamp(1970, 1, 2), pd.Timestamp(2100, 1, 1))


def made_of(values: st.SearchStrategy[Any], *dtypes: str) -> list[tuple[st.SearchStrategy[Any], Any]]:
    return [(values, dtype) for dtype in dtypes]


COLUMNS: list[tuple[st.SearchStrategy[Any], Any]] = [
    *made_of(WHOLE, "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "datetime64[s]"),
    *made_of(FLOATS, "float16", "float32", "float64", "complex64", "complex128", "longdouble"),
    *made_of(st.booleans(), "bool", "Sparse[bool]"),
    *made_of(
        st.none() | WHOLE, "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "int64[pyarrow]"
    ),
    *made_of(st.none() | st.floats(0, 1), "Float32", "Float64", "double[pyarrow]", "Sparse[float]"),
    *made_of(st.none() | st.booleans(), "boolean", "bool[pyarrow]"),
    *made_of(st.none() | WORDS, "string", "string[pyarrow]", "str", "category"),
    *made_of(st.none() | FLOATS, "category"),
    *made_of(TIMES, "datetime64[ns]", "datetime64[us]", "datetime64[ms]", "datetime64[ns, Europe/Berlin]"),
    *made_of(TIMES, "datetime64[us, UTC]", "datetime64[ns, UTC+02:00]", "category", "timestamp[us][pyarrow]"),
    *made_of(st.none() | st.timedeltas(pd.Timedelta(0), pd.Timedelta(days=9)), "timedelta64[ns]", "timedelta64[us]"),
    *made_of(WHOLE.map(lambda number: pd.Period(ordinal=number, freq="M")), "period[M]", "object"),
    *made_of(WHOLE.map(lambda number: pd.Interval(number, number + 1)), "interval[int64, right]"),
    (st.none() | WORDS, pd.CategoricalDtype(["", "b", "a", "ü", "\U0001f600", "a\nb"], ordered=True)),
    *made_of(st.none() | FLOATS | WORDS | st.booleans() | WHOLE | st.tuples(WHOLE) | st.just(pd.NA), "object"),
]
"""What the values of a column are drawn from, and its dtype."""


@st.composite
def series(draw: st.DrawFn, length: int) -> pd.Series:
    values, dtype = draw(st.sampled_from(COLUMNS))
    drawn = draw(st.lists(values, min_size=length, max_size=length))
    if isinstance(dtype, str) and ", " in dtype and dtype.startswith("datetime64"):
        unit, _, zone = dtype[len("datetime64[") : -1].partition(", ")
        plain = pd.Series(drawn, dtype=f"datetime64[{unit}]").dt
        return plain.tz_localize(zone, ambiguous=False, nonexistent="shift_forward")
    if str(dtype).startswith("interval") and not length:
        return pd.Series(pd.arrays.IntervalArray.from_tuples([], dtype=dtype))
    return pd.Series(drawn, dtype=dtype)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    length = draw(st.integers(0, 4))
    columns = draw(st.lists(series(length), max_size=3))
    names = draw(st.sampled_from([["a", "b", "c"], ["", "ü", "x"], [0, 1, 2], [5, "a", 2.5], [("a", 1), ("a", 2), ("b", 1)],
                                  ["a", "a", "a"], [None, "b", "c"], [pd.Timestamp(2024, 1, 1), 1, 2]]))  # fmt: skip
    frame = pd.DataFrame(dict(enumerate(columns)), index=range(length) if not columns else None)
    frame.columns = pd.Index(names[: len(columns)], tupleize_cols=draw(st.booleans()))
    indexable = series(length).filter(
        lambda one: one.dtype not in ("float16", "longdouble")
    )  # pandas has no index of it
    levels = draw(st.lists(indexable, max_size=2))
    called = draw(st.sampled_from([None, "key", "ü", 3, ("a", 1)]))
    if len(levels) == 1:
        frame.index = pd.Index(levels[0].array, name=called)
    elif levels:
        frame.index = pd.MultiIndex.from_arrays([level.array for level in levels], names=[called, None])
    frame.attrs.update(draw(st.sampled_from([{}, {"a": 1}, {"a": (1, 2)}, {1: None}])))
    return frame


def plainly(values: Any) -> list[tuple[Any, ...]]:
    """Return each element as what tells it from all others: its class and its text, which tells -0.0 from 0.0."""
    return [(type(one), str(one)) for one in values]


def assert_same_index(one: pd.Index, other: pd.Index) -> None:
    pd.testing.assert_index_equal(one, other, exact=True, check_exact=True)
    assert (type(one), plainly(one), plainly(one.names)) == (type(other), plainly(other), plainly(other.names))
    assert getattr(one, "freq", None) == getattr(other, "freq", None)


@settings(max_examples=40, deadline=None)
@given(frame=tables())
def test_any_frame_comes_back(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "frames"
    folder.mkdir(exist_ok=True)
    _, back = there_and_back(frame, folder)
    assert type(back) is pd.DataFrame
    assert_same_index(back.index, frame.index)
    assert_same_index(back.columns, frame.columns)
    assert (back.attrs, list(map(type, back.attrs.values()))) == (frame.attrs, list(map(type, frame.attrs.values())))
    for place in range(len(frame.columns)):
        there, here = back.iloc[:, place], frame.iloc[:, place]
        assert (there.dtype, type(there.array), plainly(there)) == (here.dtype, type(here.array), plainly(here))
    assert_same_index(there_and_back(frame.index, folder)[1], frame.index)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_series_comes_back(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "series"
    folder.mkdir(exist_ok=True)
    value = data.draw(series(data.draw(st.integers(0, 4)))).rename(data.draw(st.sampled_from([None, "a", 1, ("a", 1)])))
    _, back = there_and_back(value, folder)
    assert (type(back), type(back.name), back.name) == (pd.Series, type(value.name), value.name)
    assert (back.dtype, type(back.array), plainly(back)) == (value.dtype, type(value.array), plainly(value))
    assert_same_index(back.index, value.index)


@pytest.mark.parametrize("code", sorted(set(np.typecodes["All"])))
def test_an_array_of_each_kind_of_numpy_comes_back(code: str, tmp_path: Path) -> None:
    odd = {
        "M": np.array(["2024-01-01", "NaT"], "M8[ns]"), "m": np.array([5, "NaT"], "m8[us]"), "S": np.array([b"", b"ab"]),
        "U": np.array(["", "\U0001f600"]), "V": np.array([b"ab", b"cd"], "V2"), "O": np.array([None, "x"]),
    }  # fmt: skip
    made = odd[code] if code in odd else np.array([0, 1], code)
    for value in (made, made[:0], made[:1].reshape(()), made.reshape(2, 1).T, made[::-1]):
        _, back = there_and_back(value, tmp_path)
        assert type(back) is np.ndarray
        assert (back.dtype, back.shape, str(back.tolist())) == (value.dtype, value.shape, str(value.tolist()))
    if code not in "qQ":  # neither a file nor a pickle of numpy tells long long from long where both have eight bytes
        _, back = there_and_back(made[1], tmp_path)
        assert plainly([back]) == plainly([made[1]])


def test_an_arrow_table_keeps_its_schema_and_metadata(tmp_path: Path) -> None:
    table = pa.table({"a": pa.array([1, None], pa.int8())}).replace_schema_metadata({b"k": b"v"})
    form, back = there_and_back(table, tmp_path)
    assert form == "arrow"
    assert back.equals(table, check_metadata=True)


def test_a_frame_of_the_programs_own_class_is_no_arrow_table(tmp_path: Path) -> None:
    class Mine(pd.DataFrame):
        pass

    assert returns._as_arrow(Mine({"a": [1]})) is None
    assert returns._as_arrow(pd.DataFrame({"a": [1]})) is not None


def test_an_arrow_file_of_a_reader_that_would_run_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    returns.write_value("x", pd.DataFrame({"a": [1]}), str(tmp_path))
    monkeypatch.setattr(pa, "__version__", "14.0.0")
    with pytest.raises(ValueError, match=r"^pyarrow 14\.0\.0 runs code of the file"):
        returns.read_value(str(tmp_path / "x.arrow"), "arrow")


def test_large_buffers_lie_outside_the_pickle_and_stay_writable(tmp_path: Path) -> None:
    array = np.arange(100_000.0).reshape(1000, 100)
    returns.write_value("x", [array], str(tmp_path))
    head = (tmp_path / "x.pickle").read_bytes()[:100].split(b"\n")
    assert json.loads(head[1])[1:] == [800_000]
    back = returns.read_value(str(tmp_path / "x.pickle"), "pickle")
    back[0][0, 0] = 5.0
    assert back[0][0, 0] == 5.0


def test_a_frame_out_of_an_arrow_file_can_be_changed(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.arange(3.0), "b": np.arange(3)})
    form, back = there_and_back(frame, tmp_path)
    back.loc[0, "a"] = 5.0
    back["b"].to_numpy(copy=False)
    assert (form, back.loc[0, "a"]) == ("arrow", 5.0)


@pytest.fixture
def with_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in torch.modules().items():
        monkeypatch.setitem(sys.modules, name, module)


def of_arrays(*arrays: Any) -> dict[str, torch.Tensor]:
    return {f"layer.{place}": torch.Tensor(array) for place, array in reversed(list(enumerate(arrays)))}


def state_dict(**attributes: Any) -> OrderedDict[str, torch.Tensor]:
    found = OrderedDict(of_arrays(np.ones(2), np.zeros(3)))
    vars(found).update(attributes)
    return found


VERSIONS: OrderedDict[str, Any] = OrderedDict({"": {"version": 1}, "a": {}})
MEMORY = np.arange(6.0)


@pytest.mark.usefixtures("with_torch")
@pytest.mark.parametrize(
    "value",
    [
        torch.Tensor(np.arange(6, dtype="f4").reshape(2, 3)), torch.Tensor(np.array(-0.0)), torch.Tensor(np.zeros((0, 2))),
        of_arrays(np.array([1, -2], "i8"), np.array([[True]]), np.array([np.nan, np.inf], "f2"), np.zeros(0, "u1")),
        state_dict(), state_dict(_metadata=VERSIONS),
    ],
)  # fmt: skip
def test_tensors_come_back_by_safetensors_with_dtype_and_shape(value: Any, tmp_path: Path) -> None:
    form, back = there_and_back(value, tmp_path)
    assert (form, type(back)) == ("safetensors", type(value))
    named, found = ({"x": one} if isinstance(one, torch.Tensor) else one for one in (value, back))
    assert list(named) == list(found)
    for name, one in named.items():
        other = found[name].array
        assert (other.dtype, other.shape, other.tobytes()) == (one.dtype, one.shape, one.array.tobytes())
    if isinstance(value, OrderedDict):
        assert vars(back) == vars(value)
        assert [type(one) for one in vars(back).values()] == [type(one) for one in vars(value).values()]


@pytest.mark.usefixtures("with_torch")
@pytest.mark.parametrize(
    "value",
    [
        {"a": torch.Tensor(MEMORY[:3]), "b": torch.Tensor(MEMORY[3:])}, {"a": torch.Tensor(MEMORY), "b": 1},
        {1: torch.Tensor(MEMORY)}, {"__metadata__": torch.Tensor(MEMORY)}, torch.Tensor(np.eye(3)[:, 1]),
        torch.Parameter(MEMORY), torch.Tensor(MEMORY, requires_grad=True), torch.Tensor(MEMORY, device="cuda"),
        torch.Tensor(MEMORY, layout="torch.sparse_coo"), torch.Tensor(MEMORY, conj=True), torch.Tensor(MEMORY, neg=True),
        torch.Tensor(np.array(["a"])), state_dict(_metadata={}), state_dict(_metadata=VERSIONS, more=1),
        state_dict(_metadata=OrderedDict({"a": (1,)})), OrderedDict(),
    ],
)  # fmt: skip
def test_tensors_that_safetensors_would_change_are_pickled(value: Any, tmp_path: Path) -> None:
    form, back = there_and_back(value, tmp_path)
    assert (form, type(back)) == ("pickle", type(value))


@pytest.mark.usefixtures("with_torch")
def test_a_tensor_with_an_attribute_or_without_the_package_is_pickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = torch.Tensor(MEMORY)
    value.name = "mine"  # type: ignore[attr-defined]
    assert there_and_back(value, tmp_path)[0] == "pickle"
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)  # as where it is not installed
    assert there_and_back(torch.Tensor(MEMORY), tmp_path)[0] == "pickle"


@pytest.mark.usefixtures("with_torch")
def test_the_manifest_says_which_torch_wrote_the_tensors(tmp_path: Path) -> None:
    returns.write({"weights": of_arrays(MEMORY)}, ["weights"], str(tmp_path))
    manifest = json.loads((tmp_path / returns.FOLDER / "manifest.json").read_bytes())
    assert manifest["packages"] == {"torch": "2.9"}
    assert (tmp_path / returns.FOLDER / "weights.safetensors").stat().st_size == manifest["returns"][0]["size"]


def test_a_figure_is_a_picture(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2])
    form, back = there_and_back(figure, tmp_path)
    assert form == "png"
    assert back[:8] == b"\x89PNG\r\n\x1a\n"
    assert back._repr_png_() == bytes(back)


def test_the_manifest_comes_last_and_says_all(tmp_path: Path) -> None:
    scope = {"a": 1, "b": np.eye(2), "_buildr_value": None}
    returns.write(scope, ("a", "b", "_"), str(tmp_path))
    place = tmp_path / ".buildr" / "returns"
    found = json.loads((place / "manifest.json").read_text())
    assert [(one["name"], one["format"], one["type"]) for one in found["returns"]] == [
        ("a", "json", "int"), ("b", "npy", "numpy.ndarray"), ("_", "json", "NoneType"),
    ]  # fmt: skip
    assert found["packages"] == {"numpy": np.__version__}
    assert sorted(path.name for path in place.iterdir()) == ["_.json", "a.json", "b.npy", "manifest.json"]


@pytest.mark.parametrize("value", [(one for one in [1]), open(__file__), lambda: 0])  # noqa: SIM115
def test_what_cannot_be_carried_leaves_no_manifest(value: Any, tmp_path: Path) -> None:
    returns.write({"a": 1}, ("a",), str(tmp_path))
    with pytest.raises(returns.NotCarried, match=r"^b \(.*\) cannot be given back: "):
        returns.write({"a": 1, "b": value}, ("a", "b"), str(tmp_path))
    assert not (tmp_path / ".buildr" / "returns" / "manifest.json").exists()
    with pytest.raises(returns.NotCarried, match="no such name"):
        returns.write({}, ("a",), str(tmp_path))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    "value", [list(range(9000)), np.zeros(9000), {1: bytes(70_000)}, pd.DataFrame({"a": range(9000)})]
)
def test_a_disk_that_fills_is_told_and_leaves_no_manifest(value: Any, tmp_path: Path) -> None:
    place = tmp_path / returns.FOLDER
    place.mkdir(parents=True)
    for extension in set(returns.EXTENSIONS.values()):
        (place / f"x.{extension}").symlink_to("/dev/full")
    (place / "manifest.json").write_text("{}")
    with pytest.raises(OSError) as raised:
        returns.write({"x": value}, ["x"], str(tmp_path))
    assert raised.value.errno == errno.ENOSPC
    assert not (place / "manifest.json").exists()


def test_a_pickle_that_lies_about_its_sizes(tmp_path: Path) -> None:
    path = tmp_path / "x.pickle"
    for content in (b"", b"x", returns._MAGIC + b"[1e9]\n", returns._MAGIC + b"[99999999]\n", returns._MAGIC + b"{}\n",
                    returns._MAGIC + b"[20]\n12"):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(ValueError):
            returns.read_value(str(path), "pickle")
