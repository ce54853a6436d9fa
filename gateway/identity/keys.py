"""Owns API keys: making them, and finding out whose key was sent."""

from __future__ import annotations

import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pydantic import ValidationError

from gateway.clock import Clock, Instant
from gateway.config.identity import NAME, Caps, Scope
from gateway.errors import BAD_REQUEST, INTERNAL, Blame, GatewayError, Verdict
from gateway.identity.bucket import TokenBucket
from gateway.identity.hashing import Hashing, hashed
from gateway.identity.values import UNAUTHORIZED, Grant, Identity
from gateway.ids import DEFAULT_PROJECT
from gateway.storage.api_keys import KeyRecord, KeyStore

PREFIX = "gw_"
RECORD_SECONDS = 5.0
"""How long a key's record is believed: a revoked key works no longer than that."""
CHECKED_SECONDS = 300.0
"""How long the outcome of argon2 is kept for a secret that was right."""
MAX_KEPT = 1024
WRONG_PER_SECOND, WRONG_AT_ONCE = 1.0, 10
"""How often a key's secret is checked that is not known to be right."""
TOO_MANY_TRIES = Verdict(
    "too_many_tries", 503, 429, 42, Blame.CALLER, "Too many wrong secrets for this key"
)

K = TypeVar("K")
V = TypeVar("V")
_KEY = re.compile(r"gw_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


def check_name(name: str) -> None:
    """Raises GatewayError(BAD_REQUEST) for what cannot be the name of a key or project."""
    if re.fullmatch(NAME, name) is None:
        text = f"{name!r} is no name: use up to 64 letters, digits, - and _"
        raise GatewayError(BAD_REQUEST, text)


def new_key(
    name: str,
    scopes: Sequence[Scope],
    caps: Caps,
    now: datetime,
    *,
    project: str = DEFAULT_PROJECT,
    expires: datetime | None = None,
) -> tuple[str, KeyRecord]:
    """A new key: the text that its owner gets, once, and what is stored. Takes about 30 ms.

    Raises GatewayError(BAD_REQUEST) for caps that mean nothing.
    """
    Grant.of("", caps)
    key = secrets.token_hex(6)
    secret = secrets.token_urlsafe(32)
    record = KeyRecord(
        key,
        project,
        name,
        hashed(secret),
        tuple(scopes),
        caps.model_dump_json(exclude_none=True),
        now,
        expires,
    )
    return f"{PREFIX}{key}_{secret}", record


@dataclass(frozen=True, slots=True)
class _Known:
    record: KeyRecord | None
    until: float


class KeyRing:
    """Whose key is it? Belongs to the asyncio thread."""

    def __init__(self, store: KeyStore, clock: Clock, hashing: Hashing) -> None:
        self._store = store
        self._clock = clock
        self._hashing = hashing
        self._pepper = secrets.token_bytes(32)  # what is kept in memory is no secret either
        self._records: OrderedDict[str, _Known] = OrderedDict()
        self._checked: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._tries: OrderedDict[str, TokenBucket] = OrderedDict()

    async def identify(self, text: str) -> Identity:
        """The identity of who has the key `text`.

        Raises GatewayError: UNAUTHORIZED; TOO_MANY_TRIES, OVERLOADED, DATABASE_FAILED.
        """
        found = _KEY.fullmatch(text)
        if found is None:
            raise GatewayError(UNAUTHORIZED)
        key, secret = found.groups()
        now = self._clock.now()
        record = await self._record(key, now)
        if record is None or not record.good(now.wall):
            raise GatewayError(UNAUTHORIZED)
        if not await self._right(record, secret, now):
            raise GatewayError(UNAUTHORIZED)
        return identity_of(record)

    async def good(self, key: str) -> bool:
        """Whether the key with this id may be used."""
        now = self._clock.now()
        record = await self._record(key, now)
        return record is not None and record.good(now.wall)

    async def _record(self, key: str, now: Instant) -> KeyRecord | None:
        known = self._records.get(key)
        if known is None or known.until <= now.monotonic:
            record = await self._store.get(key)
            known = _Known(record, now.monotonic + RECORD_SECONDS)
            if record is not None:  # ids that nobody has would push out those that somebody has
                _keep(self._records, key, known)
            else:
                self._records.pop(key, None)
        return known.record

    async def _right(self, record: KeyRecord, secret: str, now: Instant) -> bool:
        fingerprint = hmac.digest(self._pepper, f"{record.id}_{secret}".encode(), "sha256")
        checked = self._checked.get(fingerprint)
        if checked is not None and checked[1] > now.monotonic and checked[0] == record.hash:
            return True
        tries = self._tries.get(record.id)
        if tries is None:
            tries = TokenBucket(WRONG_PER_SECOND, WRONG_AT_ONCE, now.monotonic)
            _keep(self._tries, record.id, tries)
        if not tries.take(now.monotonic):
            raise GatewayError(TOO_MANY_TRIES)
        if not await self._hashing.check(secret, record.hash):
            return False
        _keep(self._checked, fingerprint, (record.hash, now.monotonic + CHECKED_SECONDS))
        return True


def identity_of(record: KeyRecord) -> Identity:
    """The identity of a key's owner. Raises GatewayError(INTERNAL): the record is damaged."""
    try:
        caps = Caps.model_validate_json(record.caps)
        scopes = frozenset(Scope(scope) for scope in record.scopes)
    except (ValidationError, ValueError):
        raise GatewayError(INTERNAL, f"the record of key {record.id} is damaged") from None
    return Identity(
        key=record.name,
        project=record.project,
        scopes=scopes,
        grants=(Grant.of(f"key:{record.id}", caps),),
        expires=record.expires_at,
        key_id=record.id,
    )


def _keep(kept: OrderedDict[K, V], name: K, value: V) -> None:
    kept[name] = value
    kept.move_to_end(name)
    while len(kept) > MAX_KEPT:
        kept.popitem(last=False)
