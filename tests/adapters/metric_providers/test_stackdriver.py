"""Google Cloud Monitoring: as whom it is asked, and what its points are."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from analyzer.addresses import EVERYWHERE
from analyzer.fetching import Fetcher
from analyzer.metric_providers.stackdriver.identity import Identity
from analyzer.metric_providers.stackdriver.provider import Stackdriver
from analyzer.ports import ProviderError
from canary.queries.provider import ProviderSpec
from tests.adapters.metric_providers.clouds_api import (
    NOW,
    STACKDRIVER,
    Service,
    account_file,
    account_key,
    at,
    said,
    stackdriver_series,
    text,
    zulu,
)
from tests.adapters.metric_providers.prometheus_api import MINUTE, Reply

KEYED = {"project": "shop", "serviceAccountKey": account_file()}


@dataclass
class World:
    there: Service
    spec: ProviderSpec
    now = NOW

    def provider(self, metadata: str = "", address: str = "") -> Stackdriver:
        fetcher = Fetcher(EVERYWHERE, clock=lambda: self.now)
        return Stackdriver(fetcher, Identity(fetcher, metadata), address or self.spec.address)

    async def complaint(self, spec: ProviderSpec | None = None) -> str:
        with pytest.raises(ProviderError) as caught:
            await self.provider().query(spec or self.spec, STACKDRIVER.query, MINUTE)
        return str(caught.value)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    there = Service(reply=stackdriver_series([[(60, 1.0)]]))
    async with there.serve() as address:
        yield World(there, STACKDRIVER.spec(address))


def decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


# --- as whom ----------------------------------------------------------------------------------


async def test_asks_with_a_token_that_the_key_has_signed(world: World) -> None:
    await world.provider().query(world.spec, STACKDRIVER.query, MINUTE)

    (asked,) = world.there.requests
    head, claims, signature = asked.headers["Authorization"].removeprefix("Bearer ").split(".")
    account_key().public_key().verify(
        base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)),
        f"{head}.{claims}".encode(),
        PKCS1v15(),
        SHA256(),
    )
    assert decoded(head) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert decoded(claims) == {
        "iss": "headgate@shop.iam.gserviceaccount.com",
        "sub": "headgate@shop.iam.gserviceaccount.com",
        "aud": "https://monitoring.googleapis.com/",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 3600,
    }
    assert asked.path == "/v3/projects/shop/timeSeries:query"
    assert json.loads(world.there.bodies[0]) == {"query": STACKDRIVER.query, "pageSize": 100}


async def test_a_token_is_used_until_shortly_before_its_end(world: World) -> None:
    provider = world.provider()
    tokens = []
    for minutes in (0, 58, 60, 61):
        world.now = NOW + timedelta(minutes=minutes)
        await provider.query(world.spec, STACKDRIVER.query, MINUTE)
        tokens.append(world.there.requests[-1].headers["Authorization"])

    assert tokens[0] == tokens[1] != tokens[2] == tokens[3]


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def other_file(**fields: Any) -> str:
    return json.dumps(json.loads(account_file()) | fields)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("no json", "store the JSON file as Google gives it"),
        ("{}", "store the JSON file as Google gives it"),
        ("[" * 5000, "store the JSON file as Google gives it"),
        (other_file(private_key="PRIVATE"), "store the JSON file as Google gives it"),
        (other_file(private_key=7), "store the JSON file as Google gives it"),
        (other_file(type="external_account"), "but of the type external_account"),
        (other_file(private_key=pem(ec.generate_private_key(ec.SECP256R1()))), "RSA keys of 4096"),
        (other_file(padding="x" * 20_000), "longer than 16384 characters"),
    ],
)
async def test_says_that_a_key_is_none(world: World, key: str, message: str) -> None:
    said_then = await world.complaint(
        replace(world.spec, secret={"project": "shop", "serviceAccountKey": key})
    )

    assert message in said_then
    assert "PRIVATE" not in said_then
    assert not world.there.requests


async def test_asks_the_metadata_server_that_the_admin_names_once(world: World) -> None:
    metadata = Service(
        reply=said({"access_token": "ya29.own", "expires_in": 3599, "token_type": "Bearer"})
    )
    own = replace(world.spec, address="", secret={"project": "shop"})
    async with metadata.serve() as address:
        provider = world.provider(address.removeprefix("http://"), world.spec.address)
        for _ in range(2):
            await provider.query(own, STACKDRIVER.query, MINUTE)

    (asked,) = metadata.requests
    assert asked.path == "/computeMetadata/v1/instance/service-accounts/default/token"
    assert asked.headers["Metadata-Flavor"] == "Google"
    assert world.there.requests[1].headers["Authorization"] == "Bearer ya29.own"


async def test_says_that_there_is_nobody_to_ask_as(world: World) -> None:
    said_then = await world.complaint(replace(world.spec, address="", secret={"project": "shop"}))

    assert "store the key serviceAccountKey in the Secret, or let the admin set GCE" in said_then


async def test_says_that_the_metadata_server_gives_no_token(world: World) -> None:
    metadata = Service(reply=said({"error": "none"}))
    own = replace(world.spec, address="", secret={"project": "shop"})
    async with metadata.serve() as address:
        provider = world.provider(address.removeprefix("http://"))
        with pytest.raises(ProviderError, match="metadata server gives no token"):
            await provider.query(own, STACKDRIVER.query, MINUTE)


@pytest.mark.parametrize(
    "way", [{}, {"address": "", "headers": {"Host": ("x",)}}, {"address": "", "verify_tls": False}]
)
async def test_the_analyzers_own_token_goes_to_no_address_of_a_teams(
    world: World, way: dict[str, Any]
) -> None:
    said_then = await world.complaint(replace(world.spec, secret={"project": "shop"}, **way))

    assert "need credentials of their own" in said_then
    assert not world.there.requests


@pytest.mark.parametrize(
    ("project", "message"), [("", "needs project"), ("../x", "no ID of"), ("a/b", "no ID of")]
)
async def test_says_that_a_project_is_none(world: World, project: str, message: str) -> None:
    secret = {**KEYED, "project": project}

    assert message in await world.complaint(replace(world.spec, secret=secret))


# --- points -----------------------------------------------------------------------------------


def points(*values: dict[str, Any], **more: Any) -> Reply:
    interval = {"startTime": zulu(at(120)), "endTime": zulu(at(60))}
    return said(
        {
            "timeSeriesData": [{"pointData": [{"values": values, "timeInterval": interval}]}],
            **more,
        }
    )


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ({"int64Value": "9007199254740993"}, 9007199254740992.0),
        ({"doubleValue": 0}, 0.0),
        ({"boolValue": True}, 1.0),
        ({"doubleValue": "Infinity"}, float("inf")),
    ],
)
async def test_reads_each_kind_of_number(
    world: World, value: dict[str, Any], number: float
) -> None:
    world.there.reply = points(value)

    assert await world.provider().query(world.spec, STACKDRIVER.query, MINUTE) == (number,)


async def test_a_point_that_is_no_number_is_none(world: World) -> None:
    world.there.reply = points({"doubleValue": "NaN"})

    assert await world.provider().query(world.spec, STACKDRIVER.query, MINUTE) == ()


async def test_an_answer_without_anything_is_no_data(world: World) -> None:
    world.there.reply = text("{}")

    assert await world.provider().query(world.spec, STACKDRIVER.query, MINUTE) == ()


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (points({"distributionValue": {"count": "1"}}), "percentile() or mean()"),
        (points({"stringValue": "x"}), "it has to be a number"),
        (points({"doubleValue": 1}, {"doubleValue": 2}), "has 2 values for each point"),
        (points({"doubleValue": 1}, nextPageToken="x"), "has more series than are read"),
        (
            points({"doubleValue": 1}, partialErrors=[{"code": 4, "message": "too slow"}]),
            "has only a part of the answer: too slow",
        ),
        (points({"doubleValue": "many"}), "is not the API of Google Cloud Monitoring"),
    ],
)
async def test_says_what_is_wrong_with_an_answer(world: World, reply: Reply, message: str) -> None:
    world.there.reply = reply

    assert message in await world.complaint()
