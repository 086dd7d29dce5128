"""numpy: what its functions and the methods of its objects change, give and read."""

from __future__ import annotations

from buildr_jupyter.analysis.libraries.names import Methods, words

__all__ = [
    "CALLING_FUNCTIONS",
    "CHANGES_BY_TYPE",
    "FILE_READERS",
    "FILE_WRITERS",
    "FILE_WRITER_METHODS",
    "ITERATOR_FUNCTIONS",
    "METHODS",
    "MUTATING_FUNCTIONS",
    "OUT_POSITIONS",
    "RNG_CONSTRUCTORS",
    "VIEW_FUNCTIONS",
]

VIEW_FUNCTIONS = words(
    "numpy.asarray numpy.asanyarray numpy.reshape numpy.ravel numpy.transpose numpy.squeeze numpy.broadcast_to "
    "numpy.atleast_1d numpy.atleast_2d numpy.atleast_3d numpy.split numpy.array_split numpy.hsplit "
    "numpy.vsplit "
    "numpy.swapaxes numpy.moveaxis numpy.expand_dims numpy.diagonal numpy.real numpy.imag numpy.flip "
    "numpy.fliplr "
    "numpy.flipud numpy.rot90 numpy.frombuffer numpy.ascontiguousarray numpy.require numpy.ma.array "
    "numpy.ma.masked_array "
    "numpy.lib.stride_tricks.as_strided numpy.lib.stride_tricks.sliding_window_view numpy.matrix "
    "numpy.asmatrix "
    "numpy.broadcast_arrays numpy.rollaxis numpy.dsplit numpy.nan_to_num numpy.array numpy.copy numpy.ix_ "
    "numpy.meshgrid numpy.asarray_chkfinite numpy.asfortranarray numpy.diag numpy.einsum numpy.from_dlpack "
    "numpy.matrix_transpose numpy.permute_dims numpy.real_if_close numpy.trim_zeros numpy.unstack "
    "numpy.linalg.diagonal numpy.linalg.matrix_transpose "
    "numpy.complex64 numpy.complex128 numpy.cdouble numpy.double numpy.single numpy.float16 numpy.float32 "
    "numpy.float64 numpy.int8 numpy.int16 numpy.int32 numpy.int64 numpy.uint8 numpy.uint16 numpy.uint32 numpy.uint64 "
    "numpy.int_ numpy.uint numpy.long numpy.ulong numpy.longlong numpy.ulonglong numpy.intp numpy.uintp numpy.intc "
    "numpy.uintc numpy.short numpy.ushort numpy.byte numpy.ubyte numpy.half numpy.longdouble numpy.clongdouble "
    "numpy.csingle numpy.bool numpy.bool_"
)
"""Functions whose result may be a view of an argument; so may that of any of ``numpy.ma``."""

ITERATOR_FUNCTIONS = words("numpy.nditer numpy.ndenumerate")

MUTATING_FUNCTIONS = {
    f"numpy.{name}": (0,)
    for name in words(
        "random.shuffle copyto fill_diagonal place put put_along_axis putmask add.at subtract.at multiply.at "
        "maximum.at minimum.at"
    )
}
"""Dotted function to the positions of the arguments that it changes."""

RNG_CONSTRUCTORS = words(
    "numpy.random.default_rng numpy.random.RandomState numpy.random.Generator numpy.random.SeedSequence"
)

CALLING_FUNCTIONS = words("vectorize frompyfunc apply_along_axis apply_over_axes fromfunction piecewise")
"""Names of functions that call what they are given."""

CHANGES_BY_TYPE = {"ndarray": words("partition sort fill put resize itemset setflags setfield byteswap")}
"""Methods that change an object of this type, though another type's of that name change nothing."""

_BY_POSITION = {
    1: "abs absolute acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh bitwise_count "
    "bitwise_invert bitwise_not cbrt ceil conj conjugate cos cosh deg2rad degrees exp exp2 expm1 fabs fix floor frexp "
    "invert isfinite isinf isnan isnat isneginf isposinf log log10 log1p log2 logical_not modf negative positive "
    "rad2deg radians reciprocal rint sign signbit sin sinh spacing sqrt square tan tanh trunc",
    2: "add all amax amin any arctan2 argmax argmin around atan2 bitwise_and bitwise_left_shift bitwise_or "
    "bitwise_right_shift bitwise_xor choose concat concatenate copysign divide divmod dot equal float_power "
    "floor_divide fmax fmin fmod gcd greater greater_equal heaviside hypot lcm ldexp left_shift less less_equal "
    "logaddexp logaddexp2 logical_and logical_or logical_xor matmul matvec max maximum median min minimum mod multiply "
    "nanargmax nanargmin nanmax nanmedian nanmin nextafter not_equal outer pow power ptp remainder right_shift round "
    "stack subtract true_divide vecdot vecmat",
    3: "clip compress cumprod cumsum mean nancumprod nancumsum nanmean nanpercentile nanprod nanquantile nanstd nansum "
    "nanvar percentile prod quantile std sum take var cumproduct product",
    4: "is_busday",
    5: "busday_count trace",
    6: "busday_offset",
}
OUT_POSITIONS = {name: position for position, names in _BY_POSITION.items() for name in names.split()}
"""Name of the function to the 0-based position of the first array that it writes into."""

FILE_READERS = {f"numpy.{name}": 0 for name in ("load", "loadtxt", "genfromtxt", "fromfile")}
"""Dotted function to the position of the path that it reads."""

FILE_WRITERS = {f"numpy.{name}": 0 for name in ("save", "savez", "savez_compressed", "savetxt")}
"""Dotted function to the position of the path that it writes."""

FILE_WRITER_METHODS = words("tofile")

_FRESH = words(
    "all any argmax argmin argsort astype clip cumprod cumsum dot flatten item max mean min prod round std sum "
    "tobytes tolist var"
)

METHODS = Methods(
    quiet=words(
        "argpartition choose compress conj degree diagonal dump dumps nonzero product ptp ravel repeat reshape "
        "searchsorted squeeze swapaxes take tofile trace transpose truncate view"
    )
    | _FRESH,
    changing=words("partition"),
    fresh=_FRESH,
    gives=("builtins", "datetime"),
)
