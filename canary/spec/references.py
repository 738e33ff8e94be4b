"""What a Canary may name beside itself."""


def elsewhere(what: str, namespace: str) -> str:
    """Say of something in another namespace that it may not be named.

    It is said before it is looked for: whether it exists is not the Canary's namespace's to know.

    Args:
        what: kind, namespace and name of it.
        namespace: the Canary's.

    """
    return (
        f"{what} is in another namespace, which the admin does not allow; copy it to "
        f"{namespace}, or ask the admin for HEADGATE_CROSS_NAMESPACE_REFS"
    )
