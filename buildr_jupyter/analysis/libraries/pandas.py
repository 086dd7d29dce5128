"""pandas: what the methods of its objects change and give, and what its functions read and write."""

from __future__ import annotations

from buildr_jupyter.analysis.libraries.names import Methods, words

__all__ = [
    "CALLING_FUNCTIONS",
    "FILE_HANDLES",
    "FILE_READERS",
    "FILE_WRITERS",
    "FILE_WRITER_METHODS",
    "ITERATOR_METHODS",
    "METHODS",
    "OF_OLDER_RELEASES",
]

ITERATOR_METHODS = words("iterrows itertuples")

CALLING_FUNCTIONS = words("apply applymap agg aggregate transform pipe")
"""Names of methods that call what they are given."""

FILE_READERS = {
    f"pandas.{name}": 0
    for name in words(
        "ExcelFile HDFStore read_csv read_table read_fwf read_excel read_json read_parquet read_pickle read_feather "
        "read_hdf read_html read_xml read_orc read_stata read_sas read_spss"
    )
}
"""Dotted function to the position of the path that it reads."""

FILE_WRITERS = {"pandas.to_pickle": 1, "pandas.ExcelWriter": 0}
"""Dotted function to the position of the path that it writes."""

FILE_HANDLES = words("pandas.HDFStore pandas.ExcelWriter")
"""Classes whose objects write to the file that they are given."""

FILE_WRITER_METHODS = words(
    "to_csv to_excel to_parquet to_pickle to_feather to_json to_hdf to_html to_markdown to_latex to_stata to_xml to_sql"
)

_FRESH = words(
    "abs agg aggregate apply assign bfill corr corrwith cov cumcount describe diff div drop drop_duplicates dropna "
    "duplicated explode ffill fillna get_dummies idxmax idxmin info interpolate isin isna isnull mask median melt "
    "memory_usage merge mode mul nlargest notna notnull nsmallest nunique partition pct_change pivot pivot_table "
    "quantile query rank reindex rename reset_index sample select_dtypes set_index shift sort_index sort_values "
    "to_dict to_html to_json to_list to_markdown to_string transform unique value_counts where"
)

OF_OLDER_RELEASES = words("applymap bool mad")
"""Methods that pandas had before release 3, and that only asked."""

METHODS = Methods(
    quiet=words(
        "add_categories add_prefix add_suffix align as_ordered as_unordered asfreq asof at_time between between_time "
        "boxplot cat ceil combine_first compare contains convert_dtypes cummax cummin day_name divide droplevel eq "
        "equals eval ewm expanding extract extractall factorize filter findall first first_valid_index floor floordiv "
        "fullmatch ge get_group get_level_values groupby gt head hist infer_objects iterrows itertuples kurt kurtosis "
        "last last_valid_index le len loc lt map match mod month_name multiply ne ngroup normalize nth ohlc pad pipe "
        "plot pow radd rdiv remove_categories remove_unused_categories rename_axis rename_categories "
        "reorder_categories reorder_levels resample rfloordiv rmod rmul rolling rpow rsub rtruediv sem set_axis "
        "set_categories set_codes set_flags set_levels set_names size skew slice stack sub subtract swaplevel tail "
        "to_csv to_excel to_feather to_flat_index to_frame to_hdf to_latex to_numpy to_parquet to_period to_pickle "
        "to_pydatetime to_records to_series to_sql to_timestamp truediv tz_convert tz_localize unstack xs"
    )
    | _FRESH
    | OF_OLDER_RELEASES,
    fresh=_FRESH,
    gives=("builtins", "datetime", "numpy"),
)
