"""Labels and selectors as teams write them, drawn at random: few words, so that they meet."""

from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

KEYS = ("app", "name", "tier", "track")
VALUES = ("", "web", "web-canary", "api", "canary")

keys = st.sampled_from(KEYS)
values = st.sampled_from(VALUES)
labels = st.dictionaries(keys, values, max_size=4)


@st.composite
def expressions(draw: st.DrawFn) -> Json:
    operator = draw(st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")))
    made: Json = {"key": draw(keys), "operator": operator}
    if operator in {"In", "NotIn"}:
        made["values"] = draw(st.lists(values, min_size=1, max_size=3))
    return made


label_selectors = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": st.dictionaries(keys, values, max_size=2),
        "matchExpressions": st.lists(expressions(), max_size=3),
    },
)


def accepted(expression: Json, worn: dict[str, str]) -> bool:
    """Tell whether labels meet an expression, as the API's documentation words it."""
    value = worn.get(expression["key"])
    if expression["operator"] == "In":
        return value is not None and bool(value in expression["values"])
    if expression["operator"] == "NotIn":
        return value is None or bool(value not in expression["values"])
    return (value is not None) is bool(expression["operator"] == "Exists")


def selected(selector: Json, worn: dict[str, str]) -> bool:
    """Tell whether a LabelSelector selects labels, in the plainest way."""
    equal = selector.get("matchLabels") or {}
    others = selector.get("matchExpressions") or []
    return all(worn.get(key) == value for key, value in equal.items()) and all(
        accepted(one, worn) for one in others
    )


@st.composite
def met_by(draw: st.DrawFn, worn: dict[str, str]) -> Json:
    """Draw a selector that selects labels, as that of a Deployment selects its template's."""
    equal = draw(st.sets(st.sampled_from(sorted(worn)))) if worn else set()
    others = draw(st.lists(expressions(), max_size=4))
    selector = {
        "matchLabels": {key: worn[key] for key in sorted(equal)},
        "matchExpressions": [one for one in others if accepted(one, worn)],
    }
    return {key: value for key, value in selector.items() if value}


def service(name: str, selector: dict[str, str] | None, **spec: Any) -> Json:
    """Return a Service of a namespace."""
    return {"metadata": {"name": name}, "spec": {"selector": selector, **spec}}


def target(worn: dict[str, str], selector: Json, name: str = "web") -> Json:
    """Return a Deployment with a template of these labels."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "prod", "uid": f"uid-{name}"},
        "spec": {
            "replicas": 4,
            "selector": selector,
            "template": {
                "metadata": {"labels": dict(worn)},
                "spec": {"containers": [{"name": "app", "image": "web:1"}]},
            },
        },
    }
