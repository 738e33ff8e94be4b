"""Templates as teams bring them: rendered as they were meant, or refused with what to write."""

from dataclasses import replace
from datetime import timedelta

import pytest

from canary.model.names import canary_name
from canary.queries.sides import Rendered, sides, unread_sides
from canary.queries.templates import TemplateError, TemplateValues


def values(target: str = "web", service: str = "web", *, canary: bool) -> TemplateValues:
    name_of = canary_name if canary else str
    return TemplateValues(
        name=target,
        namespace="prod",
        workload=name_of(target),
        baseline=target,
        service=service,
        backend=name_of(service),
        interval=timedelta(minutes=1),
    )


def both(template: str, target: str = "web", service: str = "web") -> Rendered:
    return sides(
        template, values(target, service, canary=True), values(target, service, canary=False)
    )


FLAGGER = {
    # Of Flagger's own built-in metrics and its documents (reference/flagger.md 1e).
    "kubernetes": 'x{kubernetes_namespace="{{ namespace }}",'
    'kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"}',
    "istio": 'x{reporter="destination",destination_workload_namespace="{{ namespace }}",'
    'destination_workload=~"{{ target }}",response_code!~"5.*"}',
    "linkerd": 'x{namespace="{{ namespace }}",deployment=~"{{ target }}",direction="inbound"}',
    "appmesh": 'x{kubernetes_namespace="{{ namespace }}",'
    'kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"}',
    "contour": 'x{envoy_cluster_name=~"{{ namespace }}_{{ target }}-canary_[0-9a-zA-Z-]+"}',
    "contour by service": 'x{envoy_cluster_name=~"{{ namespace }}_{{ service }}-canary_[0-9]+"}',
    "kuma": 'x{service=~"{{ service }}-canary_{{ namespace }}_svc_[0-9a-zA-Z-]+"}',
    "traefik": 'x{service=~"{{ namespace }}-{{ service }}-canary-[0-9a-zA-Z-]+@kubernetescrd"}',
    "app": 'x{namespace="{{ namespace }}",app="{{ target }}"}',
    "a container": 'x{pod=~"{{ target }}-.*",container="{{ target }}"}',
}


@pytest.mark.parametrize("template", FLAGGER.values(), ids=FLAGGER.keys())
def test_flaggers_templates_read_the_canary_and_tell_the_stable_from_it(template: str) -> None:
    for target, service in (("web", "web"), ("web", "front"), ("a" * 43, "web"), ("b" * 60, "b")):
        found = both(f"sum(rate({template}[1m]))", target, service)
        assert found.apart
        assert not found.note
        assert found.canary != found.stable


@pytest.mark.parametrize(
    ("template", "canary", "stable"),
    [
        ('x{app="{{ target }}"}', 'x{app="web-canary"}', 'x{app="web"}'),
        ('x{service="{{ service }}-canary"}', 'x{service="web-canary"}', 'x{service="web"}'),
        ('x{service="{{ target }}-canary"}', 'x{service="web-canary"}', 'x{service="web"}'),
        ('x{app="web-canary"}', 'x{app="web-canary"}', 'x{app="web"}'),
        (
            'x{pod=~"{{ target }}-.*"} / on () x{pod=~"{{ target }}-primary-.*"}',
            'x{pod=~"web-canary-.*"} / on () x{pod!~"web-canary-.+",pod=~"web-.*"}',
            'x{pod!~"web-canary-.+",pod=~"web-.*"} / on () x{pod!~"web-canary-.+",pod=~"web-.*"}',
        ),
        (
            'x{app="{{ target }}"} / on () x{app="{{ baseline }}"}',
            'x{app="web-canary"} / on () x{app="web"}',
            'x{app="web"} / on () x{app="web"}',
        ),
    ],
)
def test_what_is_clear_is_rendered_rightly(template: str, canary: str, stable: str) -> None:
    found = both(template)
    assert " ".join(found.canary.split()) == canary
    assert " ".join(found.stable.split()) == stable
    assert found.apart


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ('x{app="web"}', 'app="web" names web, which is the stable here'),
        ('x{app="{{ name }}"}', 'app="web" names web, which is the stable here'),
        ('x{app="{{ baseline }}"}', 'app="web" names web, which is the stable here'),
        ('x{service="{{ service }}"}', 'service="web" names web, which is the stable here'),
        ('x{app="{{ target }}-primary"}', 'app="web" names web, which is the stable here'),
        ('x{app="{{ target }}"} or x{app="web"}', 'app="web" names web'),
        ('x{pod=~"web-.*"}', 'pod=~"web-.*" fits both versions, web and web-canary'),
        ('sum(x{app="{{ target }}-canary-canary"}) or vector(0)', "fits neither version"),
        ("avg:errors{service:web}", "service:web names web"),
        (
            '100 * (sum(x{app="web"}) and sum(x{app="{{ target }}"}))',
            'app="web" names web, which is the stable here',
        ),
        ('sum(x{app="web"}) unless x{app="{{ target }}"}', 'app="web" names web'),
        ('sum(x{app="web"}) > sum(x{app="{{ target }}"})', 'app="web" names web'),
        ('clamp_max(x{app="web"} and on () x{app="{{ target }}"}, 5)', 'app="web" names web'),
        ('x{"k8s.deployment.name"="web"}', '"k8s.deployment.name"="web" names web'),
        ('{"query": "errors", "deployment": "web"}', "deployment:web names web"),
        (
            'x{exported_service=~"{{ namespace }}-{{ service }}-80@kubernetes"}',
            'exported_service=~"prod-web-80@kubernetes" names web',
        ),
        (
            'x{pod=~"({{ target }}|{{ baseline }})-.*"}',
            'pod=~"(web-canary|web)-.*" fits both versions',
        ),
        ('x{ingress="{{ ingress }}"}', "{{ ingress }} at line 1, column 12 is empty"),
    ],
)
def test_what_does_not_read_the_canary_is_refused_with_what_to_write(
    template: str, said: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        both(template)
    assert said in str(caught.value)
    assert "{{ target }}" in str(caught.value)
    assert "headgate-baseline" not in str(caught.value)


@pytest.mark.parametrize(
    ("condition", "refused"), [('canary!=""', ""), ('canary=""', "stable"), ("", "stable")]
)
def test_behind_an_ingress_the_canary_is_who_answered_in_place_of_the_stable(
    condition: str, refused: str
) -> None:
    template = f'sum(x{{namespace="{{{{ namespace }}}}",ingress="{{{{ ingress }}}}",{condition}}})'
    canary, stable = (replace(values(canary=it), ingress="web") for it in (True, False))
    if refused:
        with pytest.raises(TemplateError, match="does not read the canary"):
            sides(template, canary, stable)
        return
    found = sides(template, canary, stable)
    assert found.canary == found.stable == 'sum(x{namespace="prod",ingress="web",canary!=""})'
    assert (found.apart, found.note) == (False, "")


@pytest.mark.parametrize(
    "template",
    [
        'sum(x{app="{{ target }}"}) > sum(x{app="web"})',
        'sum(x{app="{{ target }}"}) > bool sum(x{app="web"})',
        'sum(x{app="{{ target }}"}) / (sum(x{app="web"}) > 0)',
        'sum(x{app="{{ target }}"}) and sum(x{app="web"}) > 0',
    ],
)
def test_a_canary_that_is_held_against_the_stable_is_read(template: str) -> None:
    found = both(template)
    assert found.apart
    assert not found.note


@pytest.mark.parametrize(
    ("template", "canary", "stable"),
    [
        ('x{service="{{ target }}-canary"}', 'x{service="front-canary"}', 'x{service="front"}'),
        ('x{service=~"{{ target }}"}', 'x{service=~"front-canary"}', 'x{service=~"front"}'),
        (
            'x{envoy_cluster_name=~"{{ namespace }}_{{ target }}-canary_[0-9]+"}',
            'x{envoy_cluster_name=~"prod_front-canary_[0-9]+"}',
            'x{envoy_cluster_name=~"prod_front_[0-9]+"}',
        ),
        (
            'x{backend="{{ namespace }}-{{ target }}-80"}',
            'x{backend="prod-front-canary-80"}',
            'x{backend="prod-front-80"}',
        ),
        (
            'x{deployment="{{ service }}-canary"}',
            'x{deployment="web-canary"}',
            'x{deployment="web"}',
        ),
        ('x{service="{{ service }}-canary"}', 'x{service="front-canary"}', 'x{service="front"}'),
        ('x{app="{{ target }}"}', 'x{app="web-canary"}', 'x{app="web"}'),
    ],
)
def test_a_service_of_another_name_is_asked_for_by_its_own(
    template: str, canary: str, stable: str
) -> None:
    found = both(f"{template} or vector(0)", "web", "front")
    assert found.canary == f"{canary} or vector(0)"
    assert found.stable == f"{stable} or vector(0)"
    assert found.apart


def test_a_service_that_only_begins_like_the_workload_is_another_one() -> None:
    found = both('x{app="{{ target }}",service="web-db"}', "web", "front")
    assert 'service="web-db"' in found.canary
    assert 'service="web-db"' in found.stable


@pytest.mark.parametrize(
    "template",
    ["up", 'sum(x{namespace="{{ namespace }}",status="500"})', "avg:errors{env:prod}", "sum("],
)
def test_what_names_no_version_is_asked_and_said_not_to_be_known(template: str) -> None:
    found = both(template)
    assert "it is not known which version its query reads" in found.note
    assert not found.apart


def test_the_mark_of_the_stable_is_never_asked_for() -> None:
    for template in (
        'label_replace(x{app="{{ target }}"},"a","{{ baseline }}","","")',
        "{{ baseline }}",
    ):
        assert "headgate-baseline" not in both(template).canary


# --- languages that are not read ----------------------------------------------------------------


def unread(template: str) -> Rendered:
    return unread_sides(template, values(canary=True), values(canary=False))


@pytest.mark.parametrize(
    ("template", "canary", "stable"),
    [
        ("avg:x{app:{{ target }}}", "avg:x{app:web-canary}", "avg:x{app:web}"),
        ("a = '{{ service }}-canary'", "a = 'web-canary'", "a = 'web'"),
        ("a = '{{ target }}-canary'", "a = 'web-canary'", "a = 'web'"),
        (
            "a = '{{ target }}' AND b = '{{ target }}-primary'",
            "a = 'web-canary' AND b = 'web'",
            "a = 'web' AND b = 'web'",
        ),
    ],
)
def test_another_language_is_rendered_for_both(template: str, canary: str, stable: str) -> None:
    found = unread(template)
    assert (found.canary, found.stable, found.apart, found.note) == (canary, stable, True, "")


@pytest.mark.parametrize("template", ["avg:x{*}", "app:web", "app:{{ name }}", "{{ service }}"])
def test_that_nothing_names_the_canary_is_said(template: str) -> None:
    found = unread(template)
    assert "it is not known which version its query reads" in found.note
    assert not found.apart


@pytest.mark.parametrize(
    "template",
    ["app:{{ target }}*", "LIKE '{{ target }}-%'", '"{{ target }}-.*"', "stats.{{ target }}.*.x",
     "a =~ /{{ target }}-[a-z]+/", "{{ target }}-{a,b}", "{{ service }}-canary*"],
)  # fmt: skip
def test_what_may_fit_the_canary_too_excuses_nothing(template: str) -> None:
    found = unread(template)
    assert found.note == ""
    assert not found.apart


def with_variable(template: str, value: str) -> str:
    names = replace(values(canary=True), variables={"v": value})
    return unread_sides(template, names, names).canary


@pytest.mark.parametrize("value", ["web", "5xx", "prod.web/api", "-1.5", "10m", "a@b", ""])
@pytest.mark.parametrize("template", ["x:{{ variables.v }}", "x = '{{ variables.v }}'"])
def test_a_harmless_value_is_taken_anywhere(template: str, value: str) -> None:
    assert with_variable(template, value) == template.replace("{{ variables.v }}", value)


@pytest.mark.parametrize("value", ["My App (eu)", "a, b", "x} by {y"])
@pytest.mark.parametrize("quote", ['"', "'"])
def test_between_quotes_a_value_may_be_more(value: str, quote: str) -> None:
    template = f"x = {quote}{{{{ variables.v }}}}{quote}"
    assert with_variable(template, value) == f"x = {quote}{value}{quote}"


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("x = {{ variables.v }}", "a OR b"),
        ("x = {{ variables.v }}", "1--y"),
        ("x = {{ variables.v }}", "http://x"),
        ("x = ' {{ variables.v }}'", "a OR b"),
        ("x = '{{ variables.v }} '", "a OR b"),
        ("x = '{{ variables.v }}'", "a' OR 'b"),
        ('x = "{{ variables.v }}"', "a' OR 'b"),
        ("x = '{{ variables.v }}'", "a\\"),
        ("x = '{{ variables.v }}'", "a\nb c"),
        ("target='{{ variables.v }}'", "a&target=b"),
        ("target='{{ variables.v }}'", "a%26target=b"),
    ],
)
def test_no_value_becomes_more_than_a_value(template: str, value: str) -> None:
    with pytest.raises(TemplateError, match=r"\{\{ variables\.v \}\} at line 1"):
        with_variable(template, value)
