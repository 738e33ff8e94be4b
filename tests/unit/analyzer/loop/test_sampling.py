"""Queries are prepared before a canary is made, and asked source by source."""

import base64
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from analyzer.loop.sampling import Sampler
from analyzer.ports import NotInstalled, ProviderError
from canary.model.strategy import Builtin, Metric, Strategy, TemplateRef
from canary.model.values import Json, Key
from canary.rules.checks import check_sample
from canary.spec.defaults import Defaults
from canary.spec.known import strategy_of
from canary.spec.steps import linear
from runtime.errors import NotFound
from runtime.resources import METRICTEMPLATES, SECRETS, Resource
from tests.fakes import objects as made
from tests.fakes.cluster import Untouched
from tests.fakes.metric_provider import FakeMetricProvider

KEY = Key(namespace="prod", name="web")
TEMPLATE = Metric(name="error-rate", source=TemplateRef(namespace="prod", name="errors"), maximum=1)
SUCCESS = Metric(name="request-success-rate", source=Builtin.SUCCESS_RATE, minimum=99)


@dataclass
class Objects(Untouched):
    """A cluster that only stores objects."""

    stored: dict[tuple[str, str], Json] = field(default_factory=dict)

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        try:
            return self.stored[(resource.plural, f"{namespace}/{name}")]
        except KeyError:
            raise NotFound(404, "NotFound", f"{resource.plural} {name} not found") from None


def template(query: str = "errors{{ target }}", **provider: object) -> Json:
    return {"spec": {"provider": {"type": "prometheus", **provider}, "query": query}}


def strategy(*metrics: Metric) -> Strategy:
    return Strategy(
        interval=timedelta(seconds=10),
        threshold=1,
        steps=linear((50,)),
        service_name="web",
        metrics=metrics,
    )


@pytest.fixture
def objects() -> Objects:
    return Objects({(METRICTEMPLATES.plural, "prod/errors"): template()})


@pytest.fixture
def provider() -> FakeMetricProvider:
    return FakeMetricProvider()


@pytest.fixture
def sampler(objects: Objects, provider: FakeMetricProvider) -> Sampler:
    return Sampler(objects, {"prometheus": provider}, "http://prometheus")


async def test_a_template_is_rendered_for_the_canary(
    sampler: Sampler, provider: FakeMetricProvider
) -> None:
    provider.script("errorsweb-canary", 2.5)
    queries, problems = await sampler.prepare(KEY, strategy(TEMPLATE))
    (sample,) = await sampler.ask(queries)
    assert (problems, sample.value, sample.problem) == ((), 2.5, "")


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (None, "MetricTemplate prod/errors does not exist"),
        (
            template(type="datadog"),
            "errors: provider datadog is none that is asked here; those are: prometheus",
        ),
        (template("up{{ nonsense }}"), "nonsense"),
    ],
)
async def test_what_is_wrong_is_known_before_a_canary_is_made(
    sampler: Sampler, objects: Objects, stored: Json | None, said: str
) -> None:
    objects.stored.clear()
    if stored is not None:
        objects.stored[(METRICTEMPLATES.plural, "prod/errors")] = stored
    queries, problems = await sampler.prepare(KEY, strategy(TEMPLATE, SUCCESS))
    assert len(queries) == 1
    assert said in problems[0]


async def test_an_edited_template_is_read_though_its_canary_stays_what_it_was(
    sampler: Sampler, objects: Objects
) -> None:
    metrics = [{"name": "errors", "templateRef": {"name": "errors"}, "thresholdRange": {"max": 1}}]
    asked = strategy_of(made.canary(metrics=metrics), None, Defaults())
    assert isinstance(asked, Strategy)
    [before], _ = await sampler.prepare(KEY, asked)
    objects.stored[(METRICTEMPLATES.plural, "prod/errors")] = template("failures{{ target }}")
    assert strategy_of(made.canary(metrics=metrics), None, Defaults()) is asked
    [after], _ = await sampler.prepare(KEY, asked)
    assert [it.query for it in (*before.texts, *after.texts)] == [
        "errorsweb-canary",
        "failuresweb-canary",
    ]


async def test_a_client_that_is_not_installed_is_said_before_a_canary_is_made(
    objects: Objects,
) -> None:
    objects.stored[(METRICTEMPLATES.plural, "prod/errors")] = template(type="cloudwatch")
    sampler = Sampler(objects, {"cloudwatch": NotInstalled("cloudwatch")}, "http://prometheus")
    queries, problems = await sampler.prepare(KEY, strategy(TEMPLATE))
    assert queries == ()
    (said,) = problems
    assert "MetricTemplate prod/errors: provider cloudwatch: its client is not installed" in said
    assert "build the image with headgate[cloudwatch]" in said


async def test_what_is_no_promql_is_asked_as_it_is(objects: Objects) -> None:
    vendor = FakeMetricProvider()
    sampler = Sampler(objects, {"datadog": vendor}, "http://prometheus")
    text = "avg:errors{app:{{ target }}} by {pod} / rate(x)["
    stored = template(text, type="datadog", region="eu", insecureSkipVerify=True)
    objects.stored[(METRICTEMPLATES.plural, "prod/errors")] = stored
    vendor.script("web-canary", (1.0, 3.0))
    vendor.script("app:web}", 2.5)
    metric = replace(TEMPLATE, maximum=2.0, interval=timedelta(minutes=3))
    queries, problems = await sampler.prepare(KEY, strategy(metric))
    (sample,) = await sampler.ask(queries, baselines=True)

    assert problems == ()
    assert (sample.value, sample.baseline) == (3.0, 2.5)
    assert sample.note.startswith("the largest of the 2 values that its query has")
    (spec, asked), (_, of_stable) = vendor.asked
    assert asked == "avg:errors{app:web-canary} by {pod} / rate(x)["
    assert of_stable == "avg:errors{app:web} by {pod} / rate(x)["
    assert (spec.type, spec.address, spec.region, spec.verify_tls) == ("datadog", "", "eu", False)
    assert set(vendor.intervals) == {timedelta(minutes=3)}


async def test_no_data_of_what_is_no_promql_is_not_looked_into(objects: Objects) -> None:
    vendor = FakeMetricProvider()
    sampler = Sampler(objects, {"datadog": vendor}, "http://prometheus")
    objects.stored[(METRICTEMPLATES.plural, "prod/errors")] = template(
        "sum(errors) / sum(all)", type="datadog"
    )
    queries, _ = await sampler.prepare(KEY, strategy(TEMPLATE))
    (sample,) = await sampler.ask(queries, baselines=True)

    assert (sample.value, sample.problem) == (None, "")
    assert "not known which version its query reads" in sample.note
    assert len(vendor.asked) == 1


ELSEWHERE = replace(TEMPLATE, source=TemplateRef(namespace="monitoring", name="errors"))


async def test_a_template_of_another_namespace_is_refused_without_being_read(
    sampler: Sampler, objects: Objects
) -> None:
    objects.stored[(METRICTEMPLATES.plural, "monitoring/errors")] = template()

    queries, problems = await sampler.prepare(KEY, strategy(ELSEWHERE))

    (problem,) = problems
    assert queries == ()
    assert problem == (
        "metric error-rate: MetricTemplate monitoring/errors is in another namespace, which the "
        "admin does not allow; copy it to prod, or ask the admin for HEADGATE_CROSS_NAMESPACE_REFS"
    )


async def test_a_template_of_another_namespace_is_used_where_the_admin_allows_it(
    objects: Objects, provider: FakeMetricProvider
) -> None:
    found = template()
    found["spec"]["provider"]["secretRef"] = {"name": "theirs"}
    objects.stored[(METRICTEMPLATES.plural, "monitoring/errors")] = found
    sampler = Sampler(objects, {"prometheus": provider}, "http://p", cross_namespace=True)

    (query,), problems = await sampler.prepare(KEY, strategy(ELSEWHERE))

    assert (query.secret, problems) == (("monitoring", "theirs"), ())


async def test_the_first_source_that_has_a_value_answers(
    sampler: Sampler, provider: FakeMetricProvider
) -> None:
    provider.script('kubernetes_pod_name=~"web-canary', 97.0)
    queries, _ = await sampler.prepare(KEY, strategy(SUCCESS))
    (sample,) = await sampler.ask(queries)
    assert (sample.value, sample.source) == (97.0, "app")


async def test_the_stable_is_asked_where_the_bound_may_give_way(
    sampler: Sampler, provider: FakeMetricProvider
) -> None:
    provider.script("prod_web-canary_", 97.0)
    provider.script("prod_web_", 96.0)
    queries, _ = await sampler.prepare(KEY, strategy(replace(SUCCESS, leeway=0.25)))
    (sample,) = await sampler.ask(queries)
    assert (sample.value, sample.baseline) == (97.0, 96.0)


NAMED = 'errors{pod=~"{{ target }}-[0-9a-z]+(-[0-9a-z]+)?"}'


@pytest.mark.parametrize(
    ("query", "maximum", "baselines", "baseline"),
    [
        (NAMED, 1, True, 1.5),
        (NAMED, 3, True, None),
        (NAMED, 1, False, None),
        ('errors{pod=~"{{ target }}-.*"}', 1, True, 1.5),
        ('errors{handler=~"{{ target }}-.*"}', 1, True, None),
        ("errors", 1, True, None),
    ],
    ids=["a miss", "none", "not wanted", "a wide pattern", "the canary is in it", "one for both"],
)
async def test_the_stable_is_asked_where_it_may_excuse_the_canary(
    sampler: Sampler,
    objects: Objects,
    provider: FakeMetricProvider,
    query: str,
    maximum: float,
    *,
    baselines: bool,
    baseline: float | None,
) -> None:
    objects.stored[(METRICTEMPLATES.plural, "prod/errors")] = template(query)
    provider.script("errors", 1.5)
    if "target" in query:
        provider.script('=~"web-canary-', 2.5)
    else:
        provider.script("errors", 2.5)
    queries, _ = await sampler.prepare(KEY, strategy(replace(TEMPLATE, maximum=maximum)))
    (sample,) = await sampler.ask(queries, baselines=baselines)
    assert (sample.value, sample.baseline, sample.problem) == (2.5, baseline, "")


async def test_a_stable_that_cannot_be_read_excuses_nothing(
    sampler: Sampler, objects: Objects, provider: FakeMetricProvider
) -> None:
    objects.stored[(METRICTEMPLATES.plural, "prod/errors")] = template(NAMED)
    provider.script("errors", ProviderError("too many series"))
    provider.script("web-canary-", 2.5)
    queries, _ = await sampler.prepare(KEY, strategy(TEMPLATE))
    (sample,) = await sampler.ask(queries, baselines=True)
    assert (sample.value, sample.baseline, sample.problem) == (2.5, None, "")


async def test_a_provider_that_fails_is_told_and_is_no_value(
    sampler: Sampler, provider: FakeMetricProvider
) -> None:
    provider.script("errors", ProviderError("prometheus is away"))
    queries, _ = await sampler.prepare(KEY, strategy(TEMPLATE))
    (sample,) = await sampler.ask(queries)
    assert (sample.value, sample.problem) == (None, "prometheus is away")


async def test_a_secret_is_read_by_name_and_given_to_the_provider(
    sampler: Sampler, objects: Objects, provider: FakeMetricProvider
) -> None:
    stored = template(secretRef={"name": "login"})
    objects.stored[(METRICTEMPLATES.plural, "prod/errors")] = stored
    queries, _ = await sampler.prepare(KEY, strategy(TEMPLATE))
    (sample,) = await sampler.ask(queries)
    assert "Secret prod/login cannot be read" in sample.problem
    token = base64.b64encode(b"s3cret").decode()
    objects.stored[(SECRETS.plural, "prod/login")] = {"data": {"token": token}}
    await sampler.ask(queries)
    spec, _ = provider.asked[-1]
    assert spec.secret == {"token": "s3cret"}
    assert "s3cret" not in repr(spec)


@pytest.mark.parametrize("order", [(0.5, 4.0, 2.0), (4.0, 2.0, 0.5)])
async def test_of_several_values_the_worst_counts_and_the_stable_excuses_least(
    sampler: Sampler, objects: Objects, provider: FakeMetricProvider, order: tuple[float, ...]
) -> None:
    objects.stored[(METRICTEMPLATES.plural, "prod/errors")] = template(NAMED)
    provider.script("web-", tuple(value + 1 for value in order))
    provider.script("web-canary-", order)
    queries, _ = await sampler.prepare(KEY, strategy(TEMPLATE))
    (sample,) = await sampler.ask(queries, baselines=True)
    assert (sample.value, sample.baseline) == (4, 1.5)
    assert "the largest of the 3 values" in check_sample(sample).message
    assert "sum()" in check_sample(sample).message


ERRORS = """
sum(rate(requests{pod=~"{{ target }}-.+",code="503"}[1m]))
/ sum(rate(requests{pod=~"{{ target }}-.+"}[1m])) * 100
"""


@pytest.mark.parametrize(
    ("zeros", "requests", "value", "said"),
    [
        (0.0, 5.0, 0.0, 'nothing was counted yet that is {code="503"}'),
        (None, 5.0, None, "no series of requests has the label code"),
        (None, 0.0, None, "no values found; is there traffic to the canary?"),
        (None, None, None, "no values found; is there traffic to the canary?"),
    ],
    ids=["no errors", "no such label", "no requests", "no series"],
)
async def test_no_errors_is_told_from_no_data(
    sampler: Sampler,
    objects: Objects,
    provider: FakeMetricProvider,
    zeros: float | None,
    requests: float | None,
    value: float | None,
    said: str,
) -> None:
    objects.stored[(METRICTEMPLATES.plural, "prod/errors")] = template(ERRORS)
    provider.script('sum(rate(requests{pod=~"web-canary-.+"}[1m]))', requests)
    provider.script('code="503"', None)
    provider.script("0 * (", zeros)
    queries, problems = await sampler.prepare(KEY, strategy(TEMPLATE))
    (sample,) = await sampler.ask(queries)
    assert (problems, sample.value) == ((), value)
    assert said in check_sample(sample).message


async def test_errors_of_a_metric_of_their_own_are_not_taken_for_none(
    sampler: Sampler, objects: Objects, provider: FakeMetricProvider
) -> None:
    query = (
        'sum(rate(errors{app="{{ target }}"}[1m])) / sum(rate(requests{app="{{ target }}"}[1m]))'
    )
    objects.stored[(METRICTEMPLATES.plural, "prod/errors")] = template(query)
    provider.script("requests", 5.0)
    provider.script("errors", None)
    queries, _ = await sampler.prepare(KEY, strategy(TEMPLATE))
    (sample,) = await sampler.ask(queries)
    assert sample.value is None
    assert "mend the name of errors" in check_sample(sample).message
    assert "or vector(0)" in check_sample(sample).message


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ('errors{app="web"}', 'app="web" names web, which is the stable here'),
        ('sum(errors{app="{{ target }}-canary-canary"}) or vector(0)', "fits neither version"),
        ('errors{pod=~"web-.*"}', "fits both versions"),
        ('errors{ingress="{{ ingress }}"}', "is empty"),
    ],
)
async def test_a_query_that_does_not_read_the_canary_is_known_before_there_is_one(
    sampler: Sampler, objects: Objects, query: str, said: str
) -> None:
    objects.stored[(METRICTEMPLATES.plural, "prod/errors")] = template(query)
    queries, problems = await sampler.prepare(
        KEY, strategy(TEMPLATE, replace(TEMPLATE, source=query))
    )
    assert not queries
    assert all(said in problem and "{{ target }}" in problem for problem in problems)


async def test_a_query_of_which_nothing_can_be_told_is_judged_and_that_is_said(
    sampler: Sampler, objects: Objects, provider: FakeMetricProvider
) -> None:
    objects.stored[(METRICTEMPLATES.plural, "prod/errors")] = template("sum(errors)")
    provider.script("errors", 0.5)
    queries, problems = await sampler.prepare(KEY, strategy(TEMPLATE))
    (sample,) = await sampler.ask(queries, baselines=True)
    assert (problems, sample.value, sample.baseline) == ((), 0.5, None)
    assert "not known which version its query reads" in check_sample(sample).message


async def test_what_would_find_others_is_not_asked_and_said_unless_another_source_has_a_value(
    sampler: Sampler, provider: FakeMetricProvider
) -> None:
    until = datetime(2026, 1, 1, 12, tzinfo=UTC)
    queries, _ = await sampler.prepare(KEY, strategy(SUCCESS))
    gateway, app = queries[0].texts
    waiting = replace(queries[0], texts=(replace(gateway, waits_until=until), app))
    (sample,) = await sampler.ask((waiting,))
    assert (sample.value, sample.waits_until, sample.query) == (None, until, app.query)
    assert gateway.query not in {text for _, text in provider.asked}
    provider.script('kubernetes_pod_name=~"web-canary', 97.0)
    (sample,) = await sampler.ask((waiting,))
    assert (sample.value, sample.waits_until, sample.query) == (97.0, None, app.query)


async def test_the_query_as_it_was_asked_is_told(
    sampler: Sampler, provider: FakeMetricProvider
) -> None:
    provider.script("errorsweb-canary", 2.5)
    queries, _ = await sampler.prepare(KEY, strategy(TEMPLATE))
    (sample,) = await sampler.ask(queries)
    assert sample.query == "errorsweb-canary"
