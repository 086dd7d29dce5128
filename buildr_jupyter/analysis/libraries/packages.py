"""Packages as a whole: what may be said of all of their functions, the tables of those that do otherwise aside."""

from __future__ import annotations

from buildr_jupyter.analysis.libraries.names import words

__all__ = ["LIBRARIES_OF_VALUES", "LIBRARIES_WITHOUT_STATE", "QUIET_MODULES"]

QUIET_MODULES = words(
    "__future__ abc array ast base64 bisect builtins bz2 calendar cmath collections colorsys copy csv dataclasses "
    "datetime decimal difflib dis doctest email enum fnmatch fractions functools glob gzip hashlib heapq hmac html io "
    "inspect ipaddress itertools json keyword locale lzma math numbers operator os pathlib pickle platform posixpath "
    "pprint random re secrets shlex shutil statistics string struct sys tempfile textwrap time timeit tokenize "
    "traceback types typing typing_extensions unicodedata urllib uuid warnings weakref xml zipfile zlib zoneinfo "
    "numpy pandas scipy sklearn matplotlib seaborn statsmodels sympy networkx PIL tabulate joblib mpl_toolkits plotly "
    "tqdm altair bokeh dateutil pytz requests bs4 skimage nltk xgboost lightgbm IPython contextlib concurrent asyncio "
    "argparse getpass codecs binascii graphlib reprlib stat linecache cycler mlxtend umap imblearn"
)
"""Packages whose functions leave their arguments alone."""

LIBRARIES_WITHOUT_STATE = words(
    "numpy pandas scipy sklearn matplotlib seaborn plotly altair bokeh statistics math cmath itertools functools "
    "operator collections copy json csv re string textwrap datetime calendar fractions random hashlib base64 html "
    "pprint IPython heapq bisect pathlib glob shutil os sys subprocess warnings logging locale sqlite3 pickle joblib"
)
"""Packages of which other tables say what their functions do to the process; a call of another one that is thrown away
was made for what it does."""

LIBRARIES_OF_VALUES = words(
    "math cmath statistics datetime time re json string textwrap functools operator itertools collections copy random "
    "decimal fractions numbers pathlib os glob calendar numpy pandas sklearn scipy hashlib base64 html pprint typing "
    "dataclasses enum uuid csv pickle sys inspect types warnings shutil tempfile abc array heapq bisect io builtins "
    "timeit traceback unicodedata urllib zoneinfo keyword ast difflib secrets statsmodels getpass platform locale"
)
"""Packages whose functions leave what they are given alone, and keep none of it."""
