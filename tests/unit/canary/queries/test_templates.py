"""Templates of metrics: Go's syntax as far as Flagger's users write it, and nothing silently."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.queries.templates import TemplateError, TemplateValues, render

VALUES = TemplateValues(
    name="web",
    namespace="prod",
    workload="web-canary",
    baseline="web",
    service="web-svc",
    backend="web-svc-canary",
    ingress="web-ingress",
    route="web-route",
    interval=timedelta(minutes=1),
    variables={"direction": "inbound", "code_2": "5.."},
)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ name }}", "web"),
        ("{{ namespace }}", "prod"),
        ("{{ target }}", "web-canary"),
        ("{{ baseline }}", "web"),
        ("{{ service }}", "web-svc"),
        ("{{ ingress }}", "web-ingress"),
        ("{{ route }}", "web-route"),
        ("{{ interval }}", "1m"),
        ("{{ variables.direction }}", "inbound"),
        ("{{ variables.code_2 }}", "5.."),
        ("{{name}}", "web"),
        ("{{\n\tname\r\n}}", "web"),
        ("", ""),
        ("{{ name }}{{ target }}", "webweb-canary"),
        ('up{namespace="{{ namespace }}"}', 'up{namespace="prod"}'),
        ('{pod=~"{{ target }}-[a-z]{1,3}"}[{{ interval }}]', '{pod=~"web-canary-[a-z]{1,3}"}[1m]'),
        ("stray }} and { } stay", "stray }} and { } stay"),
        ("{{ target }}-canary_[0-9]+", "web-canary_[0-9]+"),
        ("{{ target }}-canary", "web-canary"),
        ("{{target}}-primary-.*", "web-.*"),
        ("{{ name }}-canary {{ name }}-primary", "web-canary web"),
        ("{{ service }}-canary.prod.svc", "web-svc-canary.prod.svc"),
        ("{{ service }}-primary", "web-svc"),
        ("{{ target }}-canaryupstream-80", "web-canary-canaryupstream-80"),
        ("{{ target }}-canary-canary", "web-canary-canary"),
        ("{{ baseline }}-canary", "web-canary"),
        ("{{ namespace }}-canary", "prod-canary"),
        ("{{ target -}} -canary", "web-canary-canary"),
        ("a \n {{- name }} b", "aweb b"),
        ("a {{ name -}} \t\r\n b", "a webb"),
        ("a {{- name -}} b {{- target -}} c", "awebbweb-canaryc"),
        ("a {{ name -}} {{- target }} b", "a webweb-canary b"),
    ],
)
def test_renders(template: str, text: str) -> None:
    assert render(template, VALUES) == text


def test_renders_the_query_that_flaggers_users_have() -> None:
    template = (
        "100 - sum(\n  rate(http_requests_total{\n"
        '    kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)?",status!~"5.."\n'
        "  }[{{ interval }}])\n)"
    )

    assert render(template, VALUES) == (
        "100 - sum(\n  rate(http_requests_total{\n"
        '    kubernetes_pod_name=~"web-canary-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)?",status!~"5.."\n'
        "  }[1m])\n)"
    )


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (timedelta(seconds=30), "30s"),
        (timedelta(seconds=60), "1m"),
        (timedelta(seconds=90), "90s"),
        (timedelta(hours=2), "2h"),
    ],
)
def test_interval_is_a_prometheus_duration(interval: timedelta, text: str) -> None:
    assert render("[{{ interval }}]", replace(VALUES, interval=interval)) == f"[{text}]"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "sum({{ cluster }})",
            (
                "{{ cluster }} at line 1, column 5 is not known; there are: name, namespace, "
                "target, baseline, service, ingress, route, interval, variables.<key>"
            ),
        ),
        ("a\nb {{ .Name }}", "{{ .Name }} at line 2, column 3 is not known"),
        ("{{ if name }}x{{ end }}", "{{ if name }} at line 1, column 1 is not known"),
        ("{{ name | printf }}", "{{ name | printf }} at line 1, column 1 is not known"),
        ("{{/* comment */}}", "{{ /* comment */ }} at line 1, column 1 is not known"),
        ("{{ Name }}", "{{ Name }} at line 1, column 1 is not known"),
        ("{{ variables }}", "{{ variables }} at line 1, column 1 is not known"),
        ("{{-name}}", "{{ -name }} at line 1, column 1 is not known"),
        ("{{name-}}", "{{ name- }} at line 1, column 1 is not known"),
        ("{{}}", "{{  }} at line 1, column 1 is not known"),
        ("{{{ name }}}", "{{ { name }} at line 1, column 1 is not known"),
        ("{{ " + "x" * 100 + " }}", "{{ " + "x" * 60 + "... }} at line 1"),
        (
            "{{ variables.missing }}",
            (
                "{{ variables.missing }} at line 1, column 1 is not given; "
                "templateVariables of the metric: code_2, direction"
            ),
        ),
        ("up\n  {{ name }", "the action at line 2, column 3 is not closed by }}"),
    ],
)
def test_says_what_is_wrong_and_what_there_is(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(template, VALUES)

    assert message in str(caught.value)


@pytest.mark.parametrize("action", ["ingress", "route"])
def test_an_empty_name_is_not_asked_for(action: str) -> None:
    empty = replace(VALUES, ingress="", route="")
    with pytest.raises(TemplateError, match=rf"{action} }}}} at line 1, column 7 is empty.*write"):
        render(f'up{{x="{{{{ {action} }}}}"}}', empty)
    assert render("up", empty) == "up"


def test_says_that_no_variable_is_given() -> None:
    with pytest.raises(TemplateError, match="templateVariables of the metric: none"):
        render("{{ variables.x }}", replace(VALUES, variables={}))


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_an_action_passes_unchanged(text: str) -> None:
    assert render(text, VALUES) == text


ACTIONS = st.sampled_from(["{{ name }}", "{{- target -}}", "{{ variables.x }}", "{{", "}}", "{"])


@given(value=st.lists(ACTIONS | st.text(max_size=5)).map("".join))
def test_no_value_is_rendered_twice(value: str) -> None:
    values = replace(VALUES, name=value, variables={"x": value})

    assert render("<{{ name }}|{{ variables.x }}>", values) == f"<{value}|{value}>"


@given(
    before=st.text(alphabet="a \t\r\n\u00a0"),
    after=st.text(alphabet="b \t\r\n\u00a0"),
    value=st.text(alphabet="v \n"),
)
def test_markers_trim_the_text_beside_them_and_never_the_value(
    before: str, after: str, value: str
) -> None:
    rendered = render(f"{before}{{{{- name -}}}}{after}", replace(VALUES, name=value))

    assert rendered == before.rstrip(" \t\r\n") + value + after.lstrip(" \t\r\n")
