"""What logs hide that no pattern sees: short numbers of the call at hand, what errors quote."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import traceback
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from sqlalchemy import text as sql

from gateway.dialplan import Origin, Request
from gateway.dialplan.rules import DialTrunk
from gateway.errors import GatewayError
from gateway.events import CallCreated, DigitReceived, LegAdded, Role
from gateway.ids import LegId
from gateway.observability.logs import configure_logs
from gateway.observability.redaction import begin_private, keep_private
from gateway.ports import IncomingSip, LegKind, SipTarget
from gateway.storage.database import Database
from gateway.testing import FakeLeg, FakeMedia, ManualClock

SHORT = "4711"
LONG = "4930901820555"


@pytest.fixture(autouse=True)
def stream() -> Iterator[io.StringIO]:
    """The JSON log at level info."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    configure_logs("json", "info", written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def logged(stream: io.StringIO, **entry: Any) -> str:
    stream.seek(0)
    stream.truncate()
    structlog.get_logger("gateway.test").warning("happened", **entry)
    return stream.getvalue()


def test_a_calls_short_numbers_are_hidden_in_its_own_lines_only(stream: io.StringIO) -> None:
    def call() -> str:
        begin_private(SHORT, "al")
        keep_private("600")
        return logged(
            stream,
            text=f"who is {SHORT}?",
            rule="browser[1] 600",
            path="pcmu/16000",
            by="al",
        )

    line = json.loads(copy_context().run(call))
    assert line["text"] == "who is ***?"
    assert line["rule"] == "browser[1] ***"
    assert (line["path"], line["by"]) == ("pcmu/16000", "al")
    assert SHORT in logged(stream, text=f"who is {SHORT}?")  # it may be anything here


async def test_what_a_call_starts_hides_them_too_and_another_call_does_not(
    stream: io.StringIO,
) -> None:
    async def line() -> str:
        return logged(stream, text=f"no {SHORT} here")

    async def call(number: str) -> tuple[str, str]:
        begin_private(number)
        inside = asyncio.create_task(line())
        return await inside, await asyncio.create_task(other())

    async def other() -> str:
        begin_private("99")
        return await line()

    mine, others = await asyncio.create_task(call(SHORT))
    assert SHORT not in mine
    assert SHORT in others
    assert SHORT in await line()


@given(
    st.text(alphabet="0123456789*#+", min_size=2, max_size=15),
    st.sampled_from([" ", "'", '"', "/", ":", ",", "=", "@", "(", "%20", "%2f", "<sip:", "?to="]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_calls_number_is_hidden_wherever_it_stands(
    stream: io.StringIO, number: str, before: str
) -> None:
    assume(any(character.isdigit() for character in number))

    def call() -> str:
        begin_private(number)
        try:
            raise ValueError(f"refused{before}{number} at once")
        except ValueError as error:
            return logged(stream, text=str(error), nested=[{"a": (str(error),)}], exc_info=True)

    line = json.loads(copy_context().run(call))
    for shown in (line["text"], str(line["nested"]), line["exception"].rpartition("refused")[2]):
        assert "***" in shown
        assert f"{before}{number} " not in shown


def test_numbers_in_encoded_urls(stream: io.StringIO) -> None:
    url = f"https://crm.example/lookup/%2B{LONG}?from=%2B{LONG}&x=%2b{LONG}"
    assert LONG not in logged(stream, url=url)


def test_what_pydantic_refuses_is_not_quoted(stream: io.StringIO) -> None:
    class Tones(BaseModel):
        tones: int

    with pytest.raises(ValidationError) as refused:
        Tones.model_validate({"tones": f"{SHORT}*"})
    assert SHORT in str(refused.value)
    assert SHORT not in logged(stream, reason=str(refused.value))


async def test_what_the_database_refuses_is_not_quoted(tmp_path: Path) -> None:
    database = Database("sqlite:///x.sqlite3", folder=tmp_path)
    await database.start()
    try:
        with pytest.raises(GatewayError) as refused:
            await database.write(
                lambda connection: connection.execute(
                    sql("INSERT INTO nowhere VALUES (:n)"), {"n": SHORT}
                )
            )
    finally:
        await database.close()
    told = "".join(traceback.format_exception(refused.value))
    assert "INSERT INTO nowhere" in told
    assert SHORT not in told


@pytest.mark.parametrize(
    "value",
    [
        CallCreated("browser", SHORT, SHORT),
        LegAdded(LegId("l"), Role.CALLER, LegKind.SIP, "t", SHORT),
        DigitReceived(LegId("l"), SHORT, 100, 1),
        IncomingSip(FakeLeg(LegKind.SIP, FakeMedia()), "t", SHORT, SHORT, SHORT, {"x": SHORT}),
        SipTarget("t", SHORT, SHORT, {"x": SHORT}),
        DialTrunk("t", SHORT, SHORT),
        Request("browser", SHORT, SHORT, Origin.BROWSER, "alice", ManualClock().now().wall),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_with_numbers_do_not_show_them(value: object) -> None:
    """asyncio prints the arguments of a callback that failed."""
    assert SHORT not in repr(value)
