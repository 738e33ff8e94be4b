"""Gateways of others that tests run in processes of their own; built for `make peers` alone."""

from typing import Final

from sandbox.versions import ISTIO_BUILD, GoProgram, Stub

_LEGO: Final = "github.com/go-acme/lego/v5"
_NO_DNS_SERVICES: Final = """\
// Package dns knows no DNS services here.
package dns

import (
\t"fmt"

\t"github.com/go-acme/lego/v5/challenge"
)

// NewDNSChallengeProviderByName refuses all names.
func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
\treturn nil, fmt.Errorf("no DNS service %s", name)
}
"""
_EXT: Final = "github.com/traefik/traefik/dynamic/ext"
_NOTHING_MORE: Final = """\
// Package ext adds nothing to Traefik's configuration.
package ext

// HTTP adds nothing.
type HTTP struct{}

// DeepCopyInto copies nothing.
func (in *HTTP) DeepCopyInto(out *HTTP) { *out = *in }

// Router adds nothing.
type Router struct{}

// DeepCopyInto copies nothing.
func (in *Router) DeepCopyInto(out *Router) { *out = *in }
"""
_AUTH: Final = "github.com/containous/go-http-auth v0.4.1-0.20200324110947-a37a7636d23e"
TRAEFIK_BUILD: Final = GoProgram(
    name="traefik",
    module="github.com/traefik/traefik/v3",
    version="v3.7.13",
    packages=("github.com/traefik/traefik/v3/cmd/traefik",),
    programs=("traefik",),
    expected_seconds=900,
    # Not published in the version that Traefik names: basic and digest authentication.
    replaced=(f"github.com/abbot/go-http-auth => {_AUTH}",),
    stubs=(
        # A hundred clients of DNS services for certificates, some of which are not published.
        Stub(
            _LEGO,
            (("providers/dns/dns.go", _NO_DNS_SERVICES),),
            version="v5.4.1",
            without=("providers/dns", "cmd", "e2e", "main.go"),
        ),
        # Lies in Traefik's own tree and in no module of its own.
        Stub(_EXT, (("go.mod", f"module {_EXT}\n\ngo 1.26.0\n"), ("ext.go", _NOTHING_MORE))),
    ),
)
TRAEFIK_GATEWAY_API: Final = "v1.6.1"
# What tells Envoys of Istio their routes: the release that is asked of admission too.
PILOT_BUILD: Final = GoProgram(
    name="pilot-discovery",
    module=ISTIO_BUILD.module,
    version=ISTIO_BUILD.version,
    packages=("istio.io/istio/pilot/cmd/pilot-discovery",),
    programs=("pilot-discovery",),
    expected_seconds=300,
)
# A third implementation of the Gateway API: it tells an Envoy by xDS what its own Gateways say.
ENVOY_GATEWAY_BUILD: Final = GoProgram(
    name="envoy-gateway",
    module="github.com/envoyproxy/gateway",
    version="v1.9.1",
    packages=("github.com/envoyproxy/gateway/cmd/envoy-gateway",),
    programs=("envoy-gateway",),
    expected_seconds=600,
)
# Makes a Deployment for each Revision of its Services: it is asked why they are not split here.
# Of newer releases the modules that they are made with are not all published.
KNATIVE_BUILD: Final = GoProgram(
    name="knative-controller",
    module="knative.dev/serving",
    version="v0.48.0",
    packages=("knative.dev/serving/cmd/controller",),
    programs=("controller",),
    expected_seconds=300,
)
