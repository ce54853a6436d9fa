"""The `gateway calls` and `gateway call` commands: live calls, over the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
import yaml

from gateway.cli import remote
from gateway.cli.printing import console, lines, plain, span, table
from gateway.client import GatewayClient, Hangup, Target
from gateway.contract.calls import LONGEST_WAIT, WAIT_SECONDS, Done, LiveCall, Running
from gateway.errors import GatewayError
from gateway.terms import Phase
from gateway.verbs import Verb, verb_from

COLUMNS = ("id", "phase", "from", "to", ">for", "codecs", ">MOS", ">loss", ">jitter")

call = typer.Typer(no_args_is_help=True, help="Makes, shows, commands and ends live calls.")
CallId = Annotated[str, typer.Argument(metavar="CALL", help="The call's id.")]


def calls(
    url: remote.Url = remote.DEFAULT_URL,
    key: remote.Key = None,
    as_json: remote.AsJson = False,
    phase: Annotated[Phase | None, typer.Option(help="Only those there.")] = None,
    context: Annotated[str | None, typer.Option(help="Of the dialplan, or a trunk.")] = None,
    caller: Annotated[str | None, typer.Option(help="Who calls.")] = None,
    callee: Annotated[str | None, typer.Option(help="What was dialled.")] = None,
    answered: Annotated[
        bool | None, typer.Option("--answered/--unanswered", help="Whether anybody took them.")
    ] = None,
) -> None:
    """Lists live calls, newest first."""

    async def work(gateway: GatewayClient) -> list[LiveCall]:
        found = gateway.calls.list(
            phase=phase, context=context, caller=caller, callee=callee, answered=answered
        )
        return [each async for each in found]

    found = remote.asked(url, key, work)
    if as_json:
        lines(found)
    else:
        console().print(table(COLUMNS, [row(each, datetime.now(UTC)) for each in found]))


@call.command()
def show(
    call: CallId,
    url: remote.Url = remote.DEFAULT_URL,
    key: remote.Key = None,
    as_json: remote.AsJson = False,
) -> None:
    """Shows one live call and its legs."""
    found = remote.asked(url, key, lambda gateway: gateway.calls.get(call))
    if as_json:
        lines([found])
        return
    console().print(table(COLUMNS, [row(found, datetime.now(UTC))]))
    console().print(plain(f"audio: {found.path or 'none yet'}"))
    console().print(
        table(
            ("leg", "side", "kind", "audio", "held", ">MOS", ">lost", ">rtt"),
            [
                (
                    leg.id, leg.role, leg.kind, leg.media, "yes" if leg.held else "",
                    *(
                        (_mos(leg.quality.mos), leg.quality.rx_lost, f"{leg.quality.rtt_ms:.0f} ms")
                        if leg.quality else ("", "", "")
                    ),
                )
                for leg in found.legs if not leg.ended
            ],
        )
    )  # fmt: skip


@call.command()
def make(
    user: Annotated[str | None, typer.Option(help="A browser user to call.")] = None,
    trunk: Annotated[str | None, typer.Option(help="Or: a trunk, with --number.")] = None,
    number: Annotated[str | None, typer.Option(help="What to call at the trunk.")] = None,
    callee: Annotated[str | None, typer.Option(help="What who answers is connected with.")] = None,
    program: Annotated[str | None, typer.Option(help="Or: the program that speaks then.")] = None,
    variable: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Of the call; repeatable.")
    ] = None,
    url: remote.Url = remote.DEFAULT_URL,
    key: remote.Key = None,
) -> None:
    """Calls somebody, and prints the new call's id as soon as it rings."""
    variables = dict(_pair(text) for text in variable or ())

    async def work(gateway: GatewayClient) -> str:
        to = Target(user=user, trunk=trunk, number=number)
        made = await gateway.calls.create(to, callee=callee, program=program, variables=variables)
        return made.id

    print(remote.asked(url, key, work))


@call.command()
def hangup(
    call: CallId,
    reason: Annotated[str | None, typer.Option(help="What the far ends are told.")] = None,
    url: remote.Url = remote.DEFAULT_URL,
    key: remote.Key = None,
) -> None:
    """Ends a call."""

    async def work(gateway: GatewayClient) -> None:
        if reason is None:
            await gateway.calls.hang_up(call)
        else:
            await gateway.calls.perform(call, Hangup(reason=reason))

    remote.asked(url, key, work)


@call.command()
def verb(
    call: CallId,
    step: Annotated[
        str, typer.Argument(help="As in a dialplan: 'say: Hello.', 'send_dtmf: {digits: 12#}'.")
    ],
    leg: Annotated[str | None, typer.Option(help="The id of the leg that it is for.")] = None,
    wait: Annotated[
        float, typer.Option(min=0, max=LONGEST_WAIT, help="Seconds for it to end.")
    ] = WAIT_SECONDS,
    url: remote.Url = remote.DEFAULT_URL,
    key: remote.Key = None,
) -> None:
    """Has a call do something (docs/verbs.md), and prints what came of it."""
    wanted = _verb(step)

    async def work(gateway: GatewayClient) -> Done | Running:
        if leg is None:
            return await gateway.calls.perform(call, wanted, wait=wait)
        return await gateway.calls.perform_on_leg(call, leg, wanted, wait=wait)

    done = remote.asked(url, key, work)
    if isinstance(done, Running):
        print("goes on")
        return
    for name, value in done.outcome.items():
        console().print(plain(f"{name}={value}"))


@call.command()
def bridge(
    call: CallId,
    other: Annotated[str, typer.Argument(help="The other call's id.")],
    url: remote.Url = remote.DEFAULT_URL,
    key: remote.Key = None,
) -> None:
    """Joins two live calls until one of them ends."""
    remote.asked(url, key, lambda gateway: gateway.calls.bridge(call, other))


@call.command()
def ladder(call: CallId, url: remote.Url = remote.DEFAULT_URL, key: remote.Key = None) -> None:
    """Prints a call's SIP messages as a sequence diagram (Mermaid)."""
    print(remote.asked(url, key, lambda gateway: gateway.calls.ladder(call)), end="")


def row(call: LiveCall, now: datetime) -> tuple[object, ...]:
    """The cells of COLUMNS."""
    heard = [leg.quality for leg in call.legs if leg.quality and leg.quality.rx_packets]
    codecs = " - ".join(leg.media.partition(" ")[0] for leg in call.legs if leg.media)
    marks = [each.mos for each in heard if each.mos is not None]
    lost = max((_loss(each.rx_lost, each.rx_packets) for each in heard), default=None)
    return (
        call.id,
        call.phase,
        call.caller,
        call.callee,
        span((now - call.created_at).total_seconds()),
        codecs,
        _mos(min(marks, default=None)),
        "" if lost is None else f"{lost:.1%}",
        f"{max(each.jitter_ms for each in heard):.0f} ms" if heard else "",
    )


def _loss(lost: int, received: int) -> float:
    return max(lost, 0) / (received + max(lost, 0))


def _mos(mark: float | None) -> str:
    return "" if mark is None else f"{mark:.1f}"


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter("write NAME=VALUE", param_hint="--variable")
    return name, value


def _verb(step: str) -> Verb:
    try:
        written = yaml.safe_load(step)
        return verb_from({written: None} if isinstance(written, str) else written)
    except yaml.YAMLError:
        raise typer.BadParameter("no YAML: write 'say: Hello.'", param_hint="STEP") from None
    except GatewayError as error:
        raise typer.BadParameter(error.verdict.text, param_hint="STEP") from None
