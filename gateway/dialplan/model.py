"""What a plan's YAML may say: the pydantic models, from which schema and reference are made."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from gateway.dialplan.fields import (
    ContextName,
    Country,
    DatesText,
    DaysText,
    EmptyList,
    EmptyMapping,
    GuardText,
    HoursText,
    Many,
    Model,
    Name,
    NumberText,
    PatternText,
    RegexText,
    Target,
    ValueText,
    VariableName,
    Zone,
)
from gateway.dialplan.steps import SHORT, Nothing, ProgramName, Step
from gateway.dialplan.written import Of, Written
from gateway.numbers.facts import NumberType
from gateway.verbs import Dial, Goto, Reject
from gateway.verbs.dialling import RingTimeout

Patterns = Annotated[list[PatternText], Many, Field(min_length=1)]
Countries = Annotated[list[Country], Many]
Types = Annotated[list[NumberType], Many]
Prefixes = Annotated[list[NumberText], Many]


def _kind(value: object) -> str:
    """Which member of a union a value is for, by its shape in the file."""
    return "text" if isinstance(value, str) else "list" if isinstance(value, list) else "mapping"


class NumberTest(Model):
    """Conditions on a number: all that is given has to hold, of each list one."""

    match: Patterns | None = Field(default=None, description="Exact text or `_` patterns.")
    regex: RegexText | None = Field(default=None, description="RE2 expression for all of it.")
    prefix: Prefixes = Field(default=[], description="What it begins with, such as `+49`.")
    country: Countries = Field(default=[], description="Its country, two letters.")
    type: Types = Field(default=[], description="What its number plan says that it is.")
    withheld: bool | None = Field(default=None, description="Whether no identity is shown.")


NumberCondition = Annotated[
    Annotated[PatternText, Tag("text")]
    | Annotated[list[PatternText], Field(min_length=1), Tag("list")]
    | Annotated[NumberTest, Tag("mapping")],
    Discriminator(_kind),
]


class ValueTest(Model):
    """Conditions on a header or a variable."""

    equals: str | None = Field(default=None, description="Exactly this text.")
    regex: RegexText | None = Field(default=None, description="RE2 expression for all of it.")
    present: bool = Field(default=True, description="`false`: it has to be absent.")

    @model_validator(mode="after")
    def _present_or_absent(self) -> Self:
        if not self.present and (self.equals is not None or self.regex):
            raise ValueError("a value for what has to be absent: remove present or the value")
        return self


ValueCondition = Annotated[
    Annotated[str, Tag("text")] | Annotated[ValueTest, Tag("mapping")], Discriminator(_kind)
]


class Window(Model):
    """A time: all that is given has to hold, of each list one."""

    zone: Zone | None = Field(default=None, description="Time zone; default: the plan's.")
    days: Annotated[list[DaysText], Many] = Field(default=[], description="`mon-fri`, `sat`.")
    hours: Annotated[list[HoursText], Many] = Field(
        default=[], description="`09:00-18:00`; the end is outside; may go over midnight."
    )
    dates: Annotated[list[DatesText], Many] = Field(
        default=[], description="`2026-12-24`, `12-24` every year, two with `..` between."
    )
    only_on: Annotated[list[Name], Many] = Field(
        default=[], description="Names of holiday lists: only on these days."
    )
    not_on: Annotated[list[Name], Many] = Field(
        default=[], description="Names of holiday lists: not on these days."
    )


NamedTime = Annotated[
    Annotated[list[Window], Field(min_length=1), Tag("list")] | Annotated[Window, Tag("mapping")],
    Discriminator(_kind),
]
TimeCondition = Annotated[
    Annotated[Name, Tag("text")]
    | Annotated[list[Window], Field(min_length=1), Tag("list")]
    | Annotated[Window, Tag("mapping")],
    Discriminator(_kind),
]

CONDITIONS = ("match", "callee", "caller", "headers", "time", "vars", "when")


class Rule(Model):
    """A rule: if all its conditions hold, its steps run."""

    name: Name | None = Field(default=None, description="For traces, cases and diffs.")
    match: Annotated[
        Annotated[PatternText, Tag("text")]
        | Annotated[list[PatternText], Field(min_length=1), Tag("list")]
        | None,
        Field(description="What was dialled: exact text or a `_` pattern; or a list of them."),
    ] = None
    callee: NumberCondition | None = Field(
        default=None, description="The same as `match`, with more conditions."
    )
    caller: NumberCondition | None = Field(default=None, description="Who calls.")
    headers: dict[str, ValueCondition] | None = Field(
        default=None, description="SIP headers by name: the exact value, or conditions."
    )
    time: TimeCondition | None = Field(
        default=None, description="Name of an entry of `times`, or a time."
    )
    vars: dict[VariableName, ValueCondition] | None = Field(
        default=None, description="Call variables: the exact value, or conditions."
    )
    when: GuardText | None = Field(default=None, description="A CEL expression.")
    steps: Annotated[list[Step], Field(min_length=1)] | None = Field(
        default=None, description="What to do, in order. One step may stand in the rule itself."
    )
    dial: Annotated[Written | None, Of(Dial)] = None
    echo: Annotated[Nothing | None, EmptyMapping] = None
    ivr: Annotated[Nothing | None, EmptyMapping] = None
    app: ProgramName | None = Field(default=None, description="A call program by name.")
    reject: Annotated[Written | None, Of(Reject)] = None
    set: dict[VariableName, ValueText] | None = Field(
        default=None, description="Sets call variables before the one step of the rule."
    )
    goto: Annotated[Written | None, Of(Goto)] = None
    include: ContextName | None = None
    ring_timeout: RingTimeout | None = Field(
        default=None, description="Seconds that `dial` may ring."
    )

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        given = self.__dict__
        short = [verb for verb in SHORT if given[verb] is not None and verb != "set"]
        if self.steps is not None and (short or self.set):
            raise ValueError("steps beside a step of its own: put all into steps")
        if self.steps is None and len(short) != 1:
            listed = ", ".join(verb for verb in SHORT if verb != "set")
            raise ValueError(f"{len(short)} actions in a rule: write exactly one of {listed}")
        if self.ring_timeout is not None and self.dial is None:
            raise ValueError("ring_timeout without dial: remove it")
        if self.match is not None and self.callee is not None:
            raise ValueError("match beside callee: put the pattern into callee")
        if not any(given[name] for name in CONDITIONS):
            raise ValueError("'match' is missing: say when the rule holds; _. is every number")
        return self


class Selection(Model):
    """Numbers by country, type, beginning and pattern."""

    countries: Countries = Field(default=[], description="Two letters each.")
    types: Types = Field(default=[], description="Types of numbers.")
    prefixes: Prefixes = Field(default=[], description="What numbers begin with.")
    numbers: Annotated[list[PatternText], Many] = Field(
        default=[], description="Exact text or `_` patterns."
    )


class Destinations(Model):
    """Where trunks may be asked to call."""

    allow: Selection | None = Field(
        default=None, description="With it, all else is denied: country and type both must fit."
    )
    deny: Selection = Field(default=Selection(), description="Denied whatever `allow` says.")


class Callers(Model):
    """Which identities callers may show to a trunk."""

    allow: Patterns | None = Field(default=None, description="Identities that may be shown.")
    default: NumberText | None = Field(
        default=None, description="Shown instead of others; without it the trunk's own."
    )
    withheld: Literal["accept", "refuse"] = Field(
        default="accept", description="`refuse`: who hides is refused with 433 (RFC 5079)."
    )


class Numbers(Model):
    """How numbers are written here, and how they become E.164."""

    country: Country | None = Field(
        default=None, description="Numbers without a country code are of this country."
    )
    strip: Prefixes = Field(
        default=[], description="Beginnings; the first that fits is taken off, such as `9`."
    )
    prefix: Annotated[str, Field(pattern=r"^[0-9+*#]{0,16}$")] = Field(
        default="", description="In place of what was stripped; without `strip`, before all."
    )


class Context(Model):
    """The rules for some callers, and how their numbers are treated."""

    numbers: Numbers = Numbers()
    callers: Callers = Callers()
    destinations: Destinations = Destinations()
    rules: Annotated[list[Rule], EmptyList] = Field(
        default=[], description="In order; the first that matches wins."
    )
    include: Annotated[list[ContextName], Many] = Field(
        default=[], description="Contexts whose rules come behind the own ones."
    )


Cost = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
CostPrefix = Annotated[str, Field(pattern=r"^\+[0-9]{0,15}$")]


class Trunk(Model):
    """How one trunk writes numbers, and what it costs."""

    incoming: Numbers = Field(default=Numbers(), description="Numbers of calls from it.")
    outgoing: Numbers = Field(
        default=Numbers(), description="Numbers of calls to it: `strip`, then `prefix`."
    )
    callers: Callers = Field(default=Callers(), description="Identities shown to it.")
    costs: dict[CostPrefix, Cost] = Field(
        default={},
        description="What a minute costs, by beginning of the E.164 number; `+` is every number. "
        "For `strategy: least_cost`.",
    )


class Emergency(Model):
    """Numbers that everybody but a trunk may call, before all rules, exactly as dialled."""

    numbers: Annotated[list[NumberText], Many, Field(min_length=1)]
    trunk: str = Field(description="Name of a configured trunk.")
    caller: Target | None = Field(default=None, description="Caller's identity to show.")


class Entry(Model):
    """Which context's rules a caller sees."""

    browser: ContextName = Field(default="browser", description="Browsers.")
    users: dict[str, ContextName] = Field(default={}, description="Browsers signed in as these.")
    trunks: dict[str, ContextName] = Field(
        default={}, description="Calls from trunks; default: the trunk's name."
    )
    keys: dict[str, ContextName] = Field(
        default={}, description="Calls started with an API key; default: the key's name."
    )


Rules = Annotated[list[Rule], EmptyList]
AnyContext = Annotated[
    Annotated[Rules, Tag("list")] | Annotated[Context, Tag("mapping")],
    Discriminator(lambda value: "list" if value is None else _context_kind(value)),
]


def _context_kind(value: Any) -> str:
    return "list" if isinstance(value, list) else "mapping"


class PlanFile(Model):
    """A dialplan."""

    version: Literal["1"] = "1"
    zone: Zone = Field(default="UTC", validate_default=True, description="Time zone of the plan.")
    entry: Entry = Field(default=Entry(), description="Who calls decides which rules count.")
    holidays: dict[Name, Annotated[list[DatesText], Many]] = Field(
        default={}, description="Lists of days, by name."
    )
    times: dict[Name, NamedTime] = Field(default={}, description="Times, by name.")
    trunks: dict[str, Trunk] = Field(default={}, description="How trunks write numbers.")
    emergency: Emergency | None = Field(
        default=None, description="Emergency numbers, routable whatever the rules say."
    )
    contexts: dict[ContextName, AnyContext] = Field(
        description="By name: a list of rules, or `rules` with settings."
    )
