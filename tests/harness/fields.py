"""Whose fields are whose: merge patches and server-side apply, as far as Headgate's objects need.

Lists are one field each. At a real API server those with keys (containers, ports of a Service) are
merged entry by entry; Headgate owns such a list alone and always writes all of it.
"""

from typing import Any, Final

from canary.model.values import Json

Path = tuple[str, ...]
_TRACKED: Final = ("labels", "annotations", "ownerReferences")
_WHOLE: Final = ("selector",)
"""A map that is one field (`structType=atomic`), of all that Headgate writes."""
_BESIDE: Final = frozenset({"apiVersion", "kind", "metadata", "status"})


def merged(before: Json, patch: Json) -> Json:
    """Return what a merge patch (RFC 7386) makes of an object."""
    result = dict(before)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            old = result.get(name)
            result[name] = merged(old if isinstance(old, dict) else {}, value)
        else:
            result[name] = value
    return result


def leaves(obj: Json) -> dict[Path, Any]:
    """Return the fields of an object that somebody can own, by their place."""
    found: dict[Path, Any] = {}
    metadata = obj.get("metadata") or {}
    for key in _TRACKED:
        if metadata.get(key):
            _gather(found, ("metadata", key), metadata[key])
    _gather(found, (), {key: value for key, value in obj.items() if key not in _BESIDE})
    return found


def _gather(found: dict[Path, Any], path: Path, value: Any) -> None:
    if isinstance(value, dict) and value and path[-1:] != _WHOLE:
        for key, below in value.items():
            _gather(found, (*path, key), below)
    elif path:
        found[path] = value


def updated(before: Json, after: Json, manager: str) -> Json:
    """Return an object after a write that is no apply, with its writer as owner of what changed."""
    old, new = leaves(before), leaves(after)
    changed = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    if not changed:
        return after
    entries = _entries(before)
    entries = {who: owned - changed for who, owned in entries.items()}
    entries.setdefault((manager, "Update"), set()).update(changed & new.keys())
    return _with_entries(after, entries)


def applied(before: Json, wanted: Json, manager: str) -> tuple[Json, set[Path]]:
    """Return what a server-side apply makes of an object, and the fields that it takes by force."""
    old, new = leaves(before), leaves(wanted)
    entries = _entries(before)
    ours = entries.pop((manager, "Apply"), set())
    news = {path for path, value in new.items() if path not in old or old[path] != value}
    others = set().union(*entries.values()) if entries else set()
    taken = {path for path in news & others if path in old}
    after = before
    for path in ours - new.keys() - others:
        after = _without(after, path)
    for path, value in new.items():
        after = _having(after, path, value)
    entries = {who: owned - taken for who, owned in entries.items()}
    entries[manager, "Apply"] = set(new)
    return _with_entries(after, entries), taken


def _without(obj: Json, path: Path) -> Json:
    head, rest = path[0], path[1:]
    if head not in obj:
        return obj
    if not rest:
        return {key: value for key, value in obj.items() if key != head}
    below = obj[head]
    if not isinstance(below, dict):
        return obj
    left = _without(below, rest)
    return {**obj, head: left} if left else _without(obj, (head,))


def _having(obj: Json, path: Path, value: Any) -> Json:
    head, rest = path[0], path[1:]
    if not rest:
        stays = value == {} and isinstance(obj.get(head), dict)
        return obj if stays else {**obj, head: value}
    below = obj.get(head)
    return {**obj, head: _having(below if isinstance(below, dict) else {}, rest, value)}


# --- `metadata.managedFields` --------------------------------------------------------------------


def _entries(obj: Json) -> dict[tuple[str, str], set[Path]]:
    found: dict[tuple[str, str], set[Path]] = {}
    for entry in obj["metadata"].get("managedFields") or ():
        found[entry["manager"], entry["operation"]] = set(_paths((), entry.get("fieldsV1") or {}))
    return found


def _paths(path: Path, fields: Json) -> list[Path]:
    if not fields:
        return [path] if path else []
    return [
        one
        for name, below in fields.items()
        for one in _paths((*path, name.removeprefix("f:")), below)
    ]


def _with_entries(obj: Json, entries: dict[tuple[str, str], set[Path]]) -> Json:
    written = [
        {
            "manager": manager,
            "operation": operation,
            "apiVersion": obj.get("apiVersion", "v1"),
            "fieldsType": "FieldsV1",
            "fieldsV1": _fields_v1(owned),
        }
        for (manager, operation), owned in entries.items()
        if owned
    ]
    return {**obj, "metadata": {**obj["metadata"], "managedFields": written}}


def _fields_v1(paths: set[Path]) -> Json:
    fields: Json = {}
    for path in sorted(paths):
        below = fields
        for name in path:
            below = below.setdefault(f"f:{name}", {})
    return fields
