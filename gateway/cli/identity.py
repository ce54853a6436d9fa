"""Owns the commands that make identities: `gateway keys` and `gateway token`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from gateway.app.records import open_database
from gateway.clock import SystemClock
from gateway.config.document import ConfigError
from gateway.config.identity import TOKEN_SECONDS, Caps, Scope
from gateway.config.loader import load_config
from gateway.errors import BAD_REQUEST, GatewayError
from gateway.identity.keys import check_name, new_key
from gateway.identity.tokens import NO_SECRET, BrowserTokens
from gateway.identity.turn import turn_credentials
from gateway.ids import DEFAULT_PROJECT, qualified
from gateway.storage.api_keys import ApiKeys
from gateway.verbs.step import told

keys = typer.Typer(no_args_is_help=True, help="Makes, lists and revokes API keys.")
T = TypeVar("T")

ConfigFile = Annotated[Path, typer.Argument(help="The node's configuration, YAML.")]
Project = Annotated[str, typer.Option(help="Whose it is: a key never sees another project's.")]
To = Annotated[
    list[str] | None,
    typer.Option("--to", help="A dialplan pattern of what it may call; as often as wanted."),
]
Callers = Annotated[
    list[str] | None,
    typer.Option("--caller", help="A number (or pattern) that it may show; as often as wanted."),
]
Country = Annotated[
    list[str] | None,
    typer.Option(help="ISO 3166-1: where it may call by trunks; as often as wanted."),
]
MaxCalls = Annotated[int | None, typer.Option(help="Calls at once.")]
PerSecond = Annotated[float | None, typer.Option(help="New calls per second.")]
Minutes = Annotated[float | None, typer.Option(help="Minutes of all calls, each UTC day.")]


@keys.command()
def create(
    config: ConfigFile,
    name: Annotated[str, typer.Option(help="Calls that it starts enter the context of this name.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; as often as wanted.")],
    project: Project = DEFAULT_PROJECT,
    days: Annotated[float | None, typer.Option(help="How long it is good; else for ever.")] = None,
    to: To = None,
    caller: Callers = None,
    country: Country = None,
    max_calls: MaxCalls = None,
    calls_per_second: PerSecond = None,
    minutes_per_day: Minutes = None,
) -> None:
    """Makes an API key, and prints it: this once, because only a hash of it is kept."""

    async def make(stored: ApiKeys) -> str:
        caps = _caps(to, caller, country, max_calls, calls_per_second, minutes_per_day)
        now = datetime.now(UTC)
        expires = None if days is None else now + timedelta(days=days)
        check_name(name)
        check_name(project)
        text, record = new_key(name, scope, caps, now, project=project, expires=expires)
        await stored.add(record)
        return text

    typer.echo(_with_keys(config, make))


@keys.command("list")
def show(
    config: ConfigFile,
    project: Annotated[str | None, typer.Option(help="Of this project only.")] = None,
) -> None:
    """Lists keys: their ids, never their secrets."""
    found = _with_keys(config, lambda stored: stored.all(project))
    table = Table("id", "project", "name", "scopes", "made", "state")
    now = datetime.now(UTC)
    for key in found:
        state = "good" if key.good(now) else "revoked" if key.revoked_at else "expired"
        made = key.created_at.isoformat(" ", "minutes")
        table.add_row(key.id, key.project, key.name, " ".join(key.scopes), made, state)
    Console(soft_wrap=True).print(table)


@keys.command()
def revoke(
    config: ConfigFile, key: Annotated[str, typer.Argument(help="Its id: gateway keys list.")]
) -> None:
    """Revokes a key, and the browser tokens that it made. Running nodes know within seconds."""
    if not _with_keys(config, lambda stored: stored.revoke(key, datetime.now(UTC))):
        typer.echo(f"gateway: no key {key!r} that is not revoked already", err=True)
        raise typer.Exit(1)
    typer.echo(f"{key} is revoked")


def token(
    config: ConfigFile,
    user: Annotated[str, typer.Option(help="Who it is for.")],
    project: Project = DEFAULT_PROJECT,
    seconds: Annotated[
        int, typer.Option(help="How long it is good, at most 86400.")
    ] = TOKEN_SECONDS,
    to: To = None,
    caller: Callers = None,
    country: Country = None,
    max_calls: MaxCalls = None,
    calls_per_second: PerSecond = None,
    minutes_per_day: Minutes = None,
    turn: Annotated[bool, typer.Option(help="Print TURN credentials as well.")] = False,
) -> None:
    """Mints a token for a browser. The page takes it as /#token=TOKEN."""
    node = _or_exit(lambda: load_config(config))
    clock = SystemClock()

    def mint() -> str:
        tokens = BrowserTokens.from_config(node.identity, clock)
        if tokens is None:
            raise GatewayError(BAD_REQUEST, NO_SECRET)
        caps = _caps(to, caller, country, max_calls, calls_per_second, minutes_per_day)
        check_name(project)
        return tokens.mint(user, caps, seconds=seconds, project=project).text

    typer.echo(_or_exit(mint))
    if turn and node.turn is not None:
        found = turn_credentials(node.turn, qualified(project, user), clock.now().wall)
        typer.echo(f"{' '.join(found.urls)} {found.username} {found.credential}")


def _caps(
    to: list[str] | None,
    caller: list[str] | None,
    country: list[str] | None,
    max_calls: int | None,
    calls_per_second: float | None,
    minutes_per_day: float | None,
) -> Caps:
    try:
        return Caps(
            destinations=tuple(to) if to else None,
            caller_ids=tuple(caller) if caller else None,
            countries=tuple(country) if country else None,
            max_calls=max_calls,
            calls_per_second=calls_per_second,
            minutes_per_day=minutes_per_day,
        )
    except ValidationError as error:
        raise GatewayError(BAD_REQUEST, told(error)) from None


def _with_keys(config: Path, work: Callable[[ApiKeys], Awaitable[T]]) -> T:
    node = _or_exit(lambda: load_config(config))

    folder = config.resolve().parent
    records = node.kept_records

    async def run() -> T:
        if records.in_memory:
            raise GatewayError(BAD_REQUEST, "this node keeps its database in memory only")
        database = open_database(records, folder)
        try:
            await database.start()
            return await work(ApiKeys(database))
        finally:
            await database.close()

    return _or_exit(lambda: asyncio.run(run()))


def _or_exit(action: Callable[[], T]) -> T:
    """The result, or what is wrong on standard error."""
    try:
        return action()
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
    except GatewayError as error:
        typer.echo(f"gateway: {error}", err=True)
    raise typer.Exit(1)
