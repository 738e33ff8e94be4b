"""A pattern of pods becomes the names of one run's pods; everything else stays as written."""

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.counting.errors import NotCounts
from canary.counting.narrowing import RunPods, Scope, narrowed, scope
from canary.counting.reads import reads_of

NAMES = ("web-canary-6b5c9d7f4-abcde", "web-canary-6b5c9d7f4-x2x4z")
FORMER = "web-canary-5d9f7c8b9d-x2x4z"
STABLE = "web-5d9f7c8b9d-x2x4z"
PODS = RunPods(names=NAMES, stable=STABLE, former=FORMER)
NAMED = 'pod=~"web-canary-6b5c9d7f4-(?:abcde|x2x4z)"'


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ('up{pod=~"web-canary-.*"}', f"up{{{NAMED}}}"),
        (
            "up{ pod =~ 'web-canary-.*' , a='b'}[1m] offset 5m",
            f"up{{ {NAMED} , a='b'}}[1m] offset 5m",
        ),
        ("up{pod=~`web-canary-[a-z0-9]+(-[a-z0-9]+)?`}", f"up{{{NAMED}}}"),
        (
            'up{pod=~".*-canary-.*",pod!~"web-canary-canary-.+"}',
            f'up{{{NAMED},pod!~"web-canary-canary-.+"}}',
        ),
        (
            'up{kubernetes_pod_name=~"web-canary-.+"}',
            f"up{{kubernetes_{NAMED[:3]}_name{NAMED[3:]}}}",
        ),
        ('up{pod=~".+-x2x4z",app="web-canary"}', 'up{pod=~".+-x2x4z",app="web-canary"}'),
        (
            'sum(a{pod=~"web-canary-.*"}) / sum(b{pod=~"web-canary-.*"}) # {pod=~"web-canary-.*"}',
            f'sum(a{{{NAMED}}}) / sum(b{{{NAMED}}}) # {{pod=~"web-canary-.*"}}',
        ),
        ('up{pod=~"web-.*"}', 'up{pod=~"web-.*"}'),
        ('up{pod!~"web-canary-.*"}', 'up{pod!~"web-canary-.*"}'),
        ('up{pod="web-canary-6b5c9d7f4-abcde"}', 'up{pod="web-canary-6b5c9d7f4-abcde"}'),
        ('up{pod=~"redis-.*"}', 'up{pod=~"redis-.*"}'),
        ('up{deployment=~"web-canary.*"}', 'up{deployment=~"web-canary.*"}'),
        ('{"up", pod=~"web-canary-.*"}', f'{{"up", {NAMED}}}'),
        ('{__name__=~"up|down", "pod"=~"web-canary-.*"}', f'{{__name__=~"up|down", {NAMED}}}'),
        ('label_replace(up, "a", "{pod=~\\"web-canary-.*\\"}", "", "")',) * 2,
        (f'up{{pod=~"{NAMES[0][:-1]}."}}', f'up{{pod=~"{NAMES[0]}"}}'),
    ],
)
def test_what_a_query_asks_for_then(query: str, asked: str) -> None:
    assert narrowed(query, PODS) == asked
    promql_parser.parse(asked)


def test_without_pods_a_query_stays_as_it_is() -> None:
    query = 'up{pod=~"web-canary-.*"}'
    assert narrowed(query, RunPods(names=(), stable=STABLE, former=FORMER)) == query


def test_pods_of_several_replicasets_are_named_together() -> None:
    pods = RunPods(names=(*NAMES, "web-canary-77-q", "web.x-1"), stable=STABLE, former=FORMER)
    query = narrowed('up{pod=~"web.*canary-.*"}', pods)
    (read,) = reads_of(query)
    assert query == 'up{pod=~"web-canary-6b5c9d7f4-(?:abcde|x2x4z)|web-canary-77-q"}'
    assert not any(one.label == "pod" and one.accepts(FORMER) for one in read.matchers)


@pytest.mark.parametrize("query", ["up{", 'up{pod=~"("}', 'up{pod=~"a" or pod=~"b"}'])
def test_what_cannot_be_read_is_not_changed(query: str) -> None:
    with pytest.raises(NotCounts):
        narrowed(query, PODS)


@pytest.mark.parametrize(
    ("query", "whose"),
    [
        ('up{pod=~"web-canary-.*"}', Scope.OWN),
        ('up{pod=~"web-.*",pod!~"web-[^-]+-[^-]+"}', Scope.OWN),
        ('up{pod=~"web-.*"}', Scope.OPEN),
        ('up{pod!~"web-.*"}', Scope.OPEN),
        ("up", Scope.OPEN),
        ('up{deployment="web-canary"}', Scope.OPEN),
        ('up{pod=~"web-[a-z0-9]+-[a-z0-9]+"}', Scope.OTHERS),
        ('up{pod=~"redis-.*"}', Scope.OTHERS),
        (f'up{{pod="{NAMES[0]}"}}', Scope.OWN),
    ],
)
def test_whose_samples_a_selector_finds(query: str, whose: Scope) -> None:
    (read,) = reads_of(query)
    assert scope(read, PODS) is whose


# --- properties: what is asked is a part of what was written, and nothing else was touched --------

_GAP = st.sampled_from(["", " ", "\n", " # {pod=~'.*'} [1m]\n"])
_VALUES = st.sampled_from(
    ["web-canary-.*", ".*", "web-.*", "web-canary-[a-z0-9]+-[a-z0-9]+", "5..", "a|b", "redis-.+"]
)
_LABELS = st.sampled_from(["pod", "kubernetes_pod_name", "status", "app"])
_OPS = st.sampled_from(["=", "!=", "=~", "!~"])


@st.composite
def _selectors(draw: st.DrawFn) -> tuple[str, str]:
    """Return a selector, and the same with its conditions on pods taken out of the text."""
    conditions = draw(st.lists(st.tuples(_LABELS, _OPS, _VALUES), min_size=1, max_size=4))
    whole, rest = [], []
    for label, op, value in conditions:
        quote = draw(st.sampled_from("'\"`"))
        gaps = [draw(_GAP) for _ in range(4)]
        head, tail = gaps[0], gaps[3]
        whole.append(f"{head}{label}{gaps[1]}{op}{gaps[2]}{quote}{value}{quote}{tail}")
        rest.append(f"{head}@{tail}" if "pod" in label else whole[-1])
    end = draw(st.sampled_from(["", "[1m]"])) if draw(st.booleans()) else ""
    return f"requests{{{','.join(whole)}}}{end}", f"requests{{{','.join(rest)}}}{end}"


@st.composite
def _queries(draw: st.DrawFn) -> str:
    parts = draw(st.lists(_selectors(), min_size=1, max_size=3))
    written = [f"sum(rate({one}))" if one.endswith("]") else f"sum({one})" for one, _ in parts]
    return draw(_GAP) + " + ".join(written) + draw(_GAP)


_SERIES = st.fixed_dictionaries(
    {
        "pod": st.sampled_from([*NAMES, FORMER, STABLE, "redis-0", ""]),
        "kubernetes_pod_name": st.sampled_from([*NAMES, FORMER, STABLE, ""]),
        "status": st.sampled_from(["200", "500", ""]),
        "app": st.sampled_from(["a", "web-canary-x", ""]),
    }
)


@given(_queries(), _SERIES)
def test_the_narrowed_query_selects_a_part_and_no_pod_of_before(
    query: str, labels: dict[str, str]
) -> None:
    asked = narrowed(query, PODS)
    for before, after in zip(reads_of(query), reads_of(asked), strict=True):
        series = {**labels, "__name__": "requests"}
        taken = all(one.accepts(series[one.label]) for one in after.matchers)
        if taken:
            assert all(one.accepts(series[one.label]) for one in before.matchers)
        if scope(before, PODS) is Scope.OWN and FORMER in (
            labels["pod"],
            labels["kubernetes_pod_name"],
        ):
            others = {label for label in ("pod", "kubernetes_pod_name") if labels[label] == FORMER}
            named = {one.label for one in after.matchers if one.op == "=~"}
            assert not taken or not others & named
        assert (before.window, before.function) == (after.window, after.function)


def _outside(text: str) -> list[str]:
    """Return the text without the values of conditions on pods."""
    kept, inside = [], False
    for token in promql_tokens(text):
        inside = inside or token in ("pod", "kubernetes_pod_name")
        if not inside:
            kept.append(token)
        inside = inside and token[:1] not in "'\"`"
    return kept


def promql_tokens(text: str) -> list[str]:
    """Split a query so that nothing is lost."""
    found, at = [], 0
    while at < len(text):
        end = at + 1
        if text[at] == "#":
            end = text.find("\n", at) + 1 or len(text)
        elif text[at] in "'\"`":
            end = text.index(text[at], at + 1) + 1
        else:
            while (
                end < len(text)
                and text[at:end].isidentifier()
                and text[at : end + 1].isidentifier()
            ):
                end += 1
        found.append(text[at:end])
        at = end
    return found


@given(_queries())
def test_the_text_around_conditions_on_pods_is_the_same(query: str) -> None:
    assert _outside(narrowed(query, PODS)) == _outside(query)
