"""Whether the cluster's own definition of a Canary is fit for Headgate."""

import copy
from pathlib import Path

import yaml

from canary.model.values import Json
from canary.objects.crd import MANIFEST, NAME, lacking

ROOT = Path(__file__).resolve().parents[4]
OURS: Json = yaml.safe_load((ROOT / MANIFEST).read_text())


def schema(crd: Json) -> Json:
    found: Json = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return found


def of_the_release_before() -> Json:
    crd = copy.deepcopy(OURS)
    analysis = schema(crd)["spec"]["properties"]["analysis"]
    analysis["oneOf"] = [branch for branch in analysis["oneOf"] if "required" in branch]
    return crd


def like_flagger_s() -> Json:
    """It has no field for a record of ours, and asks how the traffic grows."""
    crd = of_the_release_before()
    del schema(crd)["status"]["properties"]["run"]
    return crd


def test_ours_is_fit() -> None:
    assert OURS["metadata"]["name"] == NAME
    assert lacking(OURS) == ""


def test_flagger_s_keeps_no_run_and_takes_none_of_ours_and_the_file_is_named() -> None:
    why = lacking(like_flagger_s())
    assert "keeps no status.run" in why
    assert "takes no empty spec.analysis" in why
    assert f"-f {MANIFEST}" in why


def test_that_of_the_release_before_takes_none_of_ours() -> None:
    why = lacking(of_the_release_before())
    assert "status.run" not in why
    assert "takes no empty spec.analysis" in why


def test_one_that_keeps_whatever_comes_is_fit() -> None:
    crd = copy.deepcopy(OURS)
    keeps = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = keeps
    assert lacking(crd) == ""


def test_one_without_our_version_is_not() -> None:
    crd = copy.deepcopy(OURS)
    crd["spec"]["versions"][0]["name"] = "v1"
    assert "keeps no status.run" in lacking(crd)
