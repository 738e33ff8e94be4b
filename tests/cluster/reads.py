"""Reads of a cluster without kubectl: it takes 0.1 s of a processor for what takes milliseconds.

Tests look again and again until there is something to see; with kubectl that was most of the
work of the machine. What teams do is done by kubectl still, and so is each read that is not
plain, or not answered.
"""

import base64
import http.client
import json
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, urlencode, urlsplit

import yaml

Json = dict[str, Any]
DEADLINE: Final = 30.0
_DISCOVERY: Final = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
)
_SELECTORS: Final = {
    "-l": "labelSelector",
    "--selector": "labelSelector",
    "--field-selector": "fieldSelector",
}


class UnreadError(Exception):
    """A read is not done here: kubectl does it, or says why not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind that an API server has, as its discovery tells."""

    prefix: str
    plural: str
    api_version: str
    kind: str
    namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        """Return where an object or the list of a namespace is, "" for that of all."""
        within = ["namespaces", namespace] if self.namespaced and namespace else []
        parts = [*within, self.plural, *([name] if name else [])]
        return "/".join([self.prefix, *(quote(it) for it in parts)])

    def seen(self, obj: Json) -> Json:
        """Return an object as kubectl shows it."""
        obj["metadata"].pop("managedFields", None)
        return {"apiVersion": self.api_version, "kind": self.kind} | obj


@dataclass(slots=True)
class Reader:
    """Reads the API server of a kubeconfig, from any number of threads."""

    host: str
    context: ssl.SSLContext
    headers: dict[str, str]
    namespace: str
    _kinds: dict[str, Kind] = field(default_factory=dict)
    _idle: list[http.client.HTTPSConnection] = field(default_factory=list)
    """Connections that nobody uses: of no thread, for one that ends would leave its own open."""

    @classmethod
    def of(cls, kubeconfig: Path) -> Self:
        """Return that of a file's current context.

        Raises:
            UnreadError: it identifies itself in a way that is not known here.

        """
        config = yaml.safe_load(kubeconfig.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        tls, headers = _trusting(cluster, kubeconfig.parent), {}
        if "token" in user:
            headers["Authorization"] = f"Bearer {user['token']}"
        else:
            _identify(tls, user, kubeconfig.parent)
        address = urlsplit(cluster["server"])
        if address.scheme != "https" or address.path.strip("/"):
            raise UnreadError(cluster["server"])
        return cls(address.netloc, tls, headers, context.get("namespace", "default"))

    def find(self, kind: str, name: str, namespace: str) -> Json | None:
        """Return one object, None where there is none.

        Args:
            kind: a name of it, as kubectl takes it.
            name: of the object.
            namespace: of the object, "" for that of the kubeconfig.

        Raises:
            UnreadError: the kind is not known, or the API server does not answer as it should.

        """
        found = self._kind(kind)
        obj = self._asked(found.path(namespace or self.namespace, name))
        if obj.get("kind") == "Status":
            # Where nothing at all is served there are no details: the kind may have gone.
            if obj.get("reason") == "NotFound" and obj.get("details", {}).get("name") == name:
                return None
            raise UnreadError(obj.get("message", ""))
        return found.seen(obj)

    def items(self, kind: str, namespace: str, *arguments: str) -> list[Json]:
        """Return all objects of a kind.

        Args:
            kind: a name of it, as kubectl takes it.
            namespace: of the objects, "" for that of the kubeconfig.
            arguments: of kubectl: selectors, and whether it is all namespaces.

        Raises:
            UnreadError: there are other arguments, the kind is not known, or the API server does
                not answer as it should.

        """
        found, query, everywhere = self._kind(kind), {}, False
        left = iter(arguments)
        for argument in left:
            option, is_here, value = argument.partition("=")
            if argument in {"-A", "--all-namespaces"}:
                everywhere = True
            elif option in _SELECTORS:
                query[_SELECTORS[option]] = value if is_here else next(left)
            else:
                raise UnreadError(argument)
        path = found.path("" if everywhere else namespace or self.namespace)
        answer = self._asked(f"{path}?{urlencode(query)}" if query else path)
        if "items" not in answer:
            raise UnreadError(answer.get("message", ""))
        return [found.seen(it) for it in answer["items"]]

    def _kind(self, name: str) -> Kind:
        wanted = name.lower()
        if wanted not in self._kinds:
            self._kinds = dict(self._discovered())
        if wanted not in self._kinds:
            raise UnreadError(name)
        return self._kinds[wanted]

    def _discovered(self) -> dict[str, Kind]:
        found: dict[str, Kind] = {}
        for root in ("/api", "/apis"):
            for group in self._asked(root, _DISCOVERY)["items"]:
                for name, kind in _kinds_of(root, group):
                    found.setdefault(name, kind)
        return found

    def _asked(self, path: str, accept: str = "application/json") -> Json:
        try:
            try:
                text = self._answer(path, accept)
            except (http.client.HTTPException, ConnectionError):  # it was ended while it was idle
                text = self._answer(path, accept)
            found: Json = json.loads(text)
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise UnreadError(str(error)) from error
        return found

    def _answer(self, path: str, accept: str) -> bytes:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = http.client.HTTPSConnection(
                self.host, timeout=DEADLINE, context=self.context
            )
        try:
            connection.request("GET", path, headers={**self.headers, "Accept": accept})
            text: bytes = connection.getresponse().read()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return text


@cache
def reader(kubeconfig: Path, written: int) -> Reader:  # noqa: ARG001 - a newer file is read anew
    """Return that of a kubeconfig as it was written then.

    Raises:
        UnreadError: it identifies itself in a way that is not known here.

    """
    return Reader.of(kubeconfig)


def _named(entries: list[Json], name: str) -> Json:
    return next(it for it in entries if it["name"] == name)


def _trusting(cluster: Json, folder: Path) -> ssl.SSLContext:
    if "certificate-authority-data" in cluster:
        data = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return ssl.create_default_context(cadata=data)
    if "certificate-authority" in cluster:
        return ssl.create_default_context(cafile=folder / cluster["certificate-authority"])
    raise UnreadError("certificate-authority")


def _identify(tls: ssl.SSLContext, user: Json, folder: Path) -> None:
    with (
        _file(user, "client-certificate", folder) as certificate,
        _file(user, "client-key", folder) as key,
    ):
        tls.load_cert_chain(certificate, key)


@contextmanager
def _file(user: Json, name: str, folder: Path) -> Iterator[Path]:
    """Have what a kubeconfig says, or names, in a file."""
    if name in user:
        yield folder / user[name]
        return
    if f"{name}-data" not in user:
        raise UnreadError(name)
    with tempfile.NamedTemporaryFile() as file:
        file.write(base64.b64decode(user[f"{name}-data"]))
        file.flush()
        yield Path(file.name)


def _kinds_of(root: str, group: Json) -> Iterator[tuple[str, Kind]]:
    """Return the kinds of a group by all their names, those of the preferred version first."""
    name = group["metadata"].get("name", "")
    for version in group["versions"]:
        api_version = f"{name}/{version['version']}" if name else version["version"]
        for it in version.get("resources", []):
            kind = Kind(
                prefix=f"{root}/{api_version}",
                plural=it["resource"],
                api_version=api_version,
                kind=it["responseKind"]["kind"],
                namespaced=it["scope"] == "Namespaced",
            )
            names = {it["resource"], it.get("singularResource", ""), kind.kind.lower()}
            names |= set(it.get("shortNames", []))
            for called in names - {""}:
                yield called, kind
                if name:
                    yield f"{called}.{name}", kind
