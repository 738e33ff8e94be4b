"""A folder of container images in the OCI layout: written without a daemon, imported by ctr.

Layers are shared by all images of the folder, so a base image is stored and sent once.
"""

import hashlib
import io
import json
import platform
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or link of a layer; `source` is a path to copy or the content itself."""

    target: str
    source: Path | bytes
    mode: int = 0o644


class Layout:
    """One OCI layout folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._blobs = folder / "blobs/sha256"

    def ensure(self) -> None:
        """Make an empty layout unless there is one."""
        self._blobs.mkdir(parents=True, exist_ok=True)
        marker = self.folder / "oci-layout"
        if not marker.exists():
            marker.write_text('{"imageLayoutVersion":"1.0.0"}', encoding="utf-8")
        if not self._index.exists():
            self._write_index([])

    @property
    def _index(self) -> Path:
        return self.folder / "index.json"

    def _manifests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self._index.read_text("utf-8"))["manifests"]
        return found

    def _write_index(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        fresh = self._index.with_suffix(".new")
        index = {"schemaVersion": 2, "manifests": manifests}
        fresh.write_text(json.dumps(index), encoding="utf-8")
        fresh.rename(self._index)

    def digests(self) -> dict[str, str]:
        """Image name -> digest of its manifest."""
        return {
            entry["annotations"][REF_NAME]: entry["digest"]
            for entry in self._manifests()
            if REF_NAME in entry.get("annotations", {})
        }

    def blob(self, digest: str) -> Path:
        """The file of one blob."""
        return self._blobs / digest.removeprefix("sha256:")

    def add_blob(self, content: bytes) -> str:
        """Store a small blob."""
        digest = hashlib.sha256(content).hexdigest()
        (self._blobs / digest).write_bytes(content)
        return f"sha256:{digest}"

    def add_layer(self, archive: Path) -> str:
        """Store an uncompressed tar file as a layer; the file is moved."""
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        shutil.move(archive, self._blobs / digest)
        return f"sha256:{digest}"

    def add_files(self, entries: Sequence[Entry]) -> str:
        """Store a layer of a few files, the same bytes for the same files."""
        archive = self.folder / "layer.tmp"
        with tarfile.open(archive, "w") as tar:
            for entry in entries:
                _add_entry(tar, entry)
        return self.add_layer(archive)

    def add_image(self, name: str, layers: Sequence[str], config: Mapping[str, Any]) -> None:
        """Name a list of layers; an image of that name is replaced."""
        described = {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": list(layers)},
            # Builders on top of this image count the layers by their history.
            "history": [{"created_by": "headgate sandbox"} for _ in layers],
        }
        config_digest = self.add_blob(json.dumps(described).encode())
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._descriptor(CONFIG, config_digest),
            "layers": [self._descriptor(LAYER, digest) for digest in layers],
        }
        digest = self.add_blob(json.dumps(manifest).encode())
        entry = {**self._descriptor(MANIFEST, digest), "annotations": {REF_NAME: name}}
        others = [e for e in self._manifests() if e.get("annotations", {}).get(REF_NAME) != name]
        self._write_index([*others, entry])

    def _descriptor(self, media_type: str, digest: str) -> dict[str, Any]:
        size = self.blob(digest).stat().st_size
        return {"mediaType": media_type, "digest": digest, "size": size}

    def _blobs_of(self, manifest_digest: str) -> Iterator[str]:
        yield manifest_digest
        manifest = json.loads(self.blob(manifest_digest).read_text("utf-8"))
        yield manifest["config"]["digest"]
        yield from (layer["digest"] for layer in manifest["layers"])

    def send(self, names: Sequence[str], sink: IO[bytes]) -> None:
        """Write the named images as one archive that `ctr image import` understands."""
        chosen = [e for e in self._manifests() if e.get("annotations", {}).get(REF_NAME) in names]
        entries = [
            {**e, "annotations": {**e["annotations"], CONTAINERD_NAME: e["annotations"][REF_NAME]}}
            for e in chosen
        ]
        blobs = {blob for entry in chosen for blob in self._blobs_of(entry["digest"])}
        index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
        with tarfile.open(fileobj=sink, mode="w|") as tar:
            _add_entry(tar, Entry("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'))
            _add_entry(tar, Entry("index.json", index))
            for digest in sorted(blobs):
                name = f"blobs/sha256/{digest.removeprefix('sha256:')}"
                _add_entry(tar, Entry(name, self.blob(digest)))

    def prune(self) -> None:
        """Remove blobs that no image uses any more."""
        used = {blob for entry in self._manifests() for blob in self._blobs_of(entry["digest"])}
        for path in self._blobs.iterdir():
            if f"sha256:{path.name}" not in used:
                path.unlink()


def _add_entry(tar: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.target.lstrip("/"))
    info.mode = entry.mode
    if isinstance(entry.source, bytes):
        info.size = len(entry.source)
        tar.addfile(info, io.BytesIO(entry.source))
        return
    info.size = entry.source.stat().st_size
    with entry.source.open("rb") as file:
        tar.addfile(info, file)
