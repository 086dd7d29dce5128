"""Positions of ``out`` in numpy's functions: where the array that a function writes into may stand without its name.

Read from numpy's own signatures and the numbers of inputs of its ufuncs; a test compares them with the numpy that is
installed.
"""

from __future__ import annotations

__all__ = ["OUT_POSITIONS"]

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
