"""The JSON messages of `/v1/signal`, version 1: one pydantic model per type and direction."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from gateway.contract.tokens import IceServerInfo
from gateway.errors import BAD_REQUEST, GatewayError, Verdict

VERSION: Literal[1] = 1

MessageId = Annotated[str, Field(min_length=1, max_length=64)]
CallRef = Annotated[str, Field(min_length=1, max_length=64)]
UserName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._+-]{0,64}$")]
"""Empty: nobody; such a session can call but not be called."""
Destination = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]
Sdp = Annotated[str, Field(min_length=1, max_length=65536)]


class Reason(BaseModel):
    """Why a call ended or a request failed: the gateway's verdict."""

    model_config = ConfigDict(frozen=True)

    code: str
    text: str
    sip_status: int
    q850: int
    blame: str

    @classmethod
    def of(cls, verdict: Verdict) -> Reason:
        """The verdict as clients see it."""
        return cls(
            code=verdict.code,
            text=verdict.text,
            sip_status=verdict.sip_status,
            q850=verdict.q850,
            blame=verdict.blame,
        )


# ---- from the browser -----------------------------------------------------------------------


class _FromClient(BaseModel):
    # Unknown fields are refused: a misspelt one would otherwise be a silent default.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    v: Literal[1]
    id: MessageId | None = None  # replies repeat it as in_reply_to


class ClientHello(_FromClient):
    """Opens the session, or changes the name under which it can be called."""

    type: Literal["hello"]
    user: UserName = ""


class ClientToken(_FromClient):
    """A newer token of the same user, in time before the one that opened the session expires."""

    type: Literal["token"]
    token: Annotated[str, Field(min_length=1, max_length=8192, repr=False)]


class ClientCall(_FromClient):
    """An SDP offer: to the destination `to`, or a renegotiation of the running `call`."""

    type: Literal["call"]
    sdp: Sdp
    to: Destination | None = None
    call: CallRef | None = None


class ClientAnswer(_FromClient):
    """Accepts an incoming call. The browser makes the offer here as well."""

    type: Literal["answer"]
    call: CallRef
    sdp: Sdp


class ClientCandidate(_FromClient):
    """A trickled ICE candidate (RFC 8838); null: there will be no more."""

    type: Literal["candidate"]
    call: CallRef
    candidate: Annotated[str, Field(max_length=1024)] | None
    mid: Annotated[str, Field(max_length=64)] | None = None


class ClientDtmf(_FromClient):
    """Tones for the far end, where the browser cannot send them itself. Times in ms (W3C)."""

    type: Literal["dtmf"]
    call: CallRef
    tones: Annotated[str, Field(pattern=r"^[0-9A-Da-d*#,]{1,64}$")]
    duration: Annotated[int, Field(ge=40, le=6000)] = 100
    gap: Annotated[int, Field(ge=30, le=6000)] = 70


class ClientHangup(_FromClient):
    """Ends a call, or declines an incoming one."""

    type: Literal["hangup"]
    call: CallRef
    reason: Annotated[str, Field(max_length=128)] | None = None


ClientMessage = (
    ClientHello
    | ClientToken
    | ClientCall
    | ClientAnswer
    | ClientCandidate
    | ClientDtmf
    | ClientHangup
)
_CLIENT: TypeAdapter[ClientMessage] = TypeAdapter(
    Annotated[ClientMessage, Field(discriminator="type")]
)
CLIENT_TYPES = ("hello", "token", "call", "answer", "candidate", "dtmf", "hangup")


# ---- from the gateway -----------------------------------------------------------------------


class _FromServer(BaseModel):
    model_config = ConfigDict(frozen=True)

    v: Literal[1] = VERSION
    in_reply_to: MessageId | None = None

    def text(self) -> str:
        """The JSON text that goes over the wire; absent values are left out."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


class ServerHello(_FromServer):
    """The session is open under `user`. `expires`: when the token does."""

    type: Literal["hello"] = "hello"
    session: str
    user: str
    expires: datetime | None = None
    ice_servers: list[IceServerInfo] = []


class ServerToken(_FromServer):
    """The session goes on with the newer token, until that one expires."""

    type: Literal["token"] = "token"
    expires: datetime | None = None
    ice_servers: list[IceServerInfo] = []


class ServerCall(_FromServer):
    """Somebody calls the signed-in user."""

    type: Literal["call"] = "call"
    call: str
    caller: str = Field(serialization_alias="from")


class ServerAnswer(_FromServer):
    """The SDP answer to the offer of a `call` or `answer` message."""

    type: Literal["answer"] = "answer"
    call: str
    sdp: str


class ServerState(_FromServer):
    """What the call is doing. `reason` comes with `ended`."""

    type: Literal["state"] = "state"
    call: str
    state: Literal["ringing", "early", "answered", "held", "ended"]
    reason: Reason | None = None
    media: str | None = None


class ServerDtmf(_FromServer):
    """A digit from the far end; `duration_ms` is final and comes with `ended`."""

    type: Literal["dtmf"] = "dtmf"
    call: str
    digit: str
    phase: Literal["began", "ended"]
    event: int  # pairs began with ended
    duration_ms: int | None = None


class ServerHangup(_FromServer):
    """A ringing incoming call is over for this session."""

    type: Literal["hangup"] = "hangup"
    call: str
    reason: Reason


class ServerError(_FromServer):
    """A request failed; the connection stays. `call` is set when it concerned one."""

    type: Literal["error"] = "error"
    code: str
    message: str
    call: str | None = None
    reason: Reason | None = None

    @classmethod
    def of(
        cls, verdict: Verdict, *, call: str | None = None, in_reply_to: str | None = None
    ) -> ServerError:
        """The error that tells a verdict."""
        return cls(
            code=verdict.code,
            message=verdict.text,
            call=call,
            reason=Reason.of(verdict),
            in_reply_to=in_reply_to,
        )


ServerMessage = (
    ServerHello
    | ServerToken
    | ServerCall
    | ServerAnswer
    | ServerState
    | ServerDtmf
    | ServerHangup
    | ServerError
)


# ---- parsing --------------------------------------------------------------------------------


class MessageError(GatewayError):
    """A message that cannot be read; `in_reply_to` is its id where that could be made out."""

    def __init__(self, detail: str, in_reply_to: str | None = None) -> None:
        super().__init__(BAD_REQUEST, detail)
        self.in_reply_to = in_reply_to


def parse(text: str) -> ClientMessage:
    """The message that a client sent. Raises MessageError, which names what is wrong."""
    try:
        value: Any = from_json(text)
    except ValueError as error:
        raise MessageError(f"Not JSON: {error}") from error
    if not isinstance(value, dict):
        raise MessageError("A message is a JSON object")
    raw_id = value.get("id")
    in_reply_to = raw_id if isinstance(raw_id, str) and 0 < len(raw_id) <= 64 else None
    version = value.get("v")
    if type(version) is not int or version != VERSION:  # True == 1 in Python, not in JSON
        raise MessageError(f'This is version {VERSION}: send "v": {VERSION}', in_reply_to)
    if value.get("type") not in CLIENT_TYPES:
        known = ", ".join(CLIENT_TYPES)
        raise MessageError(f"Unknown message type; known are: {known}", in_reply_to)
    try:
        return _CLIENT.validate_python(value)
    except ValidationError as error:
        raise MessageError(_explain(error), in_reply_to) from error


def _explain(error: ValidationError) -> str:
    # Input values stay out: they may hold digits or a session description.
    parts = []
    for item in error.errors(include_url=False, include_input=False, include_context=False)[:3]:
        path = ".".join(str(step) for step in item["loc"][1:]) or "message"
        parts.append(f"{path}: {item['msg']}")
    return "; ".join(parts)
