"""The query of a MetricTemplate: the part of Go's text/template that Flagger's templates use.

Only `{{ name }}` and `{{ variables.key }}` actions exist, with the trim markers `{{-` and `-}}`;
anything else is an error that says where it stands and what there is. Values are written as they
are, once: what looks like an action inside a value stays text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from canary.durations import format_duration

_OPEN: Final = "{{"
_CLOSE: Final = "}}"
_SPACE: Final = " \t\r\n"
"""What Go's trim markers trim (text/template, "Text and spaces")."""
_SHOWN: Final = 60
"""Characters of an offending action that a message quotes."""
_SUFFIX: Final = re.compile(r"-(?P<which>canary|primary)(?![0-9A-Za-z])")
"""Behind an action: what Flagger calls the two versions by."""
_MAY_BE_EMPTY: Final = frozenset({"ingress", "route"})
_VARIABLE: Final = re.compile(r"variables\.(?P<key>\w+)")


class TemplateError(ValueError):
    """A query that cannot be rendered; the message is for the reader of `Canary.status`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateValues:
    """What a query may name.

    `name` and `namespace` are the Canary's. `workload` is the Deployment to be measured, which
    `{{ target }}` stands for: the canary's, `web-canary`, or the stable's, `web`, to learn the
    stable's own value from the same template. `baseline` is the stable's in both cases. `service`
    is the Service of both, `backend` that of the workload alone. `interval` is the metric's,
    written as Prometheus writes durations.
    """

    name: str
    namespace: str
    workload: str
    baseline: str
    service: str
    interval: timedelta
    backend: str = ""
    ingress: str = ""
    route: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)

    def functions(self) -> dict[str, str]:
        """Return the actions that take no key, by name."""
        return {
            "name": self.name,
            "namespace": self.namespace,
            "target": self.workload,
            "baseline": self.baseline,
            "service": self.service,
            "ingress": self.ingress,
            "route": self.route,
            "interval": format_duration(self.interval),
        }

    def suffixed(self) -> dict[tuple[str, str], str]:
        """Return what an action with one of Flagger's suffixes behind it stands for.

        In Flagger `{{ target }}-canary` and `{{ service }}-canary` are the canary's Service, and
        with `-primary` workload and Service of production are called
        (docs.flagger.app/usage/how-it-works). The canary's name has its suffix already here.
        """
        workload, stable = self.workload, self.baseline
        return {
            ("name", "canary"): workload,
            ("name", "primary"): stable,
            ("target", "canary"): workload,
            ("target", "primary"): stable,
            ("service", "canary"): self.backend or self.service,
            ("service", "primary"): self.service,
        }


def render(template: str, values: TemplateValues) -> str:
    """Fill the values into a query.

    Args:
        template: `MetricTemplate.spec.query`.
        values: what its actions stand for.

    Raises:
        TemplateError: an action is not closed, not known, or names a variable that is not given.

    """
    parts: list[str] = []
    position, trim = 0, False
    while (start := template.find(_OPEN, position)) >= 0:
        end = template.find(_CLOSE, start)
        if end < 0:
            raise TemplateError(f"the action at {_where(template, start)} is not closed by }}}}")
        action, trim_before, trim_after = _unmark(template[start + len(_OPEN) : end])
        text = template[position:start]
        text = text.lstrip(_SPACE) if trim else text
        parts += [text.rstrip(_SPACE) if trim_before else text]
        position, trim = end + len(_CLOSE), trim_after
        suffix = None if trim else _SUFFIX.match(template, position)
        meant = values.suffixed().get((action, suffix["which"])) if suffix else None
        if suffix is not None and meant is not None:
            parts += [meant]
            position = suffix.end()
        else:
            parts += [_value(action, values, _where(template, start))]
    rest = template[position:]
    return "".join([*parts, rest.lstrip(_SPACE) if trim else rest])


def _unmark(inside: str) -> tuple[str, bool, bool]:
    """Split an action's inside into itself and whether text before and after it is trimmed."""
    # As in Go, a marker is one only with white space beside it: {{-3}} would be a number.
    before = inside[:1] == "-" and inside[1:2] in tuple(_SPACE)
    inside = inside[1:] if before else inside
    after = inside[-1:] == "-" and inside[-2:-1] in tuple(_SPACE)
    return (inside[:-1] if after else inside).strip(_SPACE), before, after


def _value(action: str, values: TemplateValues, where: str) -> str:
    functions = values.functions()
    if action in functions:
        if action in _MAY_BE_EMPTY and not functions[action]:
            raise TemplateError(
                f"{{{{ {action} }}}} at {where} is empty, for traffic is split on HTTPRoutes, and "
                "what asks for an empty name reads both versions; write the name itself, and the "
                "canary's as {{ target }}"
            )
        return functions[action]
    if variable := _VARIABLE.fullmatch(action):
        key = variable["key"]
        if key in values.variables:
            return values.variables[key]
        known = ", ".join(sorted(values.variables)) or "none"
        raise TemplateError(
            f"{{{{ {action} }}}} at {where} is not given; templateVariables of the metric: {known}"
        )
    known = ", ".join([*functions, "variables.<key>"])
    shown = action if len(action) <= _SHOWN else f"{action[:_SHOWN]}..."
    raise TemplateError(f"{{{{ {shown} }}}} at {where} is not known; there are: {known}")


def _where(template: str, offset: int) -> str:
    line = template.count("\n", 0, offset) + 1
    column = offset - template.rfind("\n", 0, offset)
    return f"line {line}, column {column}"
