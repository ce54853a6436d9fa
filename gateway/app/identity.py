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


def trust_of(
    config: NodeConfig,
    folder: Path,
    database: Database,
    fetcher: Fetches,
    clock: Clock,
    stack: AsyncExitStack,
) -> Trust:
    """Whom a node believes; nobody in demo mode, which asks nobody. `stack` closes what was opened.
    Raises GatewayError: a file of keys, caps."""
    if config.demo:
        return Trust()
    hashing = Hashing()
    stack.callback(hashing.close)
    return Trust(
        keys=KeyRing(ApiKeys(database), clock, hashing),
        tokens=BrowserTokens.from_config(config.identity, clock),
        issuers=issuers_from(config.identity.issuers, folder, fetcher, clock),
    )
