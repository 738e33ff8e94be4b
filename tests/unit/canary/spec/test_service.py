"""What no API server takes of a Canary's service is said when it is written."""

from typing import Any

import pytest

from canary.spec.service import strange_service

GATEWAY = {"gatewayRefs": [{"name": "public"}]}


def said(provider: str = "", **service: Any) -> list[str]:
    target = {"kind": "Deployment", "name": "web"}
    spec = {"targetRef": target, "provider": provider, "service": {"port": 80, **service}}
    return strange_service(spec)


@pytest.mark.parametrize(
    "service",
    [
        {},
        {"name": "web", "targetPort": "http-alt"},
        {"name": "", "targetPort": 0},
        {"port": 65535, "targetPort": 8080},
        {"targetPort": ""},
        {**GATEWAY, "hosts": ["web.example", "*.shop.example", "3scale.example"]},
        {**GATEWAY, "timeout": "1m30s", "backendTimeout": "500ms"},
        {**GATEWAY, "timeout": "0s", "backendTimeout": "10s"},
        {**GATEWAY, "match": [{}, {"uri": {}}, {"uri": {"prefix": "/"}}]},
        {**GATEWAY, "match": [{"uri": {"regex": "/v[0-9]+"}, "method": {"exact": "GET"}}]},
        {**GATEWAY, "rewrite": {"uri": "/", "type": "ReplacePrefixMatch", "authority": "a.b"}},
        {"hosts": ["*"], "timeout": "soon", "match": [{"uri": {"prefix": "v1"}}]},
    ],
    ids=str,
)
def test_what_can_be_made_is_taken_and_what_is_not_asked_for_is_not_looked_at(
    service: dict[str, Any],
) -> None:
    assert said(**service) == []


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ({"port": 0}, "service.port: '0' must be a whole number from 1 to 65535"),
        ({"port": 80.5}, "service.port: '80.5' must be"),
        ({"port": 65536}, "service.port: '65536' must be"),
        ({"port": -80}, "service.port: '-80' must be"),
        ({"port": 1e300}, "service.port: '1e+300' must be"),
        ({"targetPort": 70_000}, "service.targetPort: '70000' must be"),
        ({"targetPort": "8080"}, "service.targetPort: '8080' is neither a port nor the name"),
        ({"targetPort": "HTTP"}, "service.targetPort: 'HTTP' is neither"),
        ({"targetPort": "a" * 16}, "is neither a port nor the name of one"),
        ({"name": "Web"}, "service.name: no Service can be called 'Web'"),
        ({"name": "w" * 64}, "service.name: no Service can be called"),
        ({"name": "web.prod"}, "service.name: no Service can be called 'web.prod'"),
        # By the id that is made of it mutmut does not find it again: it is escaped twice.
        pytest.param(
            {"name": "\u00fc"}, "service.name: no Service can be called '\u00fc'", id="not ASCII"
        ),
        ({"hosts": ["*"]}, "service.hosts: '*' is no name of a host"),
        ({"hosts": ["web.example", ""]}, "service.hosts: '' is no name of a host"),
        ({"hosts": ["web.example:80"]}, "service.hosts: 'web.example:80' is"),
        ({"hosts": ["10.0.0.1"]}, "service.hosts: '10.0.0.1' is no name of a host"),
        ({"timeout": "soon"}, "service.timeout: 'soon' is no duration"),
        ({"timeout": "1.5s"}, "service.timeout: '1.5s' is no duration"),
        ({"timeout": "100000s"}, "service.timeout: '100000s' is no duration"),
        ({"timeout": "5s", "backendTimeout": "10s"}, "backendTimeout: is longer than the timeout"),
        ({"match": [{"uri": {"prefix": ""}}]}, "service.match[0].uri.prefix: '' is no path"),
        ({"match": [{}, {"uri": {"exact": "v1"}}]}, "service.match[1].uri.exact: 'v1' is no path"),
        ({"match": [{"uri": {"regex": "("}}]}, "service.match[0].uri.regex: the regular"),
        ({"match": [{"headers": {"x": {"regex": "(?=a)"}}}]}, "service.match[0].headers.x: the"),
        ({"match": [{"method": {"exact": "get"}}]}, "service.match[0].method: 'get' is none of"),
        ({"rewrite": {"uri": "/", "type": "Other"}}, "service.rewrite.type: 'Other' is not one"),
        ({"rewrite": {"authority": "a b"}}, "service.rewrite.authority: 'a b' is no name"),
    ],
    ids=str,
)
def test_what_would_be_denied_is_said_with_how_to_mend_it(
    service: dict[str, Any], words: str
) -> None:
    [found] = said(**{**GATEWAY, "hosts": ["web.example"], **service})
    assert words in found


def test_a_proxy_of_contour_has_paths_and_patterns_too() -> None:
    match = [{"uri": {"prefix": "v1"}}, {"headers": {"x": {"regex": "("}}}]
    assert len(said("contour", match=match)) == 2
