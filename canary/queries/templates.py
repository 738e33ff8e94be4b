"""The query of a MetricTemplate: the part of Go's text/template that Flagger's templates use.

Only `{{ name }}` and `{{ variables.key }}` actions exist, with the trim markers `{{-` and `-}}`;
anything else is an error that says where it stands and what there is. Values are written once: what
looks like an action inside a value stays text. None becomes more of the query than it stands for
(`canary.queries.literals`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from canary.durations import format_duration
from canary.queries.literals import Fitting, LiteralError, Literals, UnreadLiterals

MOST_CHARACTERS: Final = 65_536
"""Of a template, and of what it is rendered to; those in use have a few hundred."""
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
    written as Prometheus writes durations, or always `in_seconds`.
    """

    name: str
    namespace: str
    workload: str
    baseline: str
    service: str
    interval: timedelta
    in_seconds: bool = False
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
            "interval": self._interval(),
        }

    def _interval(self) -> str:
        seconds = int(self.interval.total_seconds())
        return f"{seconds}s" if self.in_seconds else format_duration(self.interval)

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


def render(template: str, values: TemplateValues, *, promql: bool = True) -> str:
    """Fill the values into a query.

    Args:
        template: `MetricTemplate.spec.query`.
        values: what its actions stand for.
        promql: whether its language is PromQL; else it is one of which nothing is known.

    Raises:
        TemplateError: an action is not closed, not known, or names a variable that is not given;
            or a value cannot stand where it is to.

    """
    _check_length(len(template))
    parts: list[str] = []
    length = 0
    functions = values.functions()
    literals: Fitting = Literals() if promql else UnreadLiterals(_names(values))
    position, trim = 0, False
    while (start := template.find(_OPEN, position)) >= 0:
        end = template.find(_CLOSE, start)
        if end < 0:
            raise TemplateError(f"the action at {_where(template, start)} is not closed by }}}}")
        action, trim_before, trim_after = _unmark(template[start + len(_OPEN) : end])
        text = template[position:start]
        text = text.lstrip(_SPACE) if trim else text
        text = text.rstrip(_SPACE) if trim_before else text
        literals.pass_over(text)
        position, trim = end + len(_CLOSE), trim_after
        meant, position = (None, position) if trim else _suffix(template, position, action, values)
        try:
            value = _value(action, functions, values.variables) if meant is None else meant
            length += len(text) + len(value)
            _check_length(length)
            parts += [text, literals.fit(value, template[position:])]
        except (TemplateError, LiteralError) as error:
            raise TemplateError(
                f"{{{{ {_shown(action)} }}}} at {_where(template, start)} {error}"
            ) from error
    rest = template[position:]
    return "".join([*parts, rest.lstrip(_SPACE) if trim else rest])


def _names(values: TemplateValues) -> frozenset[str]:
    return frozenset((*values.functions().values(), *values.suffixed().values()))


def _check_length(characters: int) -> None:
    if characters > MOST_CHARACTERS:
        raise TemplateError(f"its query is longer than {MOST_CHARACTERS} characters")


def _unmark(inside: str) -> tuple[str, bool, bool]:
    """Split an action's inside into itself and whether text before and after it is trimmed."""
    # As in Go, a marker is one only with white space beside it: {{-3}} would be a number.
    before = inside[:1] == "-" and inside[1:2] in tuple(_SPACE)
    inside = inside[1:] if before else inside
    after = inside[-1:] == "-" and inside[-2:-1] in tuple(_SPACE)
    return (inside[:-1] if after else inside).strip(_SPACE), before, after


def _suffix(
    template: str, position: int, action: str, values: TemplateValues
) -> tuple[str | None, int]:
    """Return what an action with a suffix of Flagger's stands for, if it has one, and its end."""
    found = _SUFFIX.match(template, position)
    meant = values.suffixed().get((action, found["which"])) if found else None
    return (None, position) if found is None or meant is None else (meant, found.end())


def _value(action: str, functions: Mapping[str, str], variables: Mapping[str, str]) -> str:
    if action in functions:
        if action in _MAY_BE_EMPTY and not functions[action]:
            raise TemplateError(
                "is empty, for traffic is split on routes, and what asks for an empty name "
                "reads both versions; write the name itself, and the canary's as {{ target }}"
            )
        return functions[action]
    if variable := _VARIABLE.fullmatch(action):
        key = variable["key"]
        if key in variables:
            return variables[key]
        known = ", ".join(sorted(variables)) or "none"
        raise TemplateError(f"is not given; templateVariables of the metric: {known}")
    known = ", ".join([*functions, "variables.<key>"])
    raise TemplateError(f"is not known; there are: {known}")


def _shown(action: str) -> str:
    return action if len(action) <= _SHOWN else f"{action[:_SHOWN]}..."


def _where(template: str, offset: int) -> str:
    line = template.count("\n", 0, offset) + 1
    column = offset - template.rfind("\n", 0, offset)
    return f"line {line}, column {column}"
