"""Images are made again when, and only when, something in them changed."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from sandbox import base_image, dockerfiles, images, oci
from sandbox.dockerfiles import Recipe

DOCKERFILE = """\
FROM base AS build
COPY lock.txt /src/
FROM base
COPY --from=build /opt /opt
COPY --chown=0:0 app \\
     lib /srv/
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "lock.txt").write_text("a==1")
    for folder in ("app", "lib", "docs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file.py").write_text(folder)
    return tmp_path


def test_copied_names_the_sources_from_the_context() -> None:
    assert dockerfiles.copied(DOCKERFILE) == ["lock.txt", "app", "lib"]


@pytest.mark.parametrize("path", ["Dockerfile", "lock.txt", "app/file.py", "lib/new.py"])
def test_a_changed_input_changes_the_key(context: Path, path: str) -> None:
    recipe = Recipe("x", context)
    before = dockerfiles.key(recipe, "base")
    (context / path).write_text("FROM other")
    assert dockerfiles.key(recipe, "base") != before


def test_files_that_are_not_copied_do_not_change_the_key(context: Path) -> None:
    recipe = Recipe("x", context)
    before = dockerfiles.key(recipe, "base")
    (context / "docs/file.py").write_text("changed")
    (context / "app/__pycache__").mkdir()
    (context / "app/__pycache__/file.pyc").write_text("compiled")
    assert dockerfiles.key(recipe, "base") == before


def test_base_and_arguments_are_part_of_the_key(context: Path) -> None:
    plain = dockerfiles.key(Recipe("x", context), "base")
    assert dockerfiles.key(Recipe("x", context), "other") != plain
    assert dockerfiles.key(Recipe("x", context, arguments={"A": "1"}), "base") != plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.1", ("1.1", {})),
        ("slow", ("slow", {"LATENCY_MS": "800"})),
        ("2.0=0.1", ("2.0", {"ERROR_SHARE": "0.1"})),
        ("2.1=ERROR_SHARE:0.5,LATENCY_MS:9", ("2.1", {"ERROR_SHARE": "0.5", "LATENCY_MS": "9"})),
    ],
)
def test_demo_versions_on_the_command_line(text: str, expected: tuple[str, object]) -> None:
    assert images.parse_demo(text) == expected


def test_image_listing_of_the_runtime() -> None:
    listing = "REF TYPE DIGEST SIZE\ndocker.io/x/y:1 application/json sha256:ab 1 MiB linux -\n\n"
    assert images.parse_images(listing) == {"docker.io/x/y:1": "sha256:ab"}


def test_layout_sends_the_named_images_with_the_layers_they_share(tmp_path: Path) -> None:
    layout = oci.Layout(tmp_path / "images")
    layout.ensure()
    shared = layout.add_files([oci.Entry("base", b"base")])
    for name in ("a:1", "b:1", "c:1"):
        layout.add_image(name, [shared, layout.add_files([oci.Entry(name, b"x")])], {})
    sink = io.BytesIO()
    layout.send(["a:1", "b:1"], sink)
    sink.seek(0)
    with tarfile.open(fileobj=sink) as tar:
        names = tar.getnames()
        file = tar.extractfile("index.json")
        assert file is not None
        index = json.load(file)
    assert [e["annotations"][oci.CONTAINERD_NAME] for e in index["manifests"]] == ["a:1", "b:1"]
    assert names.count(f"blobs/sha256/{shared.removeprefix('sha256:')}") == 1
    assert len(names) == 2 + 1 + 2 * 3


def test_an_image_of_the_same_name_replaces_the_old_one_and_its_blobs_go(tmp_path: Path) -> None:
    layout = oci.Layout(tmp_path / "images")
    layout.ensure()
    for content in (b"old", b"new"):
        layout.add_image("a:1", [layout.add_files([oci.Entry("file", content)])], {})
    layout.prune()
    assert list(layout.digests()) == ["a:1"]
    assert len(list((tmp_path / "images/blobs/sha256").iterdir())) == 3


SOURCES = (
    "Types: deb\nURIs: http://mirror/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
)


def test_only_the_distributions_own_source_lists_are_used() -> None:
    assert base_image.serves(SOURCES, "bookworm")
    assert base_image.serves("deb http://mirror/ubuntu noble main\n", "noble")
    assert not base_image.serves("deb http://third.party/apt tool-bookworm main\n", "bookworm")
    assert not base_image.serves("# deb http://mirror/debian bookworm main\n", "bookworm")


def test_release_is_read_from_the_machine() -> None:
    assert base_image.codename("ID=debian\nVERSION_CODENAME=bookworm\n") == "bookworm"
