"""An AlertProvider as its team writes it."""

from canary.model.values import Json
from canary.objects.alert_providers import room_of, secret_of
from canary.validation.urls import problem_with
from canary.validation.verdict import Verdict


def check(provider: Json) -> Verdict:
    """Judge an AlertProvider; whether its Secret is there is seen when something is sent.

    Args:
        provider: the object, with a spec.

    """
    spec = provider["spec"]
    problems = []
    if not secret_of(provider):
        try:
            room_of(provider, None)
        except ValueError as error:
            problems.append(f"address: {error}")
    problems += [
        f"{name} {problem_with(str(spec[name]))}"
        for name in ("address", "proxy")
        if spec.get(name) and problem_with(str(spec[name]))
    ]
    return Verdict(refused=tuple(problems))
