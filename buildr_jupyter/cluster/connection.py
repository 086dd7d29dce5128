"""Connection to a cluster: a kubeconfig's context, or the account of the pod that this process runs in."""

from __future__ import annotations

import atexit
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildr_jupyter.config.suggestions import nearest_hint
from buildr_jupyter.errors import ClusterUnavailable, OptionError
from buildr_jupyter.process.tempfiles import Scratch

if TYPE_CHECKING:
    from buildr_jupyter.cluster.kube_client import KubeClient

__all__ = ["connect"]

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER = "in-cluster"


def connect(
    context: str | None = None,
    namespace: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    account: Path = _ACCOUNT,
) -> KubeClient:
    """Return a client of the cluster; it sends nothing yet.

    Without a context it is the kubeconfig's current one, and where there is no kubeconfig, the account of this pod.
    Without a namespace it is the context's, else ``default``. Raises OptionError where the extra is not installed or
    the context does not exist, ClusterUnavailable where there is no configuration or its login command fails.
    """
    try:
        import kubernetes  # noqa: F401 - 75 MB, an extra
    except ImportError:
        raise OptionError(
            "kubernetes: its client is not installed here", hint="run pip install 'buildr-jupyter[kubernetes]'"
        ) from None
    environ = os.environ if environ is None else environ
    files = environ.get("KUBECONFIG") or str(Path(environ.get("HOME") or Path.home()) / ".kube" / "config")
    if any(Path(one).is_file() for one in files.split(os.pathsep)):
        return _from_files(files, context, namespace)
    if environ.get("KUBERNETES_SERVICE_HOST") and context in (None, IN_CLUSTER):
        return _from_account(account, namespace, environ)
    raise ClusterUnavailable(
        f"kubernetes: there is no configuration of a cluster: no file {files}, and this is no pod",
        hint="set KUBECONFIG to the file that kubectl uses",
    )


def _from_files(files: str, context: str | None, namespace: str | None) -> KubeClient:
    from kubernetes import config
    from kubernetes.client import Configuration

    from buildr_jupyter.cluster.kube_client import KubeClient

    def load() -> Any:
        found = Configuration()
        try:
            config.load_kube_config(
                files, context=name, client_configuration=found, persist_config=False, temp_file_path=_certificates()
            )
        except (config.ConfigException, OSError, ValueError, KeyError, TypeError) as error:
            raise _unusable(files, error) from error
        if why := _login_command_fails(files, name, found):
            raise ClusterUnavailable(
                f"cluster {name}: the login command of kubeconfig {files} fails: {why}",
                hint="run kubectl get pods: it runs the same command and has to work first",
            )
        return found

    try:
        contexts, current = config.list_kube_config_contexts(files)
    except (config.ConfigException, OSError, ValueError, TypeError, AttributeError) as error:
        raise _unusable(files, error) from error
    known = {str(one["name"]): one.get("context") or {} for one in contexts or ()}
    if f"{context}/{namespace}" in known:  # the names of some clouds' contexts have a slash in them
        context, namespace = f"{context}/{namespace}", None
    name = context or (str(current["name"]) if current else "")
    if name not in known:
        raise OptionError(
            f"--on kubernetes={name}: kubeconfig {files} has no such context",
            hint=nearest_hint(name, known, f"choose one that is there: {', '.join(sorted(known)) or 'none'}"),
        )
    return KubeClient(load, context=name, namespace=namespace or str(known[name].get("namespace") or "default"))


@functools.cache
def _certificates() -> str:
    """Return the folder of this process where the official client writes a kubeconfig's keys, as TLS reads files.

    It is removed at the process's end, and where that is killed, by a later command.
    """
    folder = Scratch()
    atexit.register(folder.close)
    return str(folder.path / "kubernetes")


def _from_account(account: Path, namespace: str | None, environ: Mapping[str, str]) -> KubeClient:
    from kubernetes import config
    from kubernetes.client import Configuration
    from kubernetes.config.incluster_config import InClusterConfigLoader

    from buildr_jupyter.cluster.kube_client import KubeClient

    def load() -> Any:
        found = Configuration()
        try:
            InClusterConfigLoader(
                token_filename=str(account / "token"), cert_filename=str(account / "ca.crt"), environ=environ
            ).load_and_set(found)
        except (config.ConfigException, OSError) as error:
            raise ClusterUnavailable(
                f"kubernetes: the account of this pod cannot be used: {error}",
                hint="give the pod a service account with automountServiceAccountToken: true",
            ) from error
        return found

    own = account / "namespace"
    return KubeClient(
        load,
        context=IN_CLUSTER,
        known=True,
        namespace=namespace or (own.read_text("utf-8").strip() if own.is_file() else "") or "default",
    )


def _unusable(files: str, error: Exception) -> ClusterUnavailable:
    return ClusterUnavailable(
        f"kubeconfig {files} cannot be used: {error}", hint="see what kubectl makes of it: kubectl config view"
    )


def _login_command_fails(files: str, context: str, loaded: Any) -> str | None:
    """Return why the context's login command gave nothing, which the official client only logs; None where it did."""
    from kubernetes.config.exec_provider import ExecProvider
    from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

    if loaded.api_key or loaded.cert_file:
        return None
    user = KubeConfigLoader(KubeConfigMerger(files).config, active_context=context)._user
    if not user or "exec" not in user:
        return None
    try:
        status = ExecProvider(user["exec"], None).run()
    except Exception as error:  # noqa: BLE001 - whatever it raises is the reason
        return str(error)
    return None if "token" in status else "it gives neither a token nor a certificate"
