"""Addresses that teams write. They may hold a password, so that no message repeats one."""

from urllib.parse import urlsplit


def problem_with(address: str) -> str:
    """Return what is wrong with the URL of a hook, a metrics server or a chat service, "" if none.

    Args:
        address: as it is written.

    """
    try:
        url = urlsplit(address.strip())
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    return "" if usable else "is no URL of http or https; write it as https://name.example/path"
