"""Templates of metrics: Go's syntax as far as Flagger's users write it, and nothing silently."""

import re
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


SHARED = 'sum(up{team="{{ namespace }}", path=~"{{ variables.x }}"}) / {{ variables.y }}'
"""An admin's template, as a team may use it with the admin's Secret."""


def shared(x: str = "a", y: str = "2") -> str:
    return render(SHARED, replace(VALUES, variables={"x": x, "y": y}))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("/a/.*", "/a/.*"),
        ('"} or up{a="', '\\"} or up{a=\\"'),
        ("it's", "it's"),
        ("a\nb", "a\\nb"),
        ("a\\.b", "a\\.b"),
        ("a\\\\.b", "a\\\\.b"),
        ('a\\"b', 'a\\"b'),
        ('a\\\\"b', 'a\\\\\\"b'),
        ("a\\", "a\\\\"),
        ("a\\\n", "a\\\\\\n"),
        ("}) or vector(1) #", "}) or vector(1) #"),
    ],
)
def test_a_value_does_not_end_the_string_that_it_stands_in(value: str, written: str) -> None:
    assert shared(x=value) == f'sum(up{{team="prod", path=~"{written}"}}) / 2'


@pytest.mark.parametrize("value", ["2", "0.5", "1e-5", "-1", "5m", "up", "job:up:sum", ""])
def test_outside_of_strings_a_value_is_one_word(value: str) -> None:
    assert shared(y=value).endswith(f"}}) / {value}")


@pytest.mark.parametrize(
    "value", ["1 or up", "1)", "up{a='b'}", "x[5m]", "1\nor", '"a"', "a#b", "é"]
)
def test_outside_of_strings_no_value_is_more_than_that(value: str) -> None:
    with pytest.raises(TemplateError, match=r"variables.y \}\} at line 1, column 62 is more than"):
        shared(y=value)


@pytest.mark.parametrize(
    ("template", "value", "text"),
    [
        ("up{a='{{ variables.x }}'}", "b'c\"d", "up{a='b\\'c\"d'}"),
        ("up{a=`{{ variables.x }}`}", "b\\.\"'", "up{a=`b\\.\"'`}"),
        ("up # of '{{ variables.x }}\n", "a b'\"", "up # of 'a b'\"\n"),
        ("up # it's\n + {{ variables.x }}", "a", "up # it's\n + a"),
        ('up{a="#{{ variables.x }}"}', "b c", 'up{a="#b c"}'),
        ('up{a="\\"{{ variables.x }}"}', 'b"', 'up{a="\\"b\\""}'),
        ('up{a="\\\\{{ variables.x }}"}', 'b"', 'up{a="\\\\b\\""}'),
        ('up{a="{{ variables.x }}{{ variables.x }}"}', '"', 'up{a="\\"\\""}'),
    ],
)
def test_every_kind_of_string_is_kept(template: str, value: str, text: str) -> None:
    assert render(template, replace(VALUES, variables={"x": value})) == text


@pytest.mark.parametrize(
    ("template", "value", "message"),
    [
        ("up{a=`{{ variables.x }}`}", "b`", "would end what begins with `"),
        ("up # {{ variables.x }}", "b\nor up", "would end what begins with #"),
        ("up # {{ variables.x }}", "b\ror up", "would end what begins with #"),
        ('up{a="\\{{ variables.x }}"}', '"', "stands behind a backslash"),
    ],
)
def test_what_cannot_be_written_is_said(template: str, value: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        render(template, replace(VALUES, variables={"x": value}))


ENDS_A_STRING = st.text(alphabet="\"'\\\n}a#`{").filter(lambda text: "{{" not in text)


@given(value=ENDS_A_STRING, quote=st.sampled_from("\"'"))
def test_whatever_the_value_the_string_ends_where_the_template_ends_it(
    value: str, quote: str
) -> None:
    template = f"up{{a={quote}{{{{ variables.x }}}}{quote}}}"
    text = render(template, replace(VALUES, variables={"x": value}))

    string = re.compile(rf"{quote}(?:\\[^\n]|[^{quote}\\\n])*{quote}")
    assert string.fullmatch(text, len("up{a="), len(text) - 1)


def test_says_that_no_variable_is_given() -> None:
    with pytest.raises(TemplateError, match="templateVariables of the metric: none"):
        render("{{ variables.x }}", replace(VALUES, variables={}))


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_an_action_passes_unchanged(text: str) -> None:
    assert render(text, VALUES) == text


ACTIONS = st.sampled_from(["{{ name }}", "{{- target -}}", "{{ variables.x }}", "{{", "}}", "{"])


@given(
    # What would end the string that it stands in is refused.
    value=st.lists(ACTIONS | st.text(max_size=5)).map("".join).filter(lambda text: "`" not in text)
)
def test_no_value_is_rendered_twice(value: str) -> None:
    values = replace(VALUES, name=value, variables={"x": value})

    assert render("<`{{ name }}|{{ variables.x }}`>", values) == f"<`{value}|{value}`>"


@given(
    before=st.text(alphabet="a \t\r\n\u00a0"),
    after=st.text(alphabet="b \t\r\n\u00a0"),
    value=st.text(alphabet="v-."),
)
def test_markers_trim_the_text_beside_them_and_never_the_value(
    before: str, after: str, value: str
) -> None:
    rendered = render(f"{before}{{{{- name -}}}}{after}", replace(VALUES, name=value))

    assert rendered == before.rstrip(" \t\r\n") + value + after.lstrip(" \t\r\n")


@pytest.mark.parametrize(
    ("template", "variables"),
    [
        ("x" * 65_537, {}),
        ("{{name}}" * 20_000, {}),
        ("'{{ variables.x }}'" * 700, {"x": "y" * 100}),
        ("{{ variables.x }}", {"x": "y" * 70_000}),
    ],
)
def test_what_is_rendered_has_a_bound(template: str, variables: dict[str, str]) -> None:
    with pytest.raises(TemplateError, match="longer than 65536 characters"):
        render(template, replace(VALUES, variables=variables))
