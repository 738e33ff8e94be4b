"""Whatever a team writes as a query, reading it takes a moment and little memory, or is refused."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from canary.counting.bounds import check
from canary.counting.derive import derive
from canary.counting.errors import NotCounts
from canary.counting.narrowing import RunPods, narrowed
from canary.counting.per_pod import per_pod
from canary.counting.shortening import shortened
from canary.counting.zeros import completed
from canary.queries.own import window_of
from canary.queries.sides import sides
from canary.queries.templates import TemplateError, TemplateValues


def values(workload: str) -> TemplateValues:
    return TemplateValues(
        name="web",
        namespace="shop",
        workload=workload,
        baseline="web",
        service="web",
        interval=timedelta(minutes=1),
        backend=workload,
        variables={"long": "x" * 60_000},
    )


def selector(conditions: list[str]) -> str:
    return f"sum(x_total{{{','.join(conditions)}}})/sum(x_total)"


REFUSED = {
    "the issue's: many repetitions": selector(
        ['app=~".*(web-canary|web).*"', *(f'app!~"{i}.{{0,999}}{i}"' for i in range(110))]
    ),
    "three repetitions inside each other": 'sum(x{p=~"(?:a{1000}){3}"})',
    "a class of many letters": r'x{p=~"\\pL{100}"}',
    "a repetition behind an escape": r'x{p=~"(.\x7b0,999\x7d){2}"}',
    "a repetition behind another escape": r'x{p=~"(.\1730,999\175)"}',
    "in other quotes": "x{p=~'(?:a{1000}){3}'}",
    "behind a comment": 'x{p=~ # "a"\n "(?:a{1000}){3}"}',
    "as what is left out": 'x{p!~"(?:a{1000}){3}"}',
    "many patterns": selector([f'p=~"{i}.{{0,90}}"' for i in range(70)]),
    "many conditions": selector([f'l{i}="1"' for i in range(81)]),
    "many selectors": "+".join(f"sum(a{i})" for i in range(41)),
    "many selectors without sums": " or ".join(f"a{i}" for i in range(41)),
    "many brackets": "(" * 31 + "1" + ")" * 31,
    "a long chain": "*".join(["1e20"] * 62),
    "many powers": "2^" * 31 + "1",
    "many operators": "+".join("1" * 62),
    "many words": " or ".join("x1y1z" * 13),
    "many signs": "-" * 201 + "1",
    "many of all": "(-1)+" * 50 + "(1>1)" + "*(1)" * 9 + "/((1))" * 20,
    "a number of many digits": "sum(a_total) / 1e308",
    "too many characters": "a" * 4097,
}


@pytest.mark.parametrize("query", REFUSED.values(), ids=REFUSED)
def test_what_is_too_much_is_refused_before_it_is_parsed(query: str) -> None:
    began = time.process_time()
    with pytest.raises(NotCounts):
        check(query)
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize(
    "query",
    [
        selector([f'l{i}="1"' for i in range(79)]),
        "+".join(f"sum by (a, b) (rate(a{i}[1m] offset 5m))" for i in range(40)),
        " or ".join(f'{{__name__="a{i}"}}' for i in range(40)),
        'sum(x{p=~"a=~b|(c)"}) # (((((',
        '1e9 * sum(x{a="((((((((((((((((((((((((((((((((((("})',
        "sum(x) by (" + ", ".join(f"l{i}" for i in range(100)) + ")",
    ],
)
def test_what_is_within_bounds_is_read(query: str) -> None:
    check(query)


ALLOWED = {
    **REFUSED,
    "conditions": selector([f'app=~"web-canary.*{i}"' for i in range(78)]),
    "services": selector([f'svc=~".*(web-canary|web).*{i}.{{0,9}}"' for i in range(78)]),
    "pods": selector([f'pod=~"(web-canary|web)-.{{0,5}}.*{i}?.*"' for i in range(78)]),
    "large": selector([f'app=~"web-canary(?:.*{c}.{{100}}){{3}}.*b|.*"' for c in "abc"]),
    "optional": selector(['app=~"(web-canary|web)(?:a?b?c?d?e?-?.?){120}"']),
    "alternatives": selector([f'app=~"{"|".join(f"{i}-web-canary" for i in range(11))}"'] * 20),
    "mentions": selector([f'app=~"{"web-canary|" * 250}"']),
    "text": "web-canary " * 6_000,
    "pairs": " ".join(f"app{i}=x-web-canary-y-web-canary{i}" for i in range(99)),
    "many pairs": "app=web " * 8_000,
    "signs": "-" * 199 + "sum(a_total)/sum(b_total)",
    "a chain": "+".join(["1"] * 61),
    "quotes": "'" * 4_000,
    "braces": "{}" * 2_000,
    "weights": "+".join(f'{i}*sum(rate(x_total{{l="{i}"}}[1m]))' for i in range(39)),
    "numbers": "*".join(["1e20"] * 58) + "*sum(a_total)/sum(b_total)",
    "actions": "{{name}}" * 8_000,
    "actions that are too many": "{{name}}" * 20_000,
    "actions that are long": "{{variables.long}}" * 3_000,
    "actions that do not end": "{{ name " * 8_000,
}
PODS = RunPods(
    names=tuple(f"web-canary-abc-{i:05d}" for i in range(20)),
    stable="web-5d9f7c8b9d-x2x4z",
    former="web-canary-5d9f7c8b9d-x2x4z",
)
READINGS: tuple[Callable[[str], object], ...] = (
    lambda query: sides(query, values("web-canary"), values("web")),
    lambda query: derive(query, minimum=None, maximum=0.5),
    per_pod,
    lambda query: completed(query, ("web", "web-canary")),
    lambda query: narrowed(query, PODS),
    lambda query: shortened(query, timedelta(seconds=30)),
    window_of,
)


@pytest.mark.parametrize("query", ALLOWED.values(), ids=ALLOWED)
def test_all_readings_of_any_query_take_less_than_a_second(query: str) -> None:
    began, memory = time.process_time(), _memory()
    for reading in READINGS:
        with suppress(NotCounts, TemplateError):
            reading(query)
    # A fifth of it for the worst one on a processor of 2026.
    assert time.process_time() - began < 1.0
    assert _memory() - memory < 32 << 20


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def test_rendering_takes_time_in_proportion_to_what_comes_of_it() -> None:
    def seconds(actions: int) -> float:
        began = time.process_time()
        sides("{{name}}" * actions, values("web-canary"), values("web"))
        return time.process_time() - began

    seconds(100)
    assert seconds(8_000) < 16 * max(seconds(1_000), 0.005)
