"""What a module rests on: sources of this checkout, and others' libraries by their versions.

Found in the sources themselves: what a module imports, wherever in it, and what that imports in
turn, with the packages that they lie in. Nothing here is imported by a name that is computed
(`tests/simulation/test_kept_results.py` compares with what an interpreter has loaded).
"""

import ast
import hashlib
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a module rests on: a hash over all files, and what each library's version is."""

    files: tuple[str, ...]
    digest: str
    others: Mapping[str, str]


def sources_of(module: str, root: Path = ROOT) -> Sources:
    """Find what a module rests on, as it is on the disk now.

    Args:
        module: its name with dots.
        root: of the checkout.

    Raises:
        OSError: a file went meanwhile.
        SyntaxError: a file is no Python.

    """
    found: dict[str, bytes] = {}
    others: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        path = _file_of(name, root)
        if path is None:
            others.add(name.partition(".")[0])
            continue
        key = path.relative_to(root).as_posix()
        if key not in found:
            found[key] = path.read_bytes()
            todo += _imported(found[key], name, root, package=path.name == "__init__.py")
            todo += _packages(name)
    whole = hashlib.sha256()
    for key in sorted(found):
        whole.update(f"{key}\0{hashlib.sha256(found[key]).hexdigest()}\n".encode())
    return Sources(
        files=tuple(sorted(found)), digest=whole.hexdigest(), others=_versions(frozenset(others))
    )


def _packages(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:size]) for size in range(1, len(parts))]


def _file_of(name: str, root: Path) -> Path | None:
    """Return the file of a module of the checkout, None of all others."""
    base = root.joinpath(*name.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _imported(source: bytes, name: str, root: Path, *, package: bool) -> Iterator[str]:
    for level, taken_from, names in _imports(source):
        if taken_from is None:
            yield from names
            continue
        above = name.split(".")[: -(level - package) or None] if level else []
        whole = ".".join([*above, taken_from]).strip(".")
        yield whole
        # What is taken from a package may be a module of it.
        yield from (one for one in (f"{whole}.{one}" for one in names) if _file_of(one, root))


@cache
def _imports(source: bytes) -> tuple[tuple[int, str | None, tuple[str, ...]], ...]:
    """Return level, module and names of each `from ... import`; of `import ...` the names alone."""
    found: list[tuple[int, str | None, tuple[str, ...]]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.append((0, None, tuple(one.name for one in node.names)))
        elif isinstance(node, ast.ImportFrom):
            names = tuple(one.name for one in node.names)
            found.append((node.level, node.module or "", names))
    return tuple(found)


@cache
def _versions(names: frozenset[str]) -> Mapping[str, str]:
    """Return the versions of what is installed, and of Python; its floats are of the machine."""
    shipped = metadata.packages_distributions()
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in names - sys.stdlib_module_names:
        found |= {one: metadata.version(one) for one in shipped.get(name, ())}
    return found
