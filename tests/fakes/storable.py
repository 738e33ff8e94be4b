"""Objects as far as an API server stores them: drawn by the schema of their own definition."""

from pathlib import Path
from typing import Any, Final

import yaml
from hypothesis import strategies as st

from canary.model.values import Json
from tests.fakes.fuzzed import VALUES

_CRDS: Final = Path("manifests/crds")
_OPTIONAL: Final = 5
"""How many fields beside those that must be there an object has at most."""
_TEXTS: Final = st.one_of(
    st.sampled_from(
        ["", "web", "web-canary", "prod", "1m", "0s", "99999999999m", "x" * 300, "{{ target }}"]
    ),
    st.sampled_from(["request-success-rate", "request-duration", "100", "sum(", "up", "é\n"]),
    st.text(max_size=8),
)
_NUMBERS: Final = st.sampled_from(
    [0, 1, -1, 5, 10, 50, 100, 101, 0.5, 99.5, 1e9, 1e18, 1e300, -1e300, 2**63 - 1]
)


_MADE: Final[dict[int, tuple[Json, st.SearchStrategy[Any]]]] = {}


def schema_of(kind: str) -> Json:
    """Return the schema of a kind of ours."""
    definition = yaml.safe_load((_CRDS / f"{kind.lower()}.yaml").read_text(encoding="utf-8"))
    found: Json = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def drawn_by(schema: Json) -> st.SearchStrategy[Any]:
    """Return what a schema lets through; made once for each part of one, which is kept."""
    if id(schema) not in _MADE:
        _MADE[id(schema)] = (schema, _drawn_by(schema))
    return _MADE[id(schema)][1]


def _drawn_by(schema: Json) -> st.SearchStrategy[Any]:
    if schema.get("x-kubernetes-int-or-string"):
        return st.integers(0, 70_000) | st.text(max_size=9)
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return st.dictionaries(st.text(max_size=6), VALUES, max_size=4)
    match schema:
        case {"enum": values}:
            return st.sampled_from(values)
        case {"type": "object"}:
            return _objects(schema).filter(lambda found: _is_let_through(schema, found))
        case {"type": "array", "items": below}:
            return st.lists(drawn_by(below), max_size=3)
        case _:
            return _scalars(schema, str(schema.get("type")))


def _scalars(schema: Json, kind: str) -> st.SearchStrategy[Any]:
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        least, most = schema.get("minimum", -(2**31)), schema.get("maximum", 2**31 - 1)
        return st.integers(least, most)
    if kind == "number":
        return _NUMBERS | st.floats(allow_nan=False, allow_infinity=False)
    if schema.get("format") == "date-time":
        return st.sampled_from(["2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59"])
    if "pattern" in schema:
        return st.from_regex(schema["pattern"]).filter(
            lambda text: len(text) <= schema.get("maxLength", 99)
        )
    return _TEXTS.filter(lambda text: len(text) >= schema.get("minLength", 0))


@st.composite
def _objects(draw: st.DrawFn, schema: Json) -> Json:
    fields: dict[str, Json] = schema.get("properties", {})
    if not fields and "additionalProperties" in schema:
        more = drawn_by(schema["additionalProperties"])
        return draw(st.dictionaries(_TEXTS, more, max_size=2))
    needed = [*schema.get("required", ()), *_one_of(draw, schema)]
    chosen = draw(st.lists(st.sampled_from(sorted(fields)), max_size=_OPTIONAL)) if fields else []
    return {name: draw(drawn_by(fields[name])) for name in dict.fromkeys([*needed, *chosen])}


def _one_of(draw: st.DrawFn, schema: Json) -> list[str]:
    branches = schema.get("oneOf", ())
    return list(draw(st.sampled_from(branches)).get("required", ())) if branches else []


def _is_let_through(schema: Json, found: Json) -> bool:
    """Tell whether an object has the fields that a schema asks for."""
    if any(name not in found for name in schema.get("required", ())):
        return False
    if "oneOf" in schema and sum(_is_let_through(one, found) for one in schema["oneOf"]) != 1:
        return False
    if "anyOf" in schema and not any(_is_let_through(one, found) for one in schema["anyOf"]):
        return False
    return "not" not in schema or not _is_let_through(schema["not"], found)


NAMES: Final = st.sampled_from(["web", "web-canary", "api", "a" * 253])
ANNOTATIONS: Final = st.sampled_from(
    [
        "headgate.dev/x",
        "kubectl.kubernetes.io/last-applied-configuration",
        "deployment.kubernetes.io/revision",
        "prometheus.io/port",
        "",
    ]
)


@st.composite
def metadata(draw: st.DrawFn, notes: st.SearchStrategy[str] = ANNOTATIONS) -> Json:
    """Draw the metadata of any object: the API server knows its fields and types them."""
    found: Json = {"name": draw(NAMES), "namespace": draw(st.sampled_from(["prod", "shop"]))}
    texts = _TEXTS | VALUES.map(str)
    optional: dict[str, st.SearchStrategy[Any]] = {
        "labels": st.dictionaries(st.sampled_from(["app", "a/b", ""]), st.text(max_size=6)),
        "annotations": st.dictionaries(notes, texts, max_size=4),
        "uid": st.uuids().map(str),
        "resourceVersion": st.integers(0, 2**63).map(str),
        "generation": st.integers(0, 2**62),
        "creationTimestamp": st.sampled_from(["2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z"]),
        "deletionTimestamp": st.just("2026-01-01T00:00:00Z"),
        "ownerReferences": st.lists(
            st.fixed_dictionaries(
                {
                    "apiVersion": st.sampled_from(["apps/v1", "x", "flagger.app/v1beta1"]),
                    "kind": st.sampled_from(["Deployment", "ReplicaSet", "Canary"]),
                    "name": NAMES,
                    "uid": st.uuids().map(str),
                },
                optional={"controller": st.booleans()},
            ),
            max_size=2,
        ),
        "managedFields": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "manager": st.sampled_from(["kubectl", "headgate", ""]),
                    "operation": st.sampled_from(["Apply", "Update"]),
                    "subresource": st.sampled_from(["", "status"]),
                    "fieldsV1": st.sampled_from(
                        [{}, {"f:spec": {"f:analysis": {"f:threshold": {}}}}, {"f:spec": {}}]
                    ),
                },
            ),
            max_size=2,
        ),
    }
    for name in draw(st.lists(st.sampled_from(sorted(optional)), max_size=5, unique=True)):
        found[name] = draw(optional[name])
    return found
