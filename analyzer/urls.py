"""URLs as they may be shown."""

from yarl import URL


def shown(url: str) -> str:
    """Return the URL without what may be secret in it: credentials, query and fragment."""
    try:
        parsed = URL(url)
        # A relative one, as in a Location, has no place for credentials.
        parsed = parsed.with_user(None) if parsed.absolute else parsed
        return str(parsed.with_query(None).with_fragment(None))
    except ValueError:
        return "(unreadable URL)"
