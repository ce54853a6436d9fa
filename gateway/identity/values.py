"""Owns identities: who a client is, and what it has been granted. Frozen values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from gateway.config.identity import Caps, Scope
from gateway.errors import FORBIDDEN, Blame, GatewayError, Verdict
from gateway.identity.allowance import Allowance
from gateway.ids import DEFAULT_PROJECT, qualified

UNAUTHORIZED = Verdict("unauthorized", 401, 401, 21, Blame.CALLER, "Authentication is required")


@dataclass(frozen=True, slots=True)
class Grant:
    """What one party allows. `account`: under which name the calls are counted."""

    account: str
    caps: Caps
    allowance: Allowance

    @classmethod
    def of(cls, account: str, caps: Caps) -> Grant:
        """Raises GatewayError(BAD_REQUEST): a pattern or country of `caps` means nothing."""
        return cls(account, caps, Allowance.of(caps))


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client is, and what it may do. All of its grants must agree."""

    user: str = ""  # name under which it is called and calls; empty: none
    key: str = ""  # name under which it starts and commands calls; empty: none
    project: str = DEFAULT_PROJECT
    scopes: frozenset[Scope] = frozenset()
    grants: tuple[Grant, ...] = ()
    expires: datetime | None = None
    key_id: str = field(default="", repr=False)  # of the API key behind it

    @property
    def account(self) -> str:
        """Under which name its calls are counted, and are its own; empty: nobody's."""
        return self.grants[0].account if self.grants else ""

    @property
    def address(self) -> str:
        """The user's name, unique on the node."""
        return qualified(self.project, self.user)

    @property
    def restricted(self) -> bool:
        """Whether it may not call everywhere."""
        return any(grant.allowance.restricts for grant in self.grants)

    def may(self, scope: Scope) -> bool:
        """Whether it has the scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires is not None and now >= self.expires

    def check_destination(self, forms: Iterable[str]) -> None:
        """Raises GatewayError(FORBIDDEN) for what this identity may not dial, in any of `forms`."""
        written = tuple(forms)
        if not all(grant.allowance.may_dial(written) for grant in self.grants):
            raise GatewayError(FORBIDDEN, "This destination is not allowed for you")
