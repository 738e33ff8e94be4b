"""`kubectl headgate`: kubectl runs a program named kubectl-headgate that it finds in PATH."""

import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final

import structlog

from analyzer.addresses import EVERYWHERE
from analyzer.metric_providers.prometheus.provider import PrometheusProvider
from canary.spec.made import made_canary
from kubectl_headgate.approve import approve
from kubectl_headgate.arguments import Options, Verb, read_arguments
from kubectl_headgate.explain import explain
from kubectl_headgate.faults import Unreadable
from kubectl_headgate.history import read, read_samples
from kubectl_headgate.jsonform import to_json
from kubectl_headgate.objects import absent, admin_settings, find_canary
from kubectl_headgate.replay import ReplayOutcome, replay
from kubectl_headgate.text import console, write_explanation, write_replay
from kubectl_headgate.trial import prepare
from runtime.errors import ApiError, ConfigurationError, Forbidden, Unavailable
from runtime.kube import Cluster

_PATIENCE: Final = timedelta(seconds=30)
"""How long a person waits for a range query, which is slower than the analyzer's instant ones."""


class Code(IntEnum):
    """What the command ends with."""

    FINE = 0
    REFUSED = 1
    UNREADABLE = 2


async def run(options: Options, now: datetime) -> Code:
    """Do what was asked for, and write it on standard output.

    Args:
        options: what was asked for.
        now: with its time zone.

    Raises:
        Unreadable: something that is needed cannot be read.
        ConfigurationError: there is no way to an API server.
        ApiError: the API server does not answer as it should.

    """
    async with Cluster.connect(
        options.kubeconfig or None, context=options.context or None
    ) as cluster:
        match options.verb:
            case Verb.EXPLAIN:
                return await _explain(cluster, options, now)
            case Verb.REPLAY:
                return await _replay(cluster, options)
            case Verb.APPROVE:
                return await _approve(cluster, options)


async def _approve(cluster: Cluster, options: Options) -> Code:
    namespace = options.namespace or cluster.namespace
    canary = await find_canary(cluster, namespace, options.name)
    if canary is None:
        raise absent(namespace, options.name)
    sys.stdout.write(f"{await approve(cluster, canary, options.gate)}\n")
    return Code.FINE


async def _explain(cluster: Cluster, options: Options, now: datetime) -> Code:
    namespace = options.namespace or cluster.namespace
    canary = await find_canary(cluster, namespace, options.name)
    if canary is None:
        raise absent(namespace, options.name)
    found = explain(canary)
    if options.json:
        _write_json(found)
    else:
        write_explanation(console(), found, now)
    return Code.REFUSED if found.refused else Code.FINE


async def _replay(cluster: Cluster, options: Options) -> Code:
    namespace = options.namespace or cluster.namespace
    settings, remark = await admin_settings(cluster)
    canary = await find_canary(cluster, namespace, options.name)
    if canary is None:
        canary = made_canary(namespace, options.name)
    provider = PrometheusProvider(EVERYWHERE, timeout=_PATIENCE)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(provider.aclose)
        question, specs = await prepare(cluster, provider, canary, settings, options)
        if remark:
            question = replace(question, remarks=(*question.remarks, remark))
        named = bool(options.prometheus)
        window = question.window
        answers = await read(provider, question.metrics, specs, window, named=named)
        samples = await read_samples(provider, question.scalars, specs, window, named=named)
    found = replay(question, answers, samples)
    if options.json:
        _write_json(found)
    else:
        write_replay(console(), found)
    return Code.REFUSED if found.outcome is ReplayOutcome.REFUSED else Code.FINE


def _write_json(value: object) -> None:
    sys.stdout.write(json.dumps(to_json(value), indent=2) + "\n")


def _mended(error: ApiError) -> str:
    """Say what the API server did not give, and what to do about it."""
    match error:
        case Forbidden():
            return (
                f"{error}; ask for the right to get and list canaries.flagger.app, and for approve "
                "to get and patch deployments"
            )
        case Unavailable():
            return f"{error}; see whether kubectl reaches it, or choose --context or --kubeconfig"
        case _:
            return f"{error}; see whether kubectl can read the same"


def start(arguments: Sequence[str], now: datetime) -> int:
    """Run the command and return its exit code; what goes wrong is said on standard error.

    Args:
        arguments: without the program's own name.
        now: with its time zone.

    Raises:
        SystemExit: the arguments are none, or ask for help.

    """
    options = read_arguments(arguments, now)
    try:
        return asyncio.run(run(options, now))
    except Unreadable as error:
        problem = str(error)
    except ConfigurationError as error:
        problem = f"{error}; give --kubeconfig or set KUBECONFIG, and see --context"
    except ApiError as error:
        problem = _mended(error)
    sys.stderr.write(f"error: {problem}\n")
    return Code.UNREADABLE


def main() -> None:
    """Run the command and exit with its code."""
    # Standard output is the answer's alone: what the client tells of its attempts is left out.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    sys.exit(start(sys.argv[1:], datetime.now(UTC)))


if __name__ == "__main__":
    main()
