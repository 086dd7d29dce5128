"""What is known of the standard library, numpy, pandas, scikit-learn and matplotlib: who changes what.

Tables only. A name that is in no table is taken to change what it is given, where that cannot be ruled out.
"""

from __future__ import annotations

__all__ = [
    "ATOMIC_BUILTINS",
    "CALLED_KEYWORDS",
    "CALLING_FUNCTIONS",
    "CHANGES_BY_TYPE",
    "CONSUMING_BUILTINS",
    "CONTAINERS",
    "DRAWING",
    "FILE_HANDLES",
    "FILE_READERS",
    "FILE_WRITERS",
    "FILE_WRITER_METHODS",
    "FRESH_METHODS",
    "HARMLESS_CALLS",
    "IMPORTS_THAT_CHANGE",
    "ITERATOR_FUNCTIONS",
    "ITERATOR_METHODS",
    "LEFT_BY_QUESTIONS",
    "LIBRARIES_OF_VALUES",
    "LIBRARIES_WITHOUT_STATE",
    "MUTATING_FUNCTIONS",
    "MUTATING_METHODS_OF_ARGUMENTS",
    "PURE_METHODS",
    "QUESTIONS",
    "QUIET_MODULES",
    "RNG_CONSTRUCTORS",
    "SHALLOW_METHODS",
    "STORING_METHODS",
    "VIEW_FUNCTIONS",
    "words",
]


def words(text: str) -> frozenset[str]:
    """Return the words of a text, which white space parts: how a table of names is written."""
    return frozenset(text.split())


ATOMIC_BUILTINS = words(
    "len int float str bool bytes complex abs round ord chr hash id repr format isinstance issubclass callable "
    "type "
    "ascii bin hex oct divmod pow print any all hasattr input range frozenset object slice help dir"
)
"""Builtins whose result shares nothing that can change with their arguments."""

CONSUMING_BUILTINS = words(
    "list tuple set dict frozenset sum min max any all sorted next zip map filter enumerate reversed iter "
    "print len bytes"
)

ITERATOR_FUNCTIONS = words(
    "iter map filter zip enumerate reversed csv.reader csv.DictReader re.finditer glob.iglob os.scandir "
    "os.walk "
    "itertools.accumulate itertools.batched itertools.chain itertools.chain.from_iterable "
    "itertools.combinations "
    "itertools.combinations_with_replacement itertools.compress itertools.count itertools.cycle "
    "itertools.dropwhile "
    "itertools.filterfalse itertools.groupby itertools.islice itertools.pairwise itertools.permutations "
    "itertools.product itertools.repeat itertools.starmap itertools.takewhile itertools.tee "
    "itertools.zip_longest "
    "numpy.nditer numpy.ndenumerate heapq.merge"
)

ITERATOR_METHODS = words("finditer iterrows itertuples iterdir glob rglob iter_rows split_iter scandir")

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

MUTATING_FUNCTIONS = {
    "random.shuffle": (0,),
    "numpy.random.shuffle": (0,),
    "heapq.heappush": (0,),
    "heapq.heappop": (0,),
    "heapq.heapify": (0,),
    "heapq.heapreplace": (0,),
    "heapq.heappushpop": (0,),
    "bisect.insort": (0,),
    "bisect.insort_left": (0,),
    "bisect.insort_right": (0,),
    "setattr": (0,),
    "delattr": (0,),
    "next": (0,),
    "operator.setitem": (0,),
    "operator.delitem": (0,),
    "operator.iadd": (0,),
    "numpy.copyto": (0,),
    "numpy.fill_diagonal": (0,),
    "numpy.place": (0,),
    "numpy.put": (0,),
    "numpy.put_along_axis": (0,),
    "numpy.putmask": (0,),
    "numpy.add.at": (0,),
    "numpy.subtract.at": (0,),
    "numpy.multiply.at": (0,),
    "numpy.maximum.at": (0,),
    "numpy.minimum.at": (0,),
    "json.dump": (1,),
    "pickle.dump": (1,),
    "pickle.load": (0,),
    "json.load": (0,),
    "shutil.copyfileobj": (0, 1),
    "csv.writer": (),
    "exec": (1, 2),
    "eval": (1, 2),
    "functools.update_wrapper": (0,),
    "functools.singledispatch": (),
    "matplotlib.pyplot.setp": (0,),
    "matplotlib.pyplot.sca": (0,),
    "matplotlib.pyplot.figure": (0,),
    "matplotlib.pyplot.colorbar": (0,),
    "matplotlib.pyplot.close": (0,),
}
"""Dotted function to the positions of the arguments that it changes."""

QUIET_MODULES = words(
    "__future__ abc array ast base64 bisect builtins bz2 calendar cmath collections colorsys copy csv "
    "dataclasses "
    "datetime decimal difflib dis doctest email enum fnmatch fractions functools glob gzip hashlib heapq hmac "
    "html io "
    "inspect ipaddress itertools json keyword locale lzma math numbers operator os pathlib pickle platform "
    "posixpath "
    "pprint random re secrets shlex shutil statistics string struct sys tempfile textwrap time timeit tokenize "
    "traceback types typing typing_extensions unicodedata urllib uuid warnings weakref xml zipfile zlib "
    "zoneinfo "
    "numpy pandas scipy sklearn matplotlib seaborn statsmodels sympy networkx PIL tabulate joblib mpl_toolkits "
    "plotly "
    "tqdm altair bokeh dateutil pytz requests bs4 skimage nltk xgboost lightgbm IPython contextlib "
    "concurrent asyncio argparse getpass codecs binascii graphlib reprlib stat linecache cycler mlxtend umap "
    "imblearn"
)
"""Packages whose functions leave their arguments alone, the tables above aside."""

RNG_CONSTRUCTORS = words(
    "numpy.random.default_rng numpy.random.RandomState numpy.random.Generator random.Random numpy.random.SeedSequence"
)

SHALLOW_METHODS = words(
    "append extend insert remove pop clear sort reverse update setdefault add discard popitem appendleft "
    "extendleft "
    "popleft rotate intersection_update difference_update symmetric_difference_update move_to_end put "
    "put_nowait get_nowait "
    "subtract"
)
"""Methods of containers that change the container and not what is in it."""

CONTAINERS = words(
    "collections.ChainMap collections.Counter collections.OrderedDict collections.UserDict collections.UserList "
    "collections.defaultdict collections.deque"
)
"""Classes of containers beside Python's own: what is taken from one of these by a name is a method of it."""

CALLING_FUNCTIONS = words(
    "map filter sorted iter reduce starmap takewhile dropwhile filterfalse accumulate groupby sub subn nlargest "
    "nsmallest merge apply applymap agg aggregate transform pipe vectorize frompyfunc apply_along_axis "
    "apply_over_axes fromfunction piecewise"
)
"""Names of functions and methods that call what they are given, where no table says of whose library they are."""

CALLED_KEYWORDS = words("key func function pyfunc fun default default_factory repl aggfunc target callback initializer")
"""Names of arguments that are called."""

STORING_METHODS = words(
    "append extend insert update setdefault add appendleft extendleft put put_nowait register subscribe "
    "connect attach "
    "enqueue push"
)

MUTATING_METHODS_OF_ARGUMENTS = words("shuffle readinto executemany")

_STR = (
    "capitalize casefold center count encode endswith expandtabs find format format_map index isalnum isalpha "
    "isascii "
    "isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower "
    "lstrip "
    "maketrans partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split "
    "splitlines "
    "startswith strip swapcase title translate upper zfill decode hex"
)
_CONTAINERS = (
    "copy get items keys values count index union intersection difference symmetric_difference issubset "
    "issuperset "
    "isdisjoint most_common elements fromkeys total"
)
_NUMBERS = "bit_length bit_count to_bytes as_integer_ratio is_integer conjugate fromhex"
_ARRAYS = (
    "all any argmax argmin argsort astype choose clip compress conj cumprod cumsum diagonal dot dump dumps "
    "flatten item "
    "max mean min nonzero prod ptp ravel repeat reshape round searchsorted squeeze std sum swapaxes take "
    "tobytes tolist "
    "trace transpose var view outer argpartition"
)
_FRAMES = (
    "abs add_prefix add_suffix agg aggregate align applymap map apply asfreq asof assign at_time between "
    "between_time "
    "bfill bool combine combine_first compare convert_dtypes corr corrwith cov cummax cummin describe diff div "
    "divide "
    "dot drop drop_duplicates droplevel dropna duplicated eq equals eval ewm expanding explode ffill fillna "
    "filter first "
    "floordiv ge groupby gt head hist idxmax idxmin infer_objects info interpolate isin isna isnull "
    "iterrows "
    "itertuples join kurt kurtosis last le loc lt mad mask median melt memory_usage merge mod mode mul "
    "multiply ne "
    "nlargest notna notnull nsmallest nunique pct_change pipe pivot pivot_table plot pow product quantile "
    "query radd rank "
    "rdiv reindex rename rename_axis reorder_levels replace resample reset_index rolling rtruediv rsub sample "
    "select_dtypes "
    "sem set_axis set_index shift size skew sort_index sort_values squeeze stack sub subtract swaplevel tail "
    "to_dict "
    "to_frame to_html to_json to_latex to_list to_markdown to_numpy to_period to_records to_series to_string "
    "to_timestamp "
    "truediv truncate tz_convert tz_localize unique unstack value_counts where xs cat contains extract "
    "extractall findall "
    "get_dummies len match pad slice total_seconds strftime normalize day_name month_name isocalendar floor "
    "ceil "
    "get_group ngroup cumcount nth ohlc transform boxplot crosstab cut qcut is_unique searchsorted factorize "
    "set_flags get_level_values isna items first_valid_index last_valid_index to_pydatetime to_flat_index "
    "set_levels set_names memory_usage set_codes rfloordiv rmod rmul rpow ge lt add_categories "
    "remove_categories "
    "rename_categories set_categories reorder_categories remove_unused_categories as_ordered as_unordered "
    "to_clipboard"
)
_ESTIMATORS = (
    "predict predict_proba predict_log_proba decision_function score transform inverse_transform "
    "get_feature_names_out get_feature_names kneighbors kneighbors_graph get_n_splits score_samples apply "
    "decision_path "
    "staged_predict staged_score staged_predict_proba bic aic get_support get_depth get_n_leaves sparsify "
    "cost_complexity_pruning_path "
    "build_analyzer build_tokenizer build_preprocessor"
)
_OTHERS = (
    "strftime isoformat timestamp date time weekday isoweekday timetuple toordinal utcoffset astimezone group "
    "groups "
    "groupdict start end span search match fullmatch findall finditer sub subn exists is_file is_dir stat "
    "resolve "
    "absolute relative_to with_suffix with_name with_stem joinpath as_posix iterdir glob rglob expanduser "
    "parent "
    "hexdigest digest tocsr tocsc tocoo toarray todense issubset get_xlim get_ylim get_xticks get_yticks "
    "get_title "
    "get_xlabel get_ylabel get_legend get_lines get_size_inches mro __len__ __repr__ __str__ __eq__ "
    "__contains__ "
    "__getitem__ __class__ __subclasses__ __hash__ __format__ __sizeof__ __dir__ limit_denominator quantize "
    "sqrt to_integral_value "
    "as_tuple ln log10 exp pdf cdf ppf sf isf logpdf pmf interval getvalue getbuffer fileno isatty readable "
    "writable seekable "
    "nodes edges neighbors degree number_of_nodes number_of_edges subs simplify expand factor evalf doit "
    "diff integrate solve total_ordering namelist infolist is_absolute match_hostname exists lexists "
    "getrandbits_ "
    "_asdict _replace _fields model_dump new_child locate"
)
PURE_METHODS = (
    words(" ".join((_STR, _CONTAINERS, _NUMBERS, _ARRAYS, _FRAMES, _ESTIMATORS, _OTHERS)))
    | ITERATOR_METHODS
    | words("to_csv to_excel to_parquet to_pickle to_feather to_sql to_hdf savefig write_text write_bytes read_text")
    | words("read_bytes mkdir touch unlink rmdir tofile")
) - words("register")
"""Methods that leave their receiver alone, unless called with ``inplace=`` or ``out=``."""

DRAWING = words(
    "axhline axhspan axvline axvspan bar barh boxplot contour contourf errorbar fill fill_between fill_betweenx "
    "hexbin hist hist2d hlines imshow loglog matshow pcolormesh pie plot scatter semilogx semilogy set_title "
    "set_xlabel set_xlim set_ylabel set_ylim stem step suptitle text title violinplot vlines xlabel xlim ylabel ylim"
)
"""Functions of matplotlib.pyplot, and methods of its axes, that neither change nor keep the data that they draw."""

QUESTIONS = {
    "statsmodels": words(
        "conf_int cov_params f_test get_forecast get_prediction head summary summary2 summary_frame "
        "t_test tail wald_test"
    )
}
"""Package to the methods that change nothing of its objects, or of the tables that it gives, and draw nothing."""

LEFT_BY_QUESTIONS = words("dframe diagn endog_names predict_dates predict_end predict_start table")
"""Attributes that these methods leave, all the same: who reads one needs the calls before."""

CHANGES_BY_TYPE = {"ndarray": words("partition sort fill put resize itemset setflags setfield byteswap")}
"""Methods that change an object of this type, though another type's of that name change nothing."""

FRESH_METHODS = (
    words(" ".join((_STR, _NUMBERS, _ESTIMATORS)))
    | words(
        "copy tolist tobytes item sum mean min max std var argmax argmin argsort cumsum cumprod prod round astype "
        "flatten "
        "all any describe corr cov value_counts nunique unique idxmax idxmin median mode quantile isna isnull "
        "notna "
        "notnull duplicated to_numpy_ to_dict to_list isin sort_values sort_index dropna fillna drop merge join "
        "agg "
        "aggregate pivot pivot_table melt query nlargest nsmallest sample rank diff pct_change cumcount apply "
        "applymap "
        "assign rename reset_index set_index reindex replace clip abs explode drop_duplicates get_dummies "
        "select_dtypes "
        "shift to_string to_json to_html to_markdown where mask interpolate ffill "
        "bfill "
        "corrwith concat add mul div dot head_ tail_ memory_usage info keys_ count index strftime isoformat "
        "hexdigest digest"
    )
) - words("add conjugate")
"""Methods whose result shares nothing with an array, a frame or a string that they are called on."""

LIBRARIES_WITHOUT_STATE = words(
    "numpy pandas scipy sklearn matplotlib seaborn plotly altair bokeh statistics math cmath itertools functools "
    "operator collections copy json csv re string textwrap datetime calendar fractions random hashlib base64 html "
    "pprint IPython heapq bisect pathlib glob shutil os sys subprocess warnings logging locale sqlite3 pickle joblib"
)
"""Packages of which other tables say what their functions do to the process; a call of another one that is thrown away
was made for what it does."""

HARMLESS_CALLS = words("time.sleep asyncio.sleep gc.collect timeit.timeit doctest.testmod builtins.print")
"""Functions that are called for what they do, and that a program does without."""

LIBRARIES_OF_VALUES = words(
    "math cmath statistics datetime time re json string textwrap functools operator itertools collections copy random "
    "decimal fractions numbers pathlib os glob calendar numpy pandas sklearn scipy hashlib base64 html pprint typing "
    "dataclasses enum uuid csv pickle sys inspect types warnings shutil tempfile abc array heapq bisect io builtins "
    "timeit traceback unicodedata urllib zoneinfo keyword ast difflib secrets statsmodels getpass platform locale"
)
"""Packages whose functions leave what they are given alone, the tables of those that do not aside."""

FILE_READERS = {
    "open": 0, "io.open": 0, "codecs.open": 0, "gzip.open": 0, "bz2.open": 0, "lzma.open": 0, "zipfile.ZipFile": 0,
    "tarfile.open": 0, "sqlite3.connect": 0, "numpy.load": 0, "numpy.loadtxt": 0, "numpy.genfromtxt": 0,
    "numpy.fromfile": 0, "joblib.load": 0, "PIL.Image.open": 0, "matplotlib.pyplot.imread": 0,
    "matplotlib.image.imread": 0, "scipy.io.loadmat": 0, "scipy.io.wavfile.read": 0, "os.stat": 0,
    "os.path.getsize": 0, "os.path.exists": 0, "os.path.isfile": 0, "os.path.isdir": 0, "os.listdir": 0, "os.walk": 0,
    "os.scandir": 0, "pathlib.Path": 0, "pathlib.PosixPath": 0, "pathlib.PurePath": 0, "shutil.copy": 0,
    "shutil.copyfile": 0, "shutil.move": 0, "cv2.imread": 0, "skimage.io.imread": 0, "imageio.imread": 0,
    "imageio.v2.imread": 0, "imageio.v3.imread": 0, "pandas.ExcelFile": 0, "pandas.HDFStore": 0,
    "yaml.safe_load_file": 0, "h5py.File": 0, "netCDF4.Dataset": 0, "xarray.open_dataset": 0, "geopandas.read_file": 0,
    "xml.etree.ElementTree.parse": 0, "configparser.read": 0, "linecache.getlines": 0, "linecache.getline": 0,
    "fileinput.input": 0, "runpy.run_path": 0, "glob.glob": 0, "filecmp.cmp": 0, "torch.load": 0, "wave.open": 0,
    **{f"pandas.read_{kind}": 0 for kind in words(
        "csv table fwf excel json parquet pickle feather hdf html xml orc stata sas spss")},
}  # fmt: skip
"""Dotted function to the position of the path that it reads (``open`` by its mode)."""

FILE_WRITERS = {
    "numpy.save": 0, "numpy.savez": 0, "numpy.savez_compressed": 0, "numpy.savetxt": 0, "joblib.dump": 1,
    "os.mkdir": 0, "os.makedirs": 0, "os.remove": 0, "os.unlink": 0, "os.rmdir": 0, "os.rename": 1, "os.replace": 1,
    "shutil.copy": 1, "shutil.copyfile": 1, "shutil.move": 1, "shutil.copytree": 1, "shutil.rmtree": 0,
    "scipy.io.savemat": 0, "scipy.io.wavfile.write": 0, "matplotlib.pyplot.imsave": 0, "pandas.to_pickle": 1,
    "matplotlib.pyplot.savefig": 0,
    "pandas.ExcelWriter": 0, "sqlite3.connect": 0, "torch.save": 1, "shutil.make_archive": 0,
    "shutil.unpack_archive": 1,
    "urllib.request.urlretrieve": 1, "os.symlink": 1, "os.link": 1, "os.utime": 0, "os.chmod": 0,
}  # fmt: skip

FILE_HANDLES = words("sqlite3.connect shelve.open pandas.HDFStore pandas.ExcelWriter")
"""Functions whose result writes to the file that they are given."""

FILE_WRITER_METHODS = words(
    "to_csv to_excel to_parquet to_pickle to_feather to_json to_hdf to_html to_markdown to_latex to_stata "
    "to_xml to_sql "
    "write_text write_bytes mkdir touch unlink rmdir rename tofile dump save_model savefig"
)

IMPORTS_THAT_CHANGE = {
    "sklearn.experimental": "sklearn",
    "mpl_toolkits": "matplotlib",
    "scienceplots": "matplotlib",
    "hvplot": "pandas",
    "pandas_": "pandas",
    "swifter": "pandas",
    "sklearnex": "sklearn",
}
"""Modules that change another package by being imported: prefix of the module to that package."""
