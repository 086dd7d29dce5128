"""What a containerized program imports as ``buildr_jupyter``: inside the image a decorated function is just called.

It goes into the image in the package's place, so that the image needs neither docker nor IPython.
"""


class Containerize:
    """Takes what the real decorator takes and gives the function back."""

    def __init__(self, package=None, runtime=None):
        self.package = package
        self.runtime = runtime

    def __call__(self, func):
        func.__wrapped__ = func
        return func
