"""JSON Pointers (RFC 6901): where a JSON Patch writes."""


def annotation_path(key: str) -> str:
    """Return the pointer to an annotation of an object."""
    token = key.replace("~", "~0").replace("/", "~1")
    return f"/metadata/annotations/{token}"
