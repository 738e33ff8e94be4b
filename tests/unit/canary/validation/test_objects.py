"""What is refused when it is written, what is warned of, and what passes."""

import time
from typing import Any, Final

import pytest
from hypothesis import strategies as st

from canary.contract import CANARY_ANNOTATIONS, EVIDENCE
from canary.model.values import Json
from canary.spec.problems import Problems
from canary.validation.objects import KINDS, check
from canary.validation.terms import terms_from
from canary.validation.verdict import Terms, Unparsed, Verdict
from tests.fakes.fuzzed import VALUES, Property
from tests.fakes.objects import annotated, canary
from tests.fakes.storable import drawn_by, metadata, schema_of

TERMS: Final = Terms()
GOOD: Final = 'sum(rate(x_total{pod=~"{{ target }}-.+",code="500"}[{{ interval }}]))'


def reverting() -> Json:
    obj = canary()
    obj["spec"]["revertOnDeletion"] = True
    return obj


def metrics(**metric: Any) -> Json:
    return canary(metrics=[{"name": "m", "thresholdRange": {"max": 1}, **metric}])


def rate(**metric: Any) -> Json:
    return canary(metrics=[{"name": "request-success-rate", **metric}])


def template(query: str, **provider: Any) -> Json:
    spec = {"provider": {"type": "prometheus", **provider}, "query": query}
    return {"metadata": {"name": "t", "namespace": "prod"}, "spec": spec}


def provider(**spec: Any) -> Json:
    return {"metadata": {"name": "a", "namespace": "prod"}, "spec": {"type": "slack", **spec}}


def hook(url: str) -> Json:
    return canary(webhooks=[{"name": "h", "url": url}])


def judged(resource: str, obj: Json, terms: Terms = TERMS) -> Verdict:
    return check(resource, None, obj, terms)


REFUSED: Final[dict[str, tuple[str, Json, str]]] = {
    "no spec": ("canaries", {"metadata": {}}, "spec: is missing"),
    "no target": ("canaries", {"metadata": {}, "spec": {}}, "targetRef.name: is missing"),
    "brackets": ("canaries", metrics(query="sum(rate(x[1m])"), "unclosed left parenthesis"),
    "two values": ("canaries", metrics(query="up up"), "no PromQL"),
    "a type": ("canaries", metrics(query="rate(x)"), "expected type matrix"),
    "a pattern": ("canaries", metrics(query='x{a=~"("}'), "cannot be read: missing )"),
    "a variable": ("canaries", metrics(query="x{{ variables.a }}"), "templateVariables"),
    "an action": ("canaries", metrics(query="x{{ nope }}"), "nope }} at line 1, column 2"),
    "the stable": ("canaries", metrics(query='x{app="web"}'), "does not read the canary"),
    "no template": ("canaries", metrics(templateRef={"name": ""}), "templateRef.name is empty"),
    "no provider": (
        "canaries",
        canary(alerts=[{"name": "a", "providerRef": {"name": ""}}]),
        "alert a: providerRef.name is empty; write the name of the AlertProvider",
    ),
    "a range": ("canaries", metrics(query=GOOD, thresholdRange={"min": 2, "max": 1}), "swap them"),
    "an interval": ("canaries", metrics(query=GOOD, interval="1m1"), "metric m interval"),
    "steps": ("canaries", canary(stepWeights=[50, 20]), "stepWeights: must rise"),
    "a deadline": (
        "canaries",
        {**canary(), "spec": {**canary()["spec"], "progressDeadlineSeconds": -1}},
        "progressDeadlineSeconds",
    ),
    "a server": (
        "canaries",
        {**canary(), "spec": {**canary()["spec"], "metricsServer": "prometheus:9090"}},
        "metricsServer is no URL",
    ),
    "a template elsewhere": (
        "canaries",
        metrics(templateRef={"name": "t", "namespace": "other"}),
        "metric m: MetricTemplate other/t is in another namespace",
    ),
    "a provider elsewhere": (
        "canaries",
        canary(alerts=[{"name": "chat", "providerRef": {"name": "a", "namespace": "other"}}]),
        "alert chat: AlertProvider other/a is in another namespace",
    ),
    "a hook": ("canaries", hook("file:///etc/passwd"), "webhook h: url is no URL"),
    "an annotation": ("canaries", annotated(canary(), {EVIDENCE: "yes"}), EVIDENCE),
    "a template's query": ("metrictemplates", template("sum(x"), "query: it is no PromQL"),
    "a template's string": (
        "metrictemplates",
        template('sum(x{a="{{ variables.a }}"}'),
        "unclosed left parenthesis",
    ),
    "a template's action": ("metrictemplates", template("{{ if }}"), "is not known"),
    "an action of Datadog's": (
        "metrictemplates",
        template("avg:x{ {{ nope }} }", type="datadog", secretRef={"name": "keys"}),
        "is not known",
    ),
    "no query": ("metrictemplates", template(" "), "query: is empty"),
    "a template's server": (
        "metrictemplates",
        template(GOOD, address="prometheus:9090"),
        "provider.address is no URL",
    ),
    "no address": ("alertproviders", provider(address=""), "it has no address"),
    "an address": ("alertproviders", provider(address="hooks.example"), "address is no URL"),
    "a proxy": (
        "alertproviders",
        provider(secretRef={"name": "s"}, proxy="ftp://x"),
        "proxy is no URL",
    ),
}


@pytest.mark.parametrize(("resource", "obj", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_with_what_is_wrong(resource: str, obj: Json, said: str) -> None:
    refused = judged(resource, obj).refused
    assert len(refused) == 1
    assert said in refused[0]


WARNED: Final[dict[str, tuple[str, Json, str]]] = {
    "no version": ("canaries", metrics(query="sum(x)"), "not known which version"),
    "a short interval": ("canaries", canary(interval="1s"), "1s counts as 10s"),
    "too much": ("canaries", canary(maxWeight=150), "maxWeight: more than 100"),
    "a field": ("canaries", reverting(), "revertOnDeletion"),
    "no bound of a rate": ("canaries", rate(), "has no threshold, so that no value fails it"),
    "a bound beyond all": ("canaries", rate(threshold=101), "every value fails it"),
    "a range beyond all": ("canaries", rate(thresholdRange={"min": 100.5}), "every value fails"),
    "an empty range": ("canaries", rate(thresholdRange={}), "has neither min nor max"),
    "no bound of a query": (
        "canaries",
        canary(metrics=[{"name": "m", "query": GOOD}]),
        "every value above 0 fails it",
    ),
    "two bounds": (
        "canaries",
        rate(threshold=99, thresholdRange={"min": 98}),
        "metric request-success-rate: threshold (its thresholdRange holds)",
    ),
    "two texts": (
        "canaries",
        metrics(query=GOOD, templateRef={"name": "t"}),
        "metric m: query (its templateRef is asked)",
    ),
    "a text of a built-in": (
        "canaries",
        rate(templateRef={"name": "t"}, thresholdRange={"min": 99}),
        "the built-in of this name (its own query is asked)",
    ),
    "variables of a built-in": (
        "canaries",
        rate(threshold=99, templateVariables={"a": "b"}),
        "templateVariables (a built-in has none)",
    ),
    "a share of no copies": (
        "canaries",
        canary(mirrorWeight=20),
        "analysis.mirrorWeight (without mirror: true nothing is copied)",
    ),
    "two tops": (
        "canaries",
        canary(stepWeight=None, stepWeights=[10, 80]),
        "analysis.maxWeight (it is of stepWeight alone)",
    ),
    "a cookie for other sites": (
        "canaries",
        canary(sessionAffinity={"cookieName": "c", "sameSite": "None"}),
        "with sameSite: None browsers keep no cookie that is not secure",
    ),
    "a cookie of parts": (
        "canaries",
        canary(sessionAffinity={"cookieName": "c", "partitioned": True}),
        "with partitioned: true browsers keep no cookie that is not secure",
    ),
    "an annotation": (
        "canaries",
        annotated(canary(), {"headgate.dev/evidense": "off"}),
        "did you mean headgate.dev/evidence?",
    ),
    "a template's version": ("metrictemplates", template("sum(x)"), "not known which version"),
    "a template's stable": (
        "metrictemplates",
        template('sum(x{app="{{ name }}"})'),
        "does not read the canary",
    ),
    "a variable that fits nowhere": (
        "metrictemplates",
        template("sum(x{{ variables.a }}) {{ variables.b }} {{ target }}"),
        "no PromQL",
    ),
}


@pytest.mark.parametrize(("resource", "obj", "said"), WARNED.values(), ids=WARNED)
def test_what_is_doubtful_is_taken_with_a_warning(resource: str, obj: Json, said: str) -> None:
    found = judged(resource, obj)
    assert (found.refused, len(found.warnings)) == ((), 1)
    assert said in found.warnings[0]


TAKEN: Final[dict[str, tuple[str, Json]]] = {
    "the main job": ("canaries", canary()),
    "what is left open": ("canaries", {**canary(), "spec": {"targetRef": {"name": "web"}}}),
    "a query": ("canaries", metrics(query=GOOD)),
    "a rate": ("canaries", rate(threshold=100)),
    "a cookie": (
        "canaries",
        canary(sessionAffinity={"cookieName": "c", "sameSite": "None", "secure": True}),
    ),
    "a function that is newer": ("metrictemplates", template(f"newer({GOOD})")),
    "a template by name": ("canaries", metrics(templateRef={"name": "t"})),
    "its own namespace": ("canaries", metrics(templateRef={"name": "t", "namespace": "prod"})),
    "a template": ("metrictemplates", template(GOOD)),
    "the route of another mesh": (
        "metrictemplates",
        template(f'{GOOD} + x{{r="{{{{ route }}}}"}}'),
    ),
    "an app of its own": ("metrictemplates", template('sum(x{app="shop-canary"})')),
    "another language": (
        "metrictemplates",
        template("avg:x{app:{{ target }}}", type="datadog", secretRef={"name": "keys"}),
    ),
    "by Secret": ("alertproviders", provider(secretRef={"name": "s"})),
    "an address": ("alertproviders", provider(address="https://hooks.example/x")),
    **{
        f"variables: {query}": ("metrictemplates", template(query))
        for query in (
            'sum(rate(x{app="{{ target }}"}[{{ variables.w }}]))',
            'sum(rate({{ variables.m }}{app="{{ target }}"}[5m:{{ variables.w }}]))',
            '{{ variables.f }}(x{app="{{ target }}"} offset {{ variables.w }}) > {{ variables.n }}',
            'sum by ({{ variables.l }}) (x{app="{{ target }}",a=~"({{ variables.r }})?"})',
            'histogram_quantile({{ variables.q }}, sum by (le) (x{app="{{ target }}"}))',
        )
    },
}


@pytest.mark.parametrize(("resource", "obj"), TAKEN.values(), ids=TAKEN)
def test_what_can_be_followed_is_taken_without_a_word(resource: str, obj: Json) -> None:
    assert judged(resource, obj) == Verdict()


def test_all_that_is_wrong_is_said_at_once() -> None:
    entries = [{"name": "a", "query": "sum("}, {"name": "b", "query": GOOD, "interval": "1m1"}]
    refused = judged("canaries", canary(metrics=entries, stepWeights=[50, 20])).refused
    assert len(refused) == 3


def test_no_message_repeats_an_address() -> None:
    secret = "hooks.example/T000/s3cret"  # noqa: S105 - what must not be told
    for resource, obj in (
        ("alertproviders", provider(address=secret, proxy=secret)),
        ("canaries", hook(secret)),
        ("metrictemplates", template(GOOD, address=secret)),
    ):
        found = judged(resource, obj)
        assert found.refused
        assert "s3cret" not in str(found)


def test_the_admin_may_allow_other_namespaces() -> None:
    obj = metrics(templateRef={"name": "t", "namespace": "other"})
    assert judged("canaries", obj, Terms(cross_namespace=True)) == Verdict()


def test_the_admin_may_take_what_only_another_server_reads() -> None:
    terms = Terms(unparsed=Unparsed.WARN)
    for resource, obj in (
        ("canaries", metrics(query='x{app="{{ target }}"} default 0')),
        ("metrictemplates", template('x{app="{{ target }}"} default 0')),
    ):
        found = judged(resource, obj, terms)
        assert (found.refused, len(found.warnings)) == ((), 1)
        assert "HEADGATE_UNPARSED_QUERIES: warn" in judged(resource, obj).refused[0]


def test_the_terms_are_the_analyzers_and_what_cannot_be_read_is_said() -> None:
    problems = Problems()
    variables = {
        "HEADGATE_CROSS_NAMESPACE_REFS": "true",
        "HEADGATE_MIN_INTERVAL": "soon",
        "HEADGATE_UNPARSED_QUERIES": "warn",
    }
    terms = terms_from(variables, problems)
    assert (terms.cross_namespace, terms.unparsed) == (True, Unparsed.WARN)
    assert terms.defaults == TERMS.defaults
    assert len(problems.found) == 1


WRONG: Final = canary(stepWeights=[50, 20])


def test_an_update_that_changes_nothing_of_what_is_followed_passes() -> None:
    labelled = {**WRONG, "metadata": {**WRONG["metadata"], "finalizers": ["x"]}, "status": {}}
    assert check("canaries", WRONG, labelled, TERMS) == Verdict()


def test_an_update_that_is_still_wrong_is_refused_with_all_of_it() -> None:
    mended = canary(stepWeights=[50, 20], interval="30s")
    assert check("canaries", WRONG, mended, TERMS).refused


def test_an_annotation_is_judged_by_itself_where_the_spec_stays_wrong() -> None:
    assert not check("canaries", WRONG, annotated(WRONG, {EVIDENCE: "off"}), TERMS).refused
    refused = check("canaries", WRONG, annotated(WRONG, {EVIDENCE: "yes"}), TERMS).refused
    assert len(refused) == 1
    assert EVIDENCE in refused[0]


def test_what_is_being_deleted_passes() -> None:
    going = {**WRONG, "metadata": {**WRONG["metadata"], "deletionTimestamp": "now"}}
    assert check("canaries", canary(), going, TERMS) == Verdict()


def test_queries_are_left_where_there_is_no_more_time() -> None:
    entries = [{"name": name, "query": "sum(", "threshold": 1} for name in "abc"]
    times = iter([True, False])
    found = check("canaries", None, canary(metrics=entries), TERMS, lambda: next(times))
    assert len(found.refused) == 1
    assert "metric b and those after it were not read" in found.warnings[0]


@st.composite
def written(draw: st.DrawFn) -> tuple[str, Json | None, Json]:
    """Draw a write of an object, as far as the schema lets it through."""
    resource = draw(st.sampled_from(sorted(KINDS)))
    kind = {
        "canaries": "Canary",
        "metrictemplates": "MetricTemplate",
        "alertproviders": "AlertProvider",
    }[resource]
    spec = drawn_by(schema_of_kind(kind)["properties"]["spec"])

    def drawn() -> Json:
        found: Json = {"metadata": draw(metadata(st.sampled_from([*CANARY_ANNOTATIONS, "x"])))}
        return {**found, "spec": draw(spec)} if draw(st.integers(0, 9)) else found

    return resource, drawn() if draw(st.booleans()) else None, drawn()


SCHEMAS: Final = {kind: schema_of(kind) for kind in ("Canary", "MetricTemplate", "AlertProvider")}


def schema_of_kind(kind: str) -> Json:
    return SCHEMAS[kind]


def is_answered(write: tuple[str, Json | None, Json]) -> None:
    """Any object that the API server would store is answered, soon."""
    began = time.process_time()
    found = check(*write, TERMS)
    assert all(found.refused)
    assert all(found.warnings)
    assert time.process_time() - began < 2


QUERIES: Final = st.lists(
    st.sampled_from(
        [
            *("{{ target }}", "{{variables.a}}", "{{ interval }}", "sum(", "rate(", ")", "[", "]"),
            *("{", "}", '"', "'", "`", "#", "\n", "x", "=~", "=", "1", " ", ",", "\\", "or", "by"),
        ]
    ),
    max_size=30,
).map("".join)


def is_read_or_refused(query: str) -> None:
    """Any text in place of a query is answered."""
    check("metrictemplates", None, template(query), TERMS)
    check("canaries", None, metrics(query=query, templateVariables={"a": query}), TERMS)


PROPERTIES: Final[dict[str, Property[Any]]] = {
    "written": Property(written(), is_answered, few=60),
    "queries": Property(QUERIES | VALUES.map(str), is_read_or_refused, few=150),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", PROPERTIES)
def test_any_object_is_answered(what: str) -> None:
    PROPERTIES[what].try_few()


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("what", PROPERTIES)
def test_many_objects_are_answered(what: str) -> None:
    PROPERTIES[what].try_many()
