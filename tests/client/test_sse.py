"""Server-sent events as WHATWG HTML 9.2 has them, in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.sse import Message, SseParser


def read(stream: bytes, sizes: tuple[int, ...] = ()) -> list[Message]:
    """The messages of a stream that comes in pieces of these sizes, and the rest at once."""
    parser = SseParser()
    found: list[Message] = []
    for size in sizes:
        found += parser.feed(stream[:size])
        stream = stream[size:]
    return [*found, *parser.feed(stream)]


@pytest.mark.parametrize(
    ("stream", "messages"),
    [
        ("data: YHOO\ndata: +2\ndata: 10\n\n", [("message", "YHOO\n+2\n10", "")]),
        (
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  3rd\n\n",
            [("message", "first event", "1"), ("message", "second event", ""),
             ("message", " 3rd", "")],
        ),
        ("data\n\ndata\ndata\n\ndata:", [("message", "", ""), ("message", "\n", "")]),
        ("data:test\n\ndata: test\n\n", [("message", "test", ""), ("message", "test", "")]),
        ("event: call.ended\r\ndata: {}\r\n\r\n", [("call.ended", "{}", "")]),
        ("event: a\rdata: 1\r\rdata: 2\r\r", [("a", "1", ""), ("message", "2", "")]),
        ("id: 7\ndata: 1\n\ndata: 2\n\n", [("message", "1", "7"), ("message", "2", "7")]),
        ("id: 7\0\ndata: 1\n\n", [("message", "1", "")]),
        ("event: lost\n\ndata: 1\n\n", [("message", "1", "")]),
        ("\ufeffdata: 1\n\n", [("message", "1", "")]),
        ("data: Grüße\u2028next\n\n", [("message", "Grüße\u2028next", "")]),
        ("unknown: 1\ndata: 1\n\n", [("message", "1", "")]),
        ("data: unfinished\n", []),
    ],
)  # fmt: skip
def test_streams_of_the_standard(stream: str, messages: list[tuple[str, str, str]]) -> None:
    assert read(stream.encode()) == [Message(*message) for message in messages]


LINES = st.sampled_from(
    ["data: 1", "data: é😀", "data", "id: 5", "event: x", ": beat", "", "", "retry: 10", "zzz"]
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r", "\r\n"])), max_size=30)


@given(STREAMS, st.lists(st.integers(0, 9), max_size=60))
def test_pieces_make_no_difference(lines: list[tuple[str, str]], sizes: list[int]) -> None:
    stream = "".join(line + end for line, end in lines).encode()
    assert read(stream, tuple(sizes)) == read(stream)


@given(st.binary(max_size=200))
def test_any_bytes_are_read(stream: bytes) -> None:
    for message in read(stream):
        assert "\r" not in message.data


def test_the_server_names_the_wait_and_the_place() -> None:
    parser = SseParser("41")
    assert parser.last_id == "41"
    list(parser.feed(b"retry: 1500\nid: 42\n\n"))
    assert (parser.retry, parser.last_id) == (1.5, "42")
    list(parser.feed(b"retry: soon\n"))
    assert parser.retry == 1.5
