"""What a containerized program imports as ``buildr_jupyter``: inside the image a decorated function is just called.

It goes into the image in the package's place, so that the image needs neither docker nor IPython.
"""

import sys


class Containerize:
    """Takes what the real decorator takes and gives the function back; one with inputs takes those of the image."""

    def __init__(self, package=None, runtime=None):
        self.package = package
        self.runtime = runtime

    def __call__(self, func):
        program = sys.modules.get("_buildr_program")
        wrapped = program.wrap(func) if program else func
        if wrapped is func:
            func.__wrapped__ = func
        return wrapped
