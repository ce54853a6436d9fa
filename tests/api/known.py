"""An API that wants to know who calls; in front of a real registry."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from gateway.api.call_events import CallEvents
from gateway.api.calls import BrowserCalls
from gateway.api.cdrs import RecordEndpoint
from gateway.api.commands import CallCommands
from gateway.api.dialplan import DialplanEndpoint
from gateway.api.dialplan_reload import ReloadEndpoint
from gateway.api.event_streams import EventStreams
from gateway.api.gate import CallGate
from gateway.api.identity import Authenticator, TokenAuthenticator, Trust
from gateway.api.node import NodeEndpoint
from gateway.api.operations import Operation
from gateway.api.recordings import RecordingEndpoint
from gateway.api.services import ice_servers
from gateway.api.tokens import TokenEndpoint
from gateway.api.trunks import TrunkEndpoint
from gateway.api.users import UserEndpoint
from gateway.api.webhooks import WebhookEndpoint
from gateway.calls.pinging import Pinging
from gateway.calls.trunks import TrunkWatch
from gateway.config.identity import Caps, Issuer, Scope, TurnConfig
from gateway.config.model import NodeConfig
from gateway.identity.hashing import Hashing
from gateway.identity.issuers import issuers_from
from gateway.identity.keys import KeyRing, new_key
from gateway.identity.tokens import BrowserTokens
from gateway.media.archive import RecordingArchive
from gateway.storage.api_keys import ApiKeys
from gateway.storage.database import IN_MEMORY, Database
from gateway.storage.event_feed import EventFeed
from gateway.web.client import HttpClient
from gateway.web.webhooks import NoticeSender
from tests.api.conftest import Api, Browser, StartApi
from tests.api.doubles import OFFER
from tests.api.registry import Node
from tests.api.resources import TRUNKS, KnownPlan, node_view
from tests.api.test_commands import Reloads
from tests.api.test_node import NodeWebRtc
from tests.identity.makers import AUDIENCE, ISSUER, START, Clock

SECRET = "the node's own secret, thirty-two bytes"
SDP = {"Content-Type": "application/sdp"}
PUBLIC = {"/", "/docs", "/healthz", "/readyz", "/v1/openapi.json"}

MANY = [f"{number:064}" for number in range(64)]

PLAN = """
emergency: {numbers: [911], trunk: carrier}
entry: {keys: {crm: crm, sales/crm: sales}}
contexts:
  browser:
    numbers: {country: US}
    rules:
      - {match: echo, echo: }
      - {match: support, dial: {trunk: carrier, number: "+12125550199"}}
      - {match: alice, dial: {user: alice}}
      - match: _+.
        dial: {trunk: carrier, number: "${callee}"}
  crm:
    numbers: {country: US}
    rules:
      - {match: echo, echo: }
      - {match: _+., dial: {trunk: carrier, number: "${callee}"}}
  sales:
    numbers: {country: US}
    rules:
      - {match: echo, echo: }
  carrier:
    - {match: wait, steps: [answer: , pause: 3600]}
"""


@dataclass
class Stand:
    """A node that knows keys, its own tokens and one issuer."""

    api: Api
    node: Node
    clock: Clock
    keys: ApiKeys
    tokens: BrowserTokens
    database: Database
    pings: dict[str, Pinging] = field(default_factory=dict)  # what is known of trunks, by name

    def token(self, user: str = "alice", project: str = "default", **caps: Any) -> str:
        return self.tokens.mint(user, Caps.model_validate(caps), project=project).text

    async def key(
        self, *scopes: Scope, name: str = "crm", project: str = "default", **caps: Any
    ) -> dict[str, str]:
        """A new key, as the header that brings it."""
        made = new_key(name, scopes, Caps.model_validate(caps), START, project=project)
        await self.keys.add(made[1])
        return bearer(made[0])

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, dict[str, Any]]:
        async with self.api.client.request(method, path, headers=headers, **more) as response:
            return response.status, await response.json(content_type=None)

    async def browser(self, text: str) -> Browser:
        browser = await self.api.connect(protocols=("gateway", f"token.{text}"))
        await browser.request("hello", "hello")
        return browser

    async def whip(self, headers: dict[str, str], to: str) -> tuple[int, str]:
        path = f"/v1/webrtc/calls?to={to.replace('+', '%2B')}"
        async with self.api.client.post(path, data=OFFER, headers=SDP | headers) as response:
            told = await response.text()
            return response.status, "" if response.status == 201 else json.loads(told)["code"]

    @property
    def invited(self) -> list[str]:
        """The numbers that trunks were asked for."""
        return [target.number for target in self.node.sip.targets]


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


@asynccontextmanager
async def known(
    start_api: StartApi,
    more: Callable[[Clock], Sequence[Operation]] = lambda _: (),
    archive: RecordingArchive | None = None,
) -> AsyncIterator[Stand]:
    """`more`: operations besides the usual ones."""
    node, clock = Node(PLAN), Clock()
    node.gate = CallGate(node.registry, clock)
    node.calls = BrowserCalls(node.registry, node.gate)
    webrtc = NodeWebRtc(node)
    database, hashing = Database(IN_MEMORY), Hashing()
    await database.start()
    keys, tokens = ApiKeys(database), BrowserTokens(SECRET, clock)
    issuer = Issuer.model_validate(
        {
            "name": "crm", "issuer": ISSUER, "audience": AUDIENCE, "algorithm": "HS256",
            "secret": SECRET, "scopes": ["calls:write"],
        }
    )  # fmt: skip
    issuers = issuers_from([issuer], None, None, clock)  # type: ignore[arg-type]
    authenticator: Authenticator = TokenAuthenticator(
        Trust(KeyRing(keys, clock, hashing), tokens, issuers)
    )
    turn = TurnConfig(urls=["turn:turn.example"], secret=SecretStr("shared"), ttl=600)
    config = NodeConfig(dialplan="unused.yaml", turn=turn)

    async def reload(_: str) -> Reloads:
        return Reloads()

    feed = EventFeed(node.registry.log)
    pings: dict[str, Pinging] = {}
    trunks = TrunkWatch(node.log, node.registry.calls, pings.get)
    operations = (
        *CallCommands(node.registry, node.gate).operations(),
        *ReloadEndpoint(reload).operations(),
        *TokenEndpoint(tokens, ice_servers(config, clock)).operations(),
        *DialplanEndpoint(KnownPlan(node.registry), clock).operations(),
        *more(clock),
        *RecordEndpoint(database).operations(),
        *EventStreams(feed, authenticator, clock).operations(),
        *CallEvents(feed).operations(),
        *WebhookEndpoint(
            None, None, NoticeSender(HttpClient(config.web), clock), clock
        ).operations(),
        *RecordingEndpoint(archive).operations(),
        *NodeEndpoint(node_view).operations(),
        *TrunkEndpoint(TRUNKS, trunks.health, clock).operations(),
        *UserEndpoint(node.directory).operations(),
    )
    api = await start_api(
        demo=False, calls=node.calls, webrtc=webrtc, directory=node.directory, clock=clock,
        authenticator=authenticator, operations=operations, origins=["https://app.example"],
    )  # fmt: skip
    yield Stand(api, node, clock, keys, tokens, database, pings)
    await node.close()
    hashing.close()
    await database.close()
