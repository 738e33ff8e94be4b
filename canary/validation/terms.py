"""What the admin has set, as far as objects are judged by it."""

from collections.abc import Mapping
from typing import Final

from canary.spec import parsers
from canary.spec.defaults import defaults_from
from canary.spec.problems import Problems
from canary.spec.settings import CROSS_NAMESPACE_REFS
from canary.spec.sources import Setting, environment
from canary.validation.verdict import Terms, Unparsed

UNPARSED_QUERIES: Final = Setting(
    name="unparsed",
    parse=parsers.member(Unparsed),
    default=Unparsed.REFUSE,
    variable="HEADGATE_UNPARSED_QUERIES",
    help="what becomes of the write of a query that is no PromQL: refuse, or warn",
)


def terms_from(variables: Mapping[str, str], problems: Problems) -> Terms:
    """Read what objects are judged by.

    Args:
        variables: texts by environment variable.
        problems: where mistakes are noted; what cannot be read has its default.

    """
    get = environment(variables, problems).value
    return Terms(
        defaults=defaults_from(variables, problems),
        cross_namespace=get(CROSS_NAMESPACE_REFS),
        unparsed=get(UNPARSED_QUERIES),
    )
