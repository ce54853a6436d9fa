"""Owns the verb `dial`: whom to call, in which order, and what both sides hear meanwhile."""

from __future__ import annotations

import enum
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.verbs.fields import Digit, Language, Source, Text, Verb

RingTimeout = Annotated[float, Field(gt=0, le=600, description="Seconds that it may ring.")]
HeaderName = Annotated[
    str,
    Field(pattern=r"^(?i:X-[A-Z0-9-]{1,60}|Alert-Info|Call-Info|Priority|Subject|User-to-User)$"),
]
HeaderValue = Annotated[str, Field(max_length=255, pattern=r"^[\x20-\x7e]*$")]
Headers = Annotated[dict[HeaderName, HeaderValue], Field(max_length=16)]


class Target(BaseModel):
    """Whom to call: a number at a trunk, or a browser user."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trunk: str | None = Field(default=None, description="Name of a configured trunk.")
    number: str | None = Field(default=None, description="What to call at the trunk.")
    caller: str | None = Field(
        default=None, description="Caller's identity to show; default: the caller's own."
    )
    withhold: bool = Field(default=False, description="Show no identity of the caller.")
    user: str | None = Field(default=None, description="Browser user whose tabs ring.")
    ring_timeout: RingTimeout | None = None
    headers: Headers = Field(
        default_factory=dict, description="Headers of the INVITE: X-..., Subject and a few more."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        _check_target(self)
        return self


def _check_target(one: Target | Dial) -> None:
    if (one.trunk is None) == (one.user is None):
        raise ValueError("dial needs a trunk or a user: write one of the two")
    if one.trunk is not None and one.number is None:
        raise ValueError("no number for the trunk: add number, such as ${callee}")
    if one.user is not None and (one.number or one.caller or one.withhold or one.headers):
        raise ValueError("number, caller and headers go with a trunk: remove them or name one")
    if one.caller is not None and one.withhold:
        raise ValueError("a caller that is withheld: write caller or withhold, not both")


class Strategy(enum.StrEnum):
    """In which order targets are called."""

    SIMULTANEOUS = "simultaneous"  # all at once; the first that answers wins
    SEQUENCE = "sequence"  # one after another
    ROUND_ROBIN = "round_robin"  # one after another; each call begins one further
    LEAST_COST = "least_cost"  # one after another, the cheapest first


class AfterTalk(enum.StrEnum):
    """What becomes of the caller when the callee hangs up after a conversation."""

    HANGUP = "hangup"
    GO_ON = "go_on"


class DialSettings(BaseModel):
    """How targets are called: all of `dial` but the targets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: Strategy = Field(
        default=Strategy.SIMULTANEOUS, description="In which order targets are called."
    )
    stop_on: tuple[Annotated[int, Field(ge=300, le=699)], ...] = Field(
        default=(486, 603),
        description="Final SIP codes after which no other target is called; where all ring "
        "together, the others ring on.",
    )
    music: Source | None = Field(
        default=None, description="A file that the caller hears instead of ringing."
    )
    whisper: Text | None = Field(
        default=None, description="Said to who answers, before the two are joined."
    )
    language: Language | None = Field(default=None, description="Of the whisper.")
    confirm: Digit | None = Field(
        default=None, description="Key that who answers has to press to take the call."
    )
    max_duration: float | None = Field(
        default=None, gt=0, le=86_400, description="Seconds that the conversation may last."
    )
    after_talk: AfterTalk = Field(
        default=AfterTalk.HANGUP, description="What comes when the callee hangs up."
    )
    group: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Rounds of one group take turns together; default: the targets as written.",
    )


class Dial(DialSettings, Verb):
    """Calls one or many targets, and joins the first that answers with the caller."""

    verb: ClassVar[str] = "dial"

    trunk: str | None = Field(default=None, description="The one target; see `Target`.")
    number: str | None = None
    caller: str | None = None
    withhold: bool = False
    user: str | None = None
    ring_timeout: RingTimeout | None = Field(
        default=None, description="Seconds that each target may ring; default: the trunk's."
    )
    headers: Headers = Field(default_factory=dict)
    targets: tuple[Target, ...] = Field(default=(), max_length=32, description="Several targets.")

    @model_validator(mode="after")
    def _targets_once(self) -> Self:
        alone = self.trunk is not None or self.user is not None
        if alone and self.targets:
            raise ValueError("a target beside targets: put all into targets")
        if self.targets and (self.number or self.caller or self.withhold or self.headers):
            raise ValueError("number, caller and headers go with each target: put them there")
        if not self.targets:
            _check_target(self)
        return self

    def all_targets(self) -> tuple[Target, ...]:
        """The targets, however they were written."""
        if self.targets:
            return self.targets
        return (
            Target(
                trunk=self.trunk,
                number=self.number,
                caller=self.caller,
                withhold=self.withhold,
                user=self.user,
                headers=self.headers,
            ),
        )
