"""The documents name nothing that is not there: files, names, targets, variables, annotations."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from canary import contract

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
EXPECTED = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "architecture.md"}
PACKAGES = (
    "canary",
    "runtime",
    "webhook",
    "analyzer",
    "certs",
    "loadtester",
    "kubectl_headgate",
    "sandbox",
)
FOLDERS = (*PACKAGES, "manifests", "tests", "docs")
FILES = ("Makefile", "Dockerfile", "pyproject.toml", "requirements.lock", "requirements-dev.lock")

FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
TOKEN = re.compile(r"`([^`\s]+)`")
IN_A_DRAWING = re.compile(rf"\b(?:{'|'.join(PACKAGES)})/[\w/]+\.py\b")
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")
DOTTED = re.compile(r"\w+(\.\w+)+")
MAKE = re.compile(r"make (?P<targets>[a-z][a-z -]*)")
VARIABLE = re.compile(r"\bHEADGATE_[A-Z_]*[A-Z]\b")
KEY = re.compile(r"(?<![\w./-])headgate\.dev/[a-z-]+")

documents = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS]
)


def prose(document: Path) -> str:
    return FENCE.sub("", document.read_text())


def drawings(document: Path) -> str:
    return "\n".join(FENCE.findall(document.read_text()))


def is_a_path(token: str) -> bool:
    return token in FILES or ("/" in token and token.split("/", maxsplit=1)[0] in FOLDERS)


def is_a_name(token: str) -> bool:
    return DOTTED.fullmatch(token) is not None and token.split(".", maxsplit=1)[0] in PACKAGES


def named_paths(document: Path) -> Iterator[str]:
    """Everything in a document that claims to be a file, a folder, a module, or a name in one."""
    tokens = TOKEN.findall(prose(document))
    yield from (token for token in tokens if is_a_path(token) or is_a_name(token))
    yield from IN_A_DRAWING.findall(drawings(document))


def named_targets(document: Path) -> set[str]:
    """Every target that a document tells its reader to make, in the text or in a block."""
    lines = [*CODE.findall(prose(document)), *drawings(document).splitlines()]
    found = (MAKE.match(line) for line in lines)
    return {word for it in found if it is not None for word in it["targets"].split()}


def exists(token: str) -> bool:
    if "/" in token or token in FILES:
        return (ROOT / token.partition("::")[0]).exists()  # a test's name is looked for elsewhere
    *parents, last = token.split(".")
    folder = ROOT.joinpath(*parents)
    if (folder / last).is_dir() or (folder / f"{last}.py").is_file():
        return True
    module = folder.with_suffix(".py")
    module = module if module.is_file() else folder / "__init__.py"
    return module.is_file() and last in names_of(module)


@cache
def names_of(module: Path) -> frozenset[str]:
    """Names that a module defines at its top level."""
    found: set[str] = set()
    for node in ast.parse(module.read_text()).body:
        match node:
            case (
                ast.ClassDef(name=name)
                | ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
            ):
                found.add(name)
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case ast.Assign(targets=targets):
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
            case _:
                pass
    return frozenset(found)


def anchors(document: Path) -> set[str]:
    """Anchors of a document's headings, as they are made on the web."""
    texts = (match["text"].lower() for match in HEADING.finditer(prose(document)))
    return {re.sub(r"[^\w\- ]", "", text).replace(" ", "-") for text in texts}


def keys_of_the_code() -> set[str]:
    """Every label and annotation that a module of the contract spells out."""
    values = [*vars(contract).values(), *contract.Command]
    return {str(value) for value in values if str(value).startswith(f"{contract.DOMAIN}/")}


def variables_of_the_code() -> set[str]:
    """Every variable that the ConfigMap explains or that a process reads."""
    files = [ROOT / "manifests" / "configmap.yaml", ROOT / "sandbox" / "paths.py"]
    files += [path for package in PACKAGES for path in (ROOT / package).glob("settings.py")]
    return {name for path in files for name in VARIABLE.findall(path.read_text())}


def targets_of_the_makefile() -> set[str]:
    rules = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return set(rules)


def test_documents_are_found() -> None:
    assert {path.name for path in DOCUMENTS} >= EXPECTED


@documents
def test_paths_and_modules_exist(document: Path) -> None:
    assert [token for token in named_paths(document) if not exists(token)] == []


def test_the_map_names_every_process_and_library() -> None:
    named = set(named_paths(ROOT / "docs" / "architecture.md"))
    roots = {re.split(r"[./]", token)[0] for token in named}

    assert roots >= set(PACKAGES)


@documents
def test_make_targets_exist(document: Path) -> None:
    assert named_targets(document) - targets_of_the_makefile() == set()


@documents
def test_variables_exist(document: Path) -> None:
    assert set(VARIABLE.findall(document.read_text())) - variables_of_the_code() == set()


def test_every_setting_of_the_admin_is_in_the_readme() -> None:
    configmap = (ROOT / "manifests" / "configmap.yaml").read_text()
    settings = re.findall(r"^  (HEADGATE_\w+): \"?([^\"\n]*)\"?$", configmap, re.MULTILINE)
    readme = (ROOT / "README.md").read_text()

    assert settings
    assert [it for it in settings if f"| `{it[0]}` | `{it[1]}` |" not in readme] == []


@documents
def test_labels_and_annotations_exist(document: Path) -> None:
    assert set(KEY.findall(document.read_text())) - keys_of_the_code() == set()


@documents
def test_relative_links_resolve(document: Path) -> None:
    broken = []
    for link in LINK.finditer(prose(document)):
        path, _, anchor = link["target"].partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link["target"])

    assert broken == []


@pytest.mark.parametrize(
    "wrong",
    [
        "canary/nowhere.py",
        "canary.nowhere",
        "canary.rules.decide.nowhere",
        "analyzer.ports.Nothing",
    ],
)
def test_what_is_not_there_is_noticed(wrong: str) -> None:
    assert not exists(wrong)
