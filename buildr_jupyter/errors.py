"""Everything that can go wrong, as one tree.

    BuildrError
    ├── OptionError                 wrong use: an option, a setting, a name            (exit status 2)
    │   ├── ImageRefError           an image reference that no registry would take
    │   ├── UnknownSpec             no builder or runner of that name
    │   └── SettingError            a settings file or variable that cannot be used
    ├── NotebookError               the notebook file or the chosen cell               (exit status 2)
    ├── ExportError                 the cell's program cannot be found
    │   ├── CellSyntaxError         the cell does not parse
    │   ├── UnboundName             nothing supplies a name that the cell reads
    │   ├── DialectError            IPython's dialect in code that must run without IPython
    │   ├── ValueRefused            a computed value that cannot be carried
    │   ├── RequirementError        a module or distribution that cannot be pinned
    │   └── FileRefused             a file that is missing, too large or out of bounds
    ├── ContextError                the context folder: in use, not ours, changed meanwhile
    ├── LeakError                   a credential would have left
    ├── CredentialError             docker's or podman's login files and helpers
    ├── EngineError                 the container engine
    │   ├── EngineUnavailable       nothing answers there
    │   ├── EnginePermission        it is there, but not for this user
    │   └── EngineVersion           it is too old or too new
    ├── ClusterError                the Kubernetes cluster
    │   ├── ClusterUnavailable      no configuration of one, or nothing answers there
    │   ├── ClusterUnauthorized     401: the login is not accepted
    │   ├── ClusterForbidden        403: a right is missing
    │   ├── ClusterRefused          an object that it does not take: admission, a wrong field
    │   │   └── ClusterQuota        a quota of the namespace is used up
    │   └── ClusterNotFound         404: no such object or namespace
    ├── BuildError                  a step of the build failed
    │   ├── BuildRefused            the builder cannot do what is asked, said before it starts
    │   └── BuildBusy               the same reference is being built already
    ├── PublishError                the push failed
    │   ├── RegistryUnauthorized    401: no login, or a wrong one
    │   ├── RegistryDenied          403: logged in, but not allowed
    │   ├── RegistryUnreachable     no answer, or no such host
    │   └── RegistryCertificate     TLS, but an unknown certificate
    ├── RunError                    the container could not be started or followed
    │   ├── RunLost                 the container is gone, and nothing tells how it ended
    │   └── ReturnError             a value that a run should have given back is missing, damaged or not trusted
    ├── JournalError                the journal of runs cannot be used
    └── Cancelled                   a person stopped it                                (exit status 130)

Each message says what failed, on what, and why; ``hint`` is one sentence about what to do next.
"""

from __future__ import annotations

import re

__all__ = [
    "BuildBusy",
    "BuildError",
    "BuildRefused",
    "BuildrError",
    "Cancelled",
    "CellSyntaxError",
    "ClusterError",
    "ClusterForbidden",
    "ClusterNotFound",
    "ClusterQuota",
    "ClusterRefused",
    "ClusterUnauthorized",
    "ClusterUnavailable",
    "ContextError",
    "CredentialError",
    "DialectError",
    "EngineError",
    "EnginePermission",
    "EngineUnavailable",
    "EngineVersion",
    "ExportError",
    "FileRefused",
    "ImageRefError",
    "JournalError",
    "LeakError",
    "NotebookError",
    "OptionError",
    "PublishError",
    "RegistryCertificate",
    "RegistryDenied",
    "RegistryUnauthorized",
    "RegistryUnreachable",
    "RequirementError",
    "ReturnError",
    "RunError",
    "RunLost",
    "SettingError",
    "UnboundName",
    "UnknownSpec",
    "ValueRefused",
]


_CONTROLS = re.compile("\x1b\\[[0-?]*[ -/]*[@-~]|[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\u202a-\u202e\u2066-\u2069]")


class BuildrError(Exception):
    """Something failed; ``str(error)`` is the sentence, ``error.hint`` the way out.

    ``exit_status`` is what the command line returns for it.
    """

    exit_status = 1
    stage: str | None = None
    """The pipeline's stage in which it happened; the pipeline sets it."""
    result: object = None
    """The ``BuildResult`` of what was made before it failed, None where there is nothing."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def render(self) -> list[str]:
        """Return the lines that a person sees: the sentence, then the hint."""
        lines = [f"{type(self).__name__}: {self}"]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return lines

    def _render_traceback_(self) -> list[str]:
        """IPython shows these lines in place of a traceback; an engine's words move no cursor."""
        return [_CONTROLS.sub("", line) for line in self.render()]


class OptionError(BuildrError):
    """An option, a setting or a name was used wrongly."""

    exit_status = 2


class ImageRefError(OptionError):
    """An image reference that no registry would take."""


class UnknownSpec(OptionError):
    """No builder or runner has this name."""


class SettingError(OptionError):
    """A settings file or an environment variable cannot be used."""


class NotebookError(BuildrError):
    """The notebook file, or the cell chosen in it, cannot be used."""

    exit_status = 2


class ExportError(BuildrError):
    """The program that the cell really is could not be found."""


class CellSyntaxError(ExportError):
    """The cell does not parse."""


class UnboundName(ExportError):
    """Nothing supplies a name that the cell reads."""


class DialectError(ExportError):
    """Needed code uses something that only IPython has."""


class ValueRefused(ExportError):
    """A computed value can be carried neither as code nor as data."""


class RequirementError(ExportError):
    """A module belongs to no distribution that the image could install."""

    absent: str | None = None
    """The dotted name of the module, where it is that it is not installed."""


class FileRefused(ExportError):
    """A file is missing, too large, or lies where nothing may be taken from."""


class ContextError(BuildrError):
    """The context folder is in use, is not ours, or changed while it was read."""


class LeakError(BuildrError):
    """A credential would have left with the image."""


class CredentialError(BuildrError):
    """A login file or a credential helper cannot be used."""


class EngineError(BuildrError):
    """The container engine did not do what it was asked."""


class EngineUnavailable(EngineError):
    """No engine answers at the address."""


class EnginePermission(EngineError):
    """The engine is there, but this user may not talk to it."""


class EngineVersion(EngineError):
    """The engine speaks no version that we speak."""


class ClusterError(BuildrError):
    """The Kubernetes cluster did not do what it was asked."""


class ClusterUnavailable(ClusterError):
    """No cluster is configured, or nothing answers at its address."""


class ClusterUnauthorized(ClusterError):
    """The cluster does not accept the login (401)."""


class ClusterForbidden(ClusterError):
    """The login is known but may not do this (403)."""


class ClusterRefused(ClusterError):
    """The cluster does not take an object: its quota, its admission, or a field that is wrong."""


class ClusterQuota(ClusterRefused):
    """A quota of the namespace is used up."""


class ClusterNotFound(ClusterError):
    """The cluster has no such object or namespace (404)."""


class BuildError(BuildrError):
    """A build failed; the text begins with ``Image build failed:``, as the seed's did.

    ``step`` is the title of the failing step, ``exit_code`` its command's exit status where the engine tells it,
    ``log_tail`` the last lines that the build printed, oldest first.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        step: str | None = None,
        exit_code: int | None = None,
        log_tail: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.step = step
        self.exit_code = exit_code
        self.log_tail = log_tail

    def render(self) -> list[str]:
        lines = super().render()
        if self.step:
            lines.insert(1, f"  step: {self.step}")
        lines[1:1] = [f"  | {line}" for line in self.log_tail[-10:]]
        return lines


class BuildRefused(BuildError):
    """The builder cannot do what is asked; nothing was started."""

    exit_status = 2


class BuildBusy(BuildError):
    """The same reference is being built already; ``handle`` is that build."""

    def __init__(self, message: str, *, handle: object, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.handle = handle


class PublishError(BuildrError):
    """A push failed; the text begins with ``Image push failed:``, as the seed's did.

    Where a registry answered, ``method`` is the HTTP method, ``status`` its status and ``code`` the registry's own
    word for it (``DENIED``, ``NAME_UNKNOWN`` …); else they are None.
    """

    method: str | None = None
    status: int | None = None
    code: str | None = None


class RegistryUnauthorized(PublishError):
    """The registry wants a login, or refuses the one that it got (401)."""


class RegistryDenied(PublishError):
    """The login is known but may not do this (403)."""


class RegistryUnreachable(PublishError):
    """The registry does not answer, or there is no such host."""


class RegistryCertificate(PublishError):
    """The registry's certificate is not trusted here."""


class RunError(BuildrError):
    """The container could not be started, followed or removed, or ended badly.

    ``exit_code`` is the container's own, None where it never ran; ``log_tail`` the last lines that it wrote.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, exit_code: int | None = None, log_tail: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code
        self.log_tail = log_tail

    def render(self) -> list[str]:
        lines = super().render()
        lines[1:1] = [f"  | {line}" for line in self.log_tail[-10:]]
        return lines


class RunLost(RunError):
    """What ran is gone, and nothing tells how it ended."""


class ReturnError(RunError):
    """A value that a run should have given back is missing, is not what its manifest says, or cannot be read."""


class JournalError(BuildrError):
    """The journal of runs is damaged, of a newer version, or lies where this user may not write."""


class Cancelled(BuildrError):
    """A person stopped the work; nothing half-made is left."""

    exit_status = 130
