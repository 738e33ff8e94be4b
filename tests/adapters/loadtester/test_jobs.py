"""Jobs from an admin's templates, asked for by hooks and made at an API server."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp.test_utils import unused_port
from structlog.testing import capture_logs

from loadtester.settings import Settings
from runtime.kube import Cluster
from tests.adapters.loadtester.jobs_api import JobsApi
from tests.adapters.loadtester.load_tester_kit import LoadTester, load_tester

ROOT = Path(__file__).parents[3]
SMOKE: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {
        "name": "ours",
        "namespace": "other",
        "finalizers": ["x/y"],
        "ownerReferences": [{"kind": "Node"}],
        "labels": {"team": "shop"},
    },
    "spec": {
        "template": {
            "metadata": {"labels": {"app": "smoke"}},
            "spec": {
                "serviceAccountName": "smoke",
                "containers": [
                    {"name": "smoke", "image": "shop/smoke:1", "args": ["--quick"]},
                    {"name": "beside", "image": "shop/beside:1"},
                ],
            },
        }
    },
}


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "smoke.yaml").write_text(yaml.safe_dump(SMOKE))
    return folder


@pytest.fixture
def settings(templates: Path) -> Settings:
    return Settings(
        namespace="prod",
        path=os.defpath,
        state="",
        jobs=str(templates),
        job_pace=timedelta(seconds=0.01),
        pod_name="flagger-loadtester-0",
        pod_uid="u-1",
    )


@pytest.fixture
async def api() -> JobsApi:
    return JobsApi()


@pytest.fixture
async def cluster(api: JobsApi, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with api.cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def tester(settings: Settings, cluster: Cluster) -> AsyncIterator[LoadTester]:
    async with load_tester(settings, cluster) as tester:
        yield tester


async def hook(tester: LoadTester, name: str = "web", **metadata: str) -> tuple[int, str]:
    return await tester.hook(name, **{"type": "job", "template": "smoke", **metadata})


# --- how it ends ------------------------------------------------------------------------------


async def test_the_answer_comes_when_the_job_has_ended(tester: LoadTester, api: JobsApi) -> None:
    async with asyncio.TaskGroup() as group:
        answer = group.create_task(hook(tester))
        job = await api.made()
        await api.looked_at()
        assert not answer.done()
        api.end("Complete")

    assert answer.result() == (200, f"the Job {job['metadata']['name']} succeeded\n")


async def test_a_job_that_fails_fails_the_hook_and_says_where_its_output_is(
    tester: LoadTester, api: JobsApi
) -> None:
    async with asyncio.TaskGroup() as group:
        answer = group.create_task(hook(tester))
        name = (await api.made())["metadata"]["name"]
        api.end("Failed", "BackoffLimitExceeded", "it failed too often")

    status, text = answer.result()
    assert status == 500
    assert text == (
        f"the Job {name} failed: BackoffLimitExceeded: it failed too often; "
        f"its output: kubectl -n prod logs job/{name}\n"
    )


async def test_it_is_accepted_where_the_hook_does_not_wait(
    tester: LoadTester, api: JobsApi
) -> None:
    status, text = await hook(tester, wait="false")

    assert status == 202
    assert text == f"the Job {next(iter(api.jobs))} runs\n"


async def test_a_condition_that_does_not_hold_ends_nothing(
    tester: LoadTester, api: JobsApi
) -> None:
    async with asyncio.TaskGroup() as group:
        answer = group.create_task(hook(tester))
        job = await api.made()
        job["status"] = {"conditions": [{"type": "Failed", "status": "False"}]}
        api.end("SuccessCriteriaMet")
        await api.looked_at()
        await api.looked_at()
        assert not answer.done()
        api.end("Complete")

    assert answer.result()[0] == 200


async def test_a_job_that_somebody_deletes_has_failed(tester: LoadTester, api: JobsApi) -> None:
    async with asyncio.TaskGroup() as group:
        answer = group.create_task(hook(tester))
        await api.made()
        api.jobs.clear()

    status, text = answer.result()
    assert status == 500
    assert "failed: it was deleted" in text


async def test_no_end_is_waited_for_longer_than_a_job_may_take(
    settings: Settings, cluster: Cluster
) -> None:
    short = replace(settings, ttl=timedelta(seconds=1), job_grace=timedelta(seconds=0.1))
    async with load_tester(short, cluster) as tester:
        status, text = await hook(tester)

    assert status == 502
    assert re.fullmatch(
        r"the Job smoke-\w+ was made, and how it ended is not known: no end of it was seen in "
        r"0:00:01\.100000\n",
        text,
    )


async def test_trouble_of_the_api_server_ends_no_wait(tester: LoadTester, api: JobsApi) -> None:
    api.reading = [500, 503, 500]
    async with asyncio.TaskGroup() as group:
        answer = group.create_task(hook(tester))
        await api.made()
        api.end("Complete")

    assert answer.result()[0] == 200
    assert api.reading == []


@pytest.mark.parametrize(("code", "reason"), [(403, "Forbidden"), (422, "Invalid")])
async def test_what_the_api_server_refuses_is_said(
    tester: LoadTester, api: JobsApi, code: int, reason: str
) -> None:
    del reason
    for wait in ("true", "false"):
        api.creating = [code]
        status, text = await hook(tester, wait=wait)

        assert status == 502
        assert re.fullmatch(
            rf"the Job smoke-\w+ could not be made: Scripted \({code}\): said {code}\n", text
        )
    assert api.jobs == {}


async def test_a_job_whose_making_was_not_answered_is_followed(
    tester: LoadTester, api: JobsApi
) -> None:
    api.loses_answers = True
    async with asyncio.TaskGroup() as group:
        answer = group.create_task(hook(tester))
        await api.made()
        api.end("Complete")

    assert answer.result()[0] == 200
    assert len(api.jobs) == 1


async def test_a_making_that_failed_without_an_answer_made_nothing(
    tester: LoadTester, api: JobsApi
) -> None:
    api.creating = [500]

    status, text = await hook(tester)

    assert status == 502
    assert "could not be made: Scripted (500)" in text
    assert [verb for verb, _ in api.asked] == ["POST", "GET"]


async def test_a_job_goes_on_without_the_load_tester(
    settings: Settings, cluster: Cluster, api: JobsApi
) -> None:
    async with asyncio.TaskGroup() as group:
        async with load_tester(settings, cluster) as tester:
            answer = group.create_task(hook(tester))
            await api.made()
            await api.looked_at()
        status, text = await answer

    assert status == 503
    assert text.endswith("may go on; the load tester stops and waits for it no longer\n")
    assert {verb for verb, _ in api.asked} == {"POST", "GET"}


# --- what is made -----------------------------------------------------------------------------


async def made(tester: LoadTester, api: JobsApi, **metadata: str) -> dict[str, Any]:
    status, text = await hook(tester, wait="false", **metadata)
    assert status == 202, text
    return await api.made()


async def test_the_job_is_the_template_s_with_arguments_and_bounds(
    tester: LoadTester, api: JobsApi
) -> None:
    job = await made(tester, api, args="--url http://web-canary.prod:80/ 'a b'")

    assert re.fullmatch(r"smoke-[0-9a-f]{8}", job["metadata"].pop("name"))
    assert job == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "namespace": "prod",
            "labels": {"team": "shop", "headgate.dev/load-test": "smoke"},
            "annotations": {"headgate.dev/load-test-of": "web.prod"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Pod", "name": "flagger-loadtester-0", "uid": "u-1"}
            ],
        },
        "spec": {
            "activeDeadlineSeconds": 3600,
            "ttlSecondsAfterFinished": 600,
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": {"app": "smoke", "headgate.dev/load-test": "smoke"}},
                "spec": {
                    "restartPolicy": "Never",
                    "serviceAccountName": "smoke",
                    "containers": [
                        {
                            "name": "smoke",
                            "image": "shop/smoke:1",
                            "args": ["--quick", "--url", "http://web-canary.prod:80/", "a b"],
                        },
                        {"name": "beside", "image": "shop/beside:1"},
                    ],
                },
            },
        },
    }


@pytest.mark.parametrize(
    ("said", "made_of_it"),
    [
        ({"activeDeadlineSeconds": 60}, {"activeDeadlineSeconds": 60}),
        ({"activeDeadlineSeconds": 7200}, {"activeDeadlineSeconds": 3600}),
        ({"ttlSecondsAfterFinished": 0}, {"ttlSecondsAfterFinished": 0}),
        ({"ttlSecondsAfterFinished": 10**6}, {"ttlSecondsAfterFinished": 86400}),
        ({"backoffLimit": 3}, {"backoffLimit": 3}),
        # As in a Job that was copied from a cluster.
        ({"suspend": False, "manualSelector": False}, {"backoffLimit": 0}),
    ],
)
async def test_a_template_s_own_bounds_hold_within_the_admin_s(
    tester: LoadTester,
    api: JobsApi,
    templates: Path,
    said: dict[str, int],
    made_of_it: dict[str, int],
) -> None:
    (templates / "smoke.yaml").write_text(
        yaml.safe_dump({**SMOKE, "spec": {**SMOKE["spec"], **said}})
    )

    job = await made(tester, api)

    assert made_of_it.items() <= job["spec"].items()


async def test_nothing_but_arguments_is_taken_from_a_hook(tester: LoadTester, api: JobsApi) -> None:
    plain = await made(tester, api)
    named = await made(tester, api, image="evil:1", serviceAccountName="admin", cmd="id", args="")

    assert named is plain
    assert len(api.jobs) == 1


async def test_an_argument_is_not_given_a_variable_of_the_container(
    tester: LoadTester, api: JobsApi
) -> None:
    job = await made(tester, api, args="'http://x/$(PASSWORD)' $$(A) $")

    # Kubernetes makes `$` of `$$` and leaves what follows as it is.
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == [
        *("--quick", "http://x/$$(PASSWORD)", "$$$$(A)", "$$"),
    ]


async def test_without_a_pod_that_is_known_it_has_no_owner(
    settings: Settings, cluster: Cluster, api: JobsApi
) -> None:
    async with load_tester(replace(settings, pod_uid=""), cluster) as tester:
        job = await made(tester, api)

    assert "ownerReferences" not in job["metadata"]


# --- how many ---------------------------------------------------------------------------------


async def test_the_same_job_is_joined_and_not_made_twice(tester: LoadTester, api: JobsApi) -> None:
    async with asyncio.TaskGroup() as group:
        answers = [group.create_task(hook(tester)) for _ in range(3)]
        await api.made()
        await api.looked_at()
        others = [
            await hook(tester, wait="false", args="x"),
            await hook(tester, "api", wait="false"),
        ]
        assert [status for status, _ in others] == [202, 202]
        assert len(api.jobs) == 3
        api.end("Complete")

    assert {answer.result() for answer in answers} == {answers[0].result()}
    assert await tester_is_idle(tester)
    assert (await hook(tester, wait="false"))[0] == 202
    assert len(api.jobs) == 4


async def test_another_version_s_job_is_not_joined(tester: LoadTester, api: JobsApi) -> None:
    for checksum in ("a", "a", "b"):
        status, _ = await hook(tester, checksum=checksum, wait="false")
        assert status == 202

    assert len(api.jobs) == 2


async def tester_is_idle(tester: LoadTester) -> bool:
    """Wait until no Job is followed, within the test's time."""
    while True:
        if not (await tester.overview())["jobs"]:
            return True
        await asyncio.sleep(0.01)


async def test_so_many_hooks_wait_for_one_job(tester: LoadTester, api: JobsApi) -> None:
    async with asyncio.TaskGroup() as group:
        answers = [group.create_task(hook(tester)) for _ in range(10)]
        await api.made()
        status, text = await hook(tester)
        while status == 200:
            status, text = await hook(tester)
        api.end("Complete")

    assert status == 429
    assert text.startswith("10 hooks wait for the Job smoke-")
    assert {answer.result()[0] for answer in answers} == {200}


async def test_so_many_jobs_run_at_once(settings: Settings, cluster: Cluster) -> None:
    async with load_tester(replace(settings, max_jobs=2), cluster) as tester:
        said = [await hook(tester, wait="false", args=str(number)) for number in range(3)]

    assert [status for status, _ in said] == [202, 202, 429]
    assert said[2][1].startswith("2 Jobs are running, which is the most that may")


# --- what is wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"template": "../smoke"}, "'../smoke' is no name of a template"),
        ({"template": "smoke.yaml"}, "'smoke.yaml' is no name of a template"),
        ({"template": ""}, "'' is no name of a template"),
        ({"template": "a" * 41}, "'aaaa"),
        ({"template": "load"}, "there is no template 'load'; there are: smoke"),
        ({"args": "'a"}, "metadata.args cannot be read: No closing quotation"),
        ({"args": "a " * 65}, "metadata.args has more than 64 arguments"),
    ],
)
async def test_says_what_is_wrong_with_a_hook(
    tester: LoadTester, api: JobsApi, metadata: dict[str, str], message: str
) -> None:
    status, text = await hook(tester, **metadata)

    assert status == 400
    assert text.startswith(message)
    assert api.asked == []


async def test_the_template_has_to_be_named(tester: LoadTester) -> None:
    assert await tester.hook(type="job") == (
        400,
        "the payload has no metadata.template, the Job to run\n",
    )


async def test_another_namespace_s_hook_makes_nothing(tester: LoadTester, api: JobsApi) -> None:
    status, _ = await tester.hook(namespace="test", type="job", template="smoke")

    assert status == 403
    assert api.asked == []


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("[]", "cannot be used: it is no Job"),
        ("kind: Pod", "cannot be used: it is no Job"),
        ("{kind: Job, apiVersion: batch/v1beta1}", "its apiVersion is not batch/v1"),
        ("{kind: Job, apiVersion: batch/v1}", "it has no spec"),
        ("{kind: Job, apiVersion: batch/v1, spec: {suspend: true}}", "spec.suspend may not be"),
        (
            "{kind: Job, apiVersion: batch/v1, spec: {activeDeadlineSeconds: 1m}}",
            "spec.activeDeadlineSeconds is no number of seconds",
        ),
        (
            "{kind: Job, apiVersion: batch/v1, spec: {ttlSecondsAfterFinished: -1}}",
            "spec.ttlSecondsAfterFinished is no number of seconds",
        ),
        (yaml.safe_dump({**SMOKE, "metadata": ["a"]}), "its metadata, labels or annotations are"),
        (yaml.safe_dump({**SMOKE, "metadata": {"labels": "a"}}), "its metadata, labels or"),
        (yaml.safe_dump({**SMOKE, "metadata": {"annotations": [1]}}), "its metadata, labels or"),
        (
            "{kind: Job, apiVersion: batch/v1, spec: {template: {metadata: {labels: a}}}}",
            "its metadata, labels or annotations are no objects",
        ),
        ("{kind: Job, apiVersion: batch/v1, spec: {}}", "spec.template.spec has no containers"),
        (
            yaml.safe_dump(
                {**SMOKE, "spec": {"template": {"spec": {"containers": [{"args": 1}]}}}}
            ),
            "the args of its first container are no list",
        ),
        ("{", "is no YAML of one JSON object"),
        ("a: 1\n---\nb: 2", "is no YAML of one JSON object"),
        ("1: a", "is no YAML of one JSON object"),
        ("a: &a [*a]", "is no YAML of one JSON object"),
        ("a: !!set {b}", "is no YAML of one JSON object"),
        ("[" * 5000, "is no YAML of one JSON object"),
        ("#" * (64 * 1024 + 1), "is larger than 65536 bytes"),
    ],
    ids=lambda text: str(text[:60]),
)
async def test_says_what_is_wrong_with_a_template(
    tester: LoadTester, templates: Path, template: str, why: str
) -> None:
    (templates / "smoke.yaml").write_text(template)

    status, text = await hook(tester)

    assert status == 500
    assert text.startswith("the template smoke ")
    assert why in text


async def test_without_templates_no_job_is_made(settings: Settings) -> None:
    async with load_tester(replace(settings, jobs="")) as tester:
        status, text = await hook(tester)

    assert status == 501
    assert text.startswith("this load tester makes no Jobs")


async def test_jobs_are_counted_and_logged_without_their_arguments(
    settings: Settings, cluster: Cluster, api: JobsApi
) -> None:
    with capture_logs() as lines:
        async with load_tester(settings, cluster) as tester, asyncio.TaskGroup() as group:
            answer = group.create_task(hook(tester, args="--token hidden-1"))
            await api.made()
            shown = await tester.overview()
            api.end("Complete")
            await answer
            _, metrics = await tester.get("metrics")

    assert shown["jobs"][0]["canary"] == "web.prod"
    assert 'headgate_loadtester_jobs_total{end="succeeded",template="smoke"} 1.0' in metrics
    (line,) = [line for line in lines if line["event"] == "job_ended"]
    assert (line["canary"], line["template"], line["end"]) == ("web.prod", "smoke", "succeeded")
    assert "hidden" not in f"{lines}{shown}"


# --- the process ------------------------------------------------------------------------------


async def test_the_process_makes_jobs_and_keeps_gates_where_its_environment_says(
    templates: Path,
    cluster: Cluster,  # noqa: ARG001 - it serves
    api: JobsApi,
    tmp_path: Path,
) -> None:
    port = unused_port()
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": str(ROOT),
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "HEADGATE_PORT": str(port),
        "HEADGATE_LOADTESTER_JOBS": str(templates),
        "HEADGATE_LOADTESTER_STATE": str(tmp_path),
        "POD_NAMESPACE": "prod",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtester", env=environment, stderr=asyncio.subprocess.PIPE
    )
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}/"
        await answering(session, url, process)
        hook = {"name": "web", "namespace": "prod"}
        opened = await posted(session, url + "gate/open", hook)
        metadata = {"type": "job", "template": "smoke", "wait": "false"}
        made = await posted(session, url, {**hook, "metadata": metadata})
    process.terminate()
    _, log = await process.communicate()

    assert (opened, made, process.returncode) == (202, 202, 0), log
    assert len(api.jobs) == 1
    assert b'"gate/web.prod": true' in (tmp_path / "gates.json").read_bytes()


async def posted(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> int:
    async with session.post(url, json=body) as answer:
        return answer.status


async def answering(
    session: aiohttp.ClientSession, url: str, process: asyncio.subprocess.Process
) -> None:
    """Wait until a process is ready, within the test's time."""
    while True:
        assert process.returncode is None
        with contextlib.suppress(aiohttp.ClientConnectionError):
            async with session.get(url + "readyz") as answer:
                if answer.status == 200:
                    return
        await asyncio.sleep(0.05)


async def test_a_process_that_is_to_make_jobs_and_has_no_way_to_says_so(templates: Path) -> None:
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": str(ROOT),
        "KUBECONFIG": "/does/not/exist",
        "HEADGATE_LOADTESTER_JOBS": str(templates),
        "HEADGATE_LOADTESTER_STATE": "",
        "POD_NAMESPACE": "prod",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtester", env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, log = await process.communicate()

    assert process.returncode not in {0, None}
    assert b"no way to an API server" in log
