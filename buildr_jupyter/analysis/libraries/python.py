"""Python's builtins and standard library: what their functions and methods change, give and read."""

from __future__ import annotations

from buildr_jupyter.analysis.libraries.names import Methods, words

__all__ = [
    "ATOMIC_BUILTINS",
    "CALLED_KEYWORDS",
    "CALLING_FUNCTIONS",
    "CONSUMING_BUILTINS",
    "CONTAINERS",
    "FILE_HANDLES",
    "FILE_READERS",
    "FILE_WRITERS",
    "FILE_WRITER_METHODS",
    "HARMLESS_CALLS",
    "ITERATOR_FUNCTIONS",
    "ITERATOR_METHODS",
    "METHODS",
    "MUTATING_FUNCTIONS",
    "MUTATING_METHODS_OF_ARGUMENTS",
    "RNG_CONSTRUCTORS",
    "SHALLOW_METHODS",
    "STORING_METHODS",
]

ATOMIC_BUILTINS = words(
    "len int float str bool bytes complex abs round ord chr hash id repr format isinstance issubclass callable type "
    "ascii bin hex oct divmod pow print any all hasattr input range frozenset object slice help dir"
)
"""Builtins whose result shares nothing that can change with their arguments."""

CONSUMING_BUILTINS = words(
    "list tuple set dict frozenset sum min max any all sorted next zip map filter enumerate reversed iter print len "
    "bytes"
)

ITERATOR_FUNCTIONS = words(
    "iter map filter zip enumerate reversed csv.reader csv.DictReader re.finditer glob.iglob os.scandir os.walk "
    "itertools.accumulate itertools.batched itertools.chain itertools.chain.from_iterable itertools.combinations "
    "itertools.combinations_with_replacement itertools.compress itertools.count itertools.cycle itertools.dropwhile "
    "itertools.filterfalse itertools.groupby itertools.islice itertools.pairwise itertools.permutations "
    "itertools.product itertools.repeat itertools.starmap itertools.takewhile itertools.tee itertools.zip_longest "
    "heapq.merge"
)
ITERATOR_METHODS = words("finditer iterdir glob rglob scandir")

MUTATING_FUNCTIONS = {
    "random.shuffle": (0,), "heapq.heappush": (0,), "heapq.heappop": (0,), "heapq.heapify": (0,),
    "heapq.heapreplace": (0,), "heapq.heappushpop": (0,), "bisect.insort": (0,), "bisect.insort_left": (0,),
    "bisect.insort_right": (0,), "setattr": (0,), "delattr": (0,), "next": (0,), "operator.setitem": (0,),
    "operator.delitem": (0,), "operator.iadd": (0,), "json.dump": (1,), "pickle.dump": (1,), "pickle.load": (0,),
    "json.load": (0,), "shutil.copyfileobj": (0, 1), "exec": (1, 2), "eval": (1, 2), "functools.update_wrapper": (0,),
}  # fmt: skip
"""Dotted function to the positions of the arguments that it changes."""

RNG_CONSTRUCTORS = words("random.Random")

SHALLOW_METHODS = words(
    "append extend insert remove pop clear sort reverse update setdefault add discard popitem appendleft extendleft "
    "popleft rotate intersection_update difference_update symmetric_difference_update move_to_end put put_nowait "
    "get_nowait subtract"
)
"""Methods of containers that change the container and not what is in it."""

CONTAINERS = words(
    "collections.ChainMap collections.Counter collections.OrderedDict collections.UserDict collections.UserList "
    "collections.defaultdict collections.deque"
)
"""Classes of containers beside Python's own: what is taken from one of these by a name is a method of it."""

STORING_METHODS = words(
    "append extend insert update setdefault add appendleft extendleft put put_nowait register subscribe connect attach "
    "enqueue push"
)

MUTATING_METHODS_OF_ARGUMENTS = words("shuffle readinto executemany")

CALLING_FUNCTIONS = words(
    "map filter sorted iter reduce starmap takewhile dropwhile filterfalse accumulate groupby sub subn nlargest "
    "nsmallest merge"
)
"""Names of functions and methods that call what they are given, where no table says of whose library they are."""

CALLED_KEYWORDS = words("key func function pyfunc fun default default_factory repl aggfunc target callback initializer")
"""Names of arguments that are called."""

FILE_READERS = {
    "open": 0, "io.open": 0, "codecs.open": 0, "gzip.open": 0, "bz2.open": 0, "lzma.open": 0, "zipfile.ZipFile": 0,
    "tarfile.open": 0, "sqlite3.connect": 0, "os.stat": 0, "os.path.getsize": 0, "os.path.exists": 0,
    "os.path.isfile": 0, "os.path.isdir": 0, "os.listdir": 0, "os.walk": 0, "os.scandir": 0, "pathlib.Path": 0,
    "pathlib.PosixPath": 0, "pathlib.PurePath": 0, "shutil.copy": 0, "shutil.copyfile": 0, "shutil.move": 0,
    "xml.etree.ElementTree.parse": 0, "configparser.read": 0, "linecache.getlines": 0, "linecache.getline": 0,
    "fileinput.input": 0, "runpy.run_path": 0, "glob.glob": 0, "filecmp.cmp": 0, "wave.open": 0,
}  # fmt: skip
"""Dotted function to the position of the path that it reads (``open`` by its mode)."""

FILE_WRITERS = {
    "os.mkdir": 0, "os.makedirs": 0, "os.remove": 0, "os.unlink": 0, "os.rmdir": 0, "os.rename": 1, "os.replace": 1,
    "shutil.copy": 1, "shutil.copyfile": 1, "shutil.move": 1, "shutil.copytree": 1, "shutil.rmtree": 0,
    "sqlite3.connect": 0, "shutil.make_archive": 0, "shutil.unpack_archive": 1, "urllib.request.urlretrieve": 1,
    "os.symlink": 1, "os.link": 1, "os.utime": 0, "os.chmod": 0,
}  # fmt: skip
"""Dotted function to the position of the path that it writes."""

FILE_HANDLES = words("sqlite3.connect shelve.open")
"""Functions whose result writes to the file that they are given."""

FILE_WRITER_METHODS = words("write_text write_bytes mkdir touch unlink rmdir rename dump")

HARMLESS_CALLS = words("time.sleep asyncio.sleep gc.collect timeit.timeit doctest.testmod builtins.print")
"""Functions that are called for what they do, and that a program does without."""

_FRESH_BUILTINS = words(
    "as_integer_ratio bit_count bit_length capitalize casefold center copy count decode encode endswith expandtabs "
    "find format format_map fromhex hex index is_integer isalnum isalpha isascii isdecimal isdigit isidentifier "
    "islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip maketrans partition removeprefix "
    "removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase "
    "title to_bytes translate upper zfill"
)

_FRESH_DATETIME = words("isoformat strftime")

METHODS = {
    "builtins": Methods(
        quiet=words(
            "__contains__ __eq__ __format__ __getitem__ __hash__ __len__ __repr__ __str__ conjugate difference "
            "fromkeys get intersection isdisjoint issubset issuperset items keys symmetric_difference union values"
        )
        | _FRESH_BUILTINS,
        fresh=_FRESH_BUILTINS,
    ),
    "collections": Methods(
        quiet=words("_asdict _replace elements most_common new_child total"),
        changing=words("__getitem__ subtract"),
        gives=("builtins",),
    ),
    "datetime": Methods(
        quiet=words(
            "astimezone combine date isocalendar isoweekday time timestamp timetuple toordinal total_seconds "
            "utcoffset weekday"
        )
        | _FRESH_DATETIME,
        fresh=_FRESH_DATETIME,
        gives=("builtins",),
    ),
    "decimal": Methods(  # those of a context note in it what was not exact
        quiet=words("as_tuple compare to_integral_value"),
        changing=words("abs divide exp ln log10 max min multiply normalize quantize sqrt subtract"),
        gives=("builtins",),
    ),
    "re": Methods(
        quiet=words("end expand findall finditer fullmatch group groupdict groups match search span start sub subn"),
        gives=("builtins",),
    ),
    "statistics": Methods(quiet=words("cdf pdf"), gives=("builtins",)),
}
"""Module to what is known of the methods of its objects; those of Python's own types are in ``builtins``."""
