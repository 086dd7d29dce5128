"""Settings of the cluster's parts: what each one reads, and how it is started. Nothing here touches the machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NODE", "NODE_IP", "SERVICE_IP", "Layout", "RegistryAt", "commands", "files"]

NODE = "node1"
NODE_IP = "10.88.0.1"
"""Of the node on the pods' bridge."""
PODS = "10.88.0.0/16"
SERVICES = "10.96.0.0/16"
SERVICE_IP = "10.96.0.1"
PAUSE = "localhost/pause:1"


@dataclass(frozen=True)
class RegistryAt:
    """A registry of the tests, which the node reaches at the same port."""

    port: int
    ca: str | None = None
    """File of the authority of its certificate, None over plain http."""


@dataclass(frozen=True)
class Layout:
    """Where everything of one cluster is, and what it is called."""

    folder: Path
    binary: Path
    cgroup: str
    """Name of its own folder in each hierarchy of cgroups."""
    port: int
    """The API server's."""
    runc: str
    registries: tuple[RegistryAt, ...] = ()

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def containerd_socket(self) -> Path:
        return self.folder / "containerd.sock"

    @property
    def images(self) -> Path:
        """Folder of the archives that are imported at the start."""
        return self.folder / "images"

    def log(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.log"


def files(at: Layout) -> dict[Path, str]:
    """Return each file of settings: path to text."""
    made = {
        at.folder / "cni" / "10-pods.conflist": json.dumps(_pod_network(at)),
        at.folder / "containerd.toml": _containerd(at),
        at.folder / "kubelet.yaml": json.dumps(_kubelet(at)),
        at.folder / "proxy.yaml": json.dumps(_proxy(at)),
        at.folder / "resolv.conf": "nameserver 127.0.0.1\n",
    }
    for registry in at.registries:
        for host in ("127.0.0.1", "localhost", NODE_IP):
            name = f"{host}:{registry.port}"
            made[at.folder / "registries" / name / "hosts.toml"] = _hosts(name, registry.ca)
    return made


def _hosts(name: str, ca: str | None) -> str:
    url = json.dumps(f"{'https' if ca else 'http'}://{name}")
    # The authority stands twice: after a 404 of the host containerd asks the "server", which has its own.
    trust = f"ca = {json.dumps(ca)}\n" if ca else ""
    return f'server = {url}\n{trust}[host.{url}]\ncapabilities = ["pull", "resolve"]\n{trust}'


def _pod_network(at: Layout) -> dict[str, object]:
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": PODS, "rangeStart": "10.88.1.1"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(at.folder / "cni-addresses"),
    }
    bridge = {
        "type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipMasq": False, "ipam": ipam
    }  # fmt: skip
    ports = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}


def _containerd(at: Layout) -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    off = (
        "snapshotter.v1.btrfs", "snapshotter.v1.zfs", "snapshotter.v1.devmapper", "snapshotter.v1.aufs",
        "internal.v1.tracing", "tracing.processor.v1.otlp", "internal.v1.opt",
    )  # fmt: skip
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE no process may have a lower value than its parent.
    return f"""version = 2
root = {json.dumps(str(at.folder / "containerd"))}
state = {json.dumps(str(at.folder / "containerd-state"))}
oom_score = 0
disabled_plugins = {json.dumps([f"io.containerd.{name}" for name in off])}
[grpc]
address = {json.dumps(str(at.containerd_socket))}
[{cri}]
sandbox_image = {json.dumps(PAUSE)}
disable_apparmor = true
restrict_oom_score_adj = true
disable_tcp_service = true
stream_server_address = "127.0.0.1"
[{cri}.containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
BinaryName = {json.dumps(at.runc)}
[{cri}.cni]
bin_dir = "/usr/lib/cni"
conf_dir = {json.dumps(str(at.folder / "cni"))}
[{cri}.registry]
config_path = {json.dumps(str(at.folder / "registries"))}
"""


def _kubelet(at: Layout) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,  # cgroup v2 offers only hugetlb where v1 has the rest
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{at.cgroup}",
        "oomScoreAdj": 0,
        "containerRuntimeEndpoint": f"unix://{at.containerd_socket}",
        "podLogsDir": str(at.folder / "podlogs"),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(at.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(at.pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(at.pki / "kubelet-server.key"),
        "resolvConf": str(at.folder / "resolv.conf"),
        "failSwapOn": False,
        "protectKernelDefaults": True,  # look at the sysctls of the machine, set none
        "makeIPTablesUtilChains": False,
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "50Mi", "nodefs.available": "100Mi", "nodefs.inodesFree": "0%",
            "imagefs.available": "100Mi",
        },
        "serializeImagePulls": False,
        "syncFrequency": "10s",
        "volumePluginDir": str(at.folder / "volume-plugins"),
        "registryPullQPS": 0,
        "clusterDNS": [NODE_IP],
        "clusterDomain": "cluster.local",
        "eventRecordQPS": 0,
        "maxPods": 200,
    }  # fmt: skip


def _proxy(at: Layout) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(at.pki / "proxy.kubeconfig")},
        "clusterCIDR": PODS,
        "hostnameOverride": NODE,
        "oomScoreAdj": 0,
        "bindAddress": "0.0.0.0",
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"minSyncPeriod": "0s", "syncPeriod": "30s"},
    }


def commands(at: Layout) -> dict[str, Sequence[str]]:
    """Return how each part is started, by name, in the order in which they are."""
    pki, etcd = at.pki, "http://127.0.0.1:2379"
    peers = "http://127.0.0.1:2380"

    def told(name: str) -> list[str]:
        return [f"--{use}={pki}/{name}.kubeconfig" for use in _CONFIGS]

    # fmt: off
    parts: dict[str, Sequence[str]] = {
        "etcd": [
            "--name=n", f"--data-dir={at.folder}/etcd", f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}", f"--initial-cluster=n={peers}",
            "--unsafe-no-fsync", "--log-level=warn",
        ],
        "kube-apiserver": [
            f"--etcd-servers={etcd}", "--bind-address=0.0.0.0", f"--secure-port={at.port}", f"--advertise-address={NODE_IP}",
            f"--client-ca-file={pki}/ca.crt", f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt", f"--kubelet-client-key={pki}/apiserver-kubelet.key",
            f"--kubelet-certificate-authority={pki}/ca.crt", "--kubelet-preferred-address-types=InternalIP,Hostname",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={pki}/sa.pub",
            f"--service-account-signing-key-file={pki}/sa.key", f"--service-cluster-ip-range={SERVICES}",
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
            "--profiling=false",
        ],
        "kube-controller-manager": [
            *told("controller-manager"), f"--service-account-private-key-file={pki}/sa.key", f"--root-ca-file={pki}/ca.crt",
            "--use-service-account-credentials=true", "--leader-elect=false", "--bind-address=127.0.0.1",
            f"--flex-volume-plugin-dir={at.folder}/volume-plugins",
        ],
        "kube-scheduler": [*told("scheduler"), "--leader-elect=false", "--bind-address=127.0.0.1"],
        "kubelet": [
            f"--config={at.folder}/kubelet.yaml", f"--kubeconfig={pki}/kubelet.kubeconfig", f"--root-dir={at.folder}/kubelet",
            f"--hostname-override={NODE}", f"--node-ip={NODE_IP}",
        ],
        "kube-proxy": [f"--config={at.folder}/proxy.yaml"],
    }
    # fmt: on
    all_parts = {"containerd": ["containerd", f"--config={at.folder}/containerd.toml", "--log-level=info"]}
    return all_parts | {name: [str(at.binary), name, *words] for name, words in parts.items()}


_CONFIGS = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
