import collections


def is_callable(x):
    return isinstance(x, collections.Callable)
