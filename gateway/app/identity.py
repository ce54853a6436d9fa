"""Owns building what identities are made of: API keys, browser tokens, other issuers."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from gateway.api.identity import Trust
from gateway.clock import Clock
from gateway.config.model import NodeConfig
from gateway.identity.hashing import Hashing
from gateway.identity.issuers import issuers_from
from gateway.identity.jwks import Fetches
from gateway.identity.keys import KeyRing
from gateway.identity.tokens import BrowserTokens
from gateway.storage.api_keys import ApiKeys
from gateway.storage.database import Database


def database_of(config: NodeConfig, folder: Path) -> Database:
    """The node's database, not started. Raises GatewayError(BAD_REQUEST) for no such URL."""
    records = config.records
    password = records.password.get_secret_value() if records.password else None
    return Database(records.url, folder=folder, password=password)


async def trust_of(
    config: NodeConfig, folder: Path, fetcher: Fetches, clock: Clock, stack: AsyncExitStack
) -> Trust:
    """Whom a node believes; nobody in demo mode, which asks nobody. What was opened is closed by
    `stack`. Raises GatewayError: the database, a file of keys, caps."""
    if config.demo:
        return Trust()
    database = database_of(config, folder)
    stack.push_async_callback(database.close)
    await database.start()
    hashing = Hashing()
    stack.callback(hashing.close)
    return Trust(
        keys=KeyRing(ApiKeys(database), clock, hashing),
        tokens=BrowserTokens.from_config(config.identity, clock),
        issuers=issuers_from(config.identity.issuers, folder, fetcher, clock),
    )
