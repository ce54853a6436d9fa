"""What a node's configuration may say: the pydantic models behind `config/gateway.yaml`."""

from __future__ import annotations

import base64
import enum
import os
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyAddress,
    SecretStr,
    field_validator,
    model_validator,
)

from gateway.config.identity import IdentityConfig, Name, TurnConfig
from gateway.config.timeline import CapturesConfig, TimelineConfig
from gateway.config.tracing import TracingConfig
from gateway.ids import DEFAULT_PROJECT
from gateway.terms import Codec, RecordingFormat

Port = Annotated[int, Field(ge=0, le=65535)]
"""UDP or TCP port; 0 lets the system choose (tests)."""

_ATTRIBUTE = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"
"""module:name"""


def _number(value: object) -> object:
    """Configuration files hold text only, and pydantic does not convert text to a literal."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpConfig(_Model):
    """Where the page, the signalling WebSocket and the API listen."""

    address: IPvAnyAddress = Field(default="127.0.0.1", validate_default=True)
    port: Port = 8080
    origins: list[str] = Field(
        default=[], description="origins of web pages that may use the API, besides our own"
    )
    requests_per_second: float = Field(
        default=50.0, gt=0, le=10_000, description="of one API key or user, in the long run"
    )
    burst: int = Field(default=200, ge=1, le=100_000, description="requests of it at once")


BridgeRate = Literal[8000, 16000, 48000]
"""Sample rates that the bridge may run at, Hz."""


class MediaConfig(_Model):
    """The media plane. Rates in Hz."""

    profile: Literal["wideband", "narrowband"] = "wideband"
    bridge_rate: Annotated[BridgeRate, BeforeValidator(_number)] | None = None
    threads: int = Field(default=0, ge=0, le=64, description="0: one per core")
    rtp_timeout: float = Field(default=30.0, ge=0, le=3600, description="seconds; 0: never")
    direct: bool = Field(
        default=True,
        description="join two legs that nobody else listens to without the bridge",
    )

    @property
    def thread_count(self) -> int:
        """Media threads of each kind: bridge workers, readers of WebRTC and of SIP sockets."""
        return self.threads or os.cpu_count() or 1

    @property
    def rate(self) -> int:
        """The bridge rate in force: as set, else by profile."""
        return self.bridge_rate or (8000 if self.profile == "narrowband" else 16000)


class IceServer(_Model):
    """A STUN or TURN server (RFC 7064, RFC 7065 URIs)."""

    urls: list[str]
    username: str | None = None
    credential: SecretStr | None = None


class WebRtcConfig(_Model):
    """The browser side."""

    codecs: list[Codec] = [Codec.OPUS, Codec.PCMU, Codec.PCMA, Codec.G722]
    exact_dtmf: bool = Field(
        default=True,
        description="prefer a codec whose telephone-event clock the browser offers (Firefox: PCMU)",
    )
    ice_servers: list[IceServer] = []
    setup_timeout: float = Field(default=15.0, gt=0, le=120, description="seconds")
    dtls_role: Literal["active", "passive"] = Field(
        default="passive",
        description="our role where the browser leaves the choice; a server chooses the SRTP "
        "profile, and AES-GCM costs a third of what Chromium would choose",
    )
    opus_complexity: int = Field(
        default=1, ge=0, le=10, description="of the Opus encoder: 5 costs twice as much as 1"
    )


class SipListen(_Model):
    """One listening SIP transport."""

    transport: Literal["udp", "tcp"] = "udp"
    address: IPvAnyAddress = Field(default="127.0.0.1", validate_default=True)
    port: Port = 5060


class Trunk(_Model):
    """A SIP peer that calls are sent to or received from."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    host: str
    port: Port = 5060
    transport: Literal["udp", "tcp"] = "udp"
    codecs: list[Codec] = [Codec.PCMU, Codec.PCMA]
    username: str | None = None
    password: SecretStr | None = None
    caller: str | None = Field(default=None, description="user part of From when none is given")
    allow: list[IPv4Network | IPv6Network] = Field(
        default=[], description="sources of incoming calls; empty: none come in"
    )
    nat: bool = Field(default=False, description="latch the RTP source once in the first second")
    ring_timeout: float = Field(default=60.0, gt=0, le=600)
    project: Name = Field(default=DEFAULT_PROJECT, description="whose its incoming calls are")


class SipConfig(_Model):
    """The telephone side."""

    listen: list[SipListen] = [SipListen()]
    rtp_port_min: int = Field(default=20000, ge=1024, le=32000)
    rtp_port_max: int = Field(default=31999, ge=1024, le=32767)
    user_agent: str = "gateway"
    trunks: list[Trunk] = []

    @model_validator(mode="after")
    def _names_are_unique(self) -> SipConfig:
        names = [trunk.name for trunk in self.trunks]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two trunks are called {name!r}: rename one")
        if self.rtp_port_min + 100 > self.rtp_port_max:
            raise ValueError("rtp_port_max must be at least 100 above rtp_port_min")
        return self


class SpeechConfig(_Model):
    """What speaks prompts."""

    engine: Annotated[str, Field(pattern=rf"^(espeak-ng|{_ATTRIBUTE})$")] = Field(
        default="espeak-ng",
        description="or module:name of your own, which is called and returns a "
        "gateway.media.voices.Voice; modules beside this file",
    )
    language: str = Field(
        default="en",
        pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$",
        description="of prompts that name none (BCP 47)",
    )
    voice: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_+-]{0,63}$",
        description="a name that the engine knows (`espeak-ng --voices`); for `language` only",
    )
    speed: int = Field(default=150, ge=80, le=450, description="words a minute; espeak-ng's")


class WebConfig(_Model):
    """What the gateway asks of web servers: audio files from URLs, webhooks."""

    allow_private: list[IPv4Network | IPv6Network] = Field(
        default=[], description="private networks that may be asked; without it, none"
    )
    timeout: float = Field(default=5.0, gt=0, le=60, description="seconds, of one attempt")
    attempts: int = Field(
        default=3, ge=1, le=10, description="where a failure may pass; timeout times this in all"
    )
    secret: SecretStr | None = Field(
        default=None, description="signs webhooks (Standard Webhooks): whsec_ and 24 to 64 bytes"
    )

    @field_validator("secret")
    @classmethod
    def _secret_is_one(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            prefix, _, encoded = secret.get_secret_value().partition("_")
            try:
                size = len(base64.b64decode(encoded, validate=True))
            except ValueError:
                size = 0
            if prefix != "whsec" or not 24 <= size <= 64:
                raise ValueError(
                    "no secret of Standard Webhooks: write whsec_ and the base64 of 24 to 64 "
                    "random bytes, such as `openssl rand -base64 32` gives"
                )
        return secret


class RecordingsConfig(_Model):
    """Where recordings go. Without this section nothing is ever recorded."""

    folder: str = Field(
        min_length=1, description="relative to this file; made where needed, for its owner alone"
    )
    format: RecordingFormat = RecordingFormat.WAV
    max_length: float = Field(
        default=14_400.0, gt=0, le=86_400, description="seconds; a recording ends there"
    )
    keep_days: int = Field(
        default=0, ge=0, le=36_500, description="older ones are deleted; 0: never"
    )


class NumbersKept(enum.StrEnum):
    """How call records keep numbers and users' names."""

    KEEP = "keep"
    MASK = "mask"  # without their ends
    DROP = "drop"


class RecordsConfig(_Model):
    """Call records, and what else the node keeps in its database."""

    url: str = Field(
        default="sqlite:///gateway.sqlite3",
        pattern=r"^(sqlite|postgresql)://",
        description="sqlite:///FILE, relative to this file; sqlite://, in memory; or "
        "postgresql://USER@HOST/NAME",
    )
    password: SecretStr | None = Field(default=None, description="PostgreSQL's")
    node: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="tells nodes that share a database apart; default: the host's name",
    )
    keep_days: int = Field(
        default=365, ge=0, le=36_500, description="of records and events; 0: for ever"
    )
    numbers: NumbersKept = Field(
        default=NumbersKept.KEEP, description="what is not kept whole hides events' digits too"
    )
    journal: str | None = Field(
        default=None,
        min_length=1,
        description="folder for events on their way to the database, on a local disk; default: "
        "beside SQLite's file, with .journal after its name; else gateway.journal here",
    )

    @property
    def in_memory(self) -> bool:
        """Whether nothing outlives the node."""
        return self.url in ("sqlite://", "sqlite:///:memory:")


class NodeConfig(_Model):
    """One gateway process."""

    demo: bool = Field(default=False, description="nobody signs in; binds to loopback only")
    http: HttpConfig = HttpConfig()
    media: MediaConfig = MediaConfig()
    webrtc: WebRtcConfig = WebRtcConfig()
    sip: SipConfig = SipConfig()
    identity: IdentityConfig = IdentityConfig()
    turn: TurnConfig | None = Field(default=None, description="absent: no credentials are given")
    speech: SpeechConfig = SpeechConfig()
    web: WebConfig = WebConfig()
    dialplan: str = Field(description="path of the dialplan, relative to this file")
    apps: list[Annotated[str, Field(pattern=rf"^{_ATTRIBUTE}$")]] = Field(
        default=[], description="call programs: module:name of each App; modules beside this file"
    )
    recordings: RecordingsConfig | None = Field(default=None, description="absent: none are made")
    records: RecordsConfig = RecordsConfig()
    timeline: TimelineConfig = TimelineConfig()
    captures: CapturesConfig = CapturesConfig()
    tracing: TracingConfig | None = Field(default=None, description="absent: nothing is traced")
    watch_dialplan: bool = Field(default=True, description="reload it when the file changes")
    max_calls: int = Field(default=500, ge=1, le=1000)

    @property
    def kept_records(self) -> RecordsConfig:
        """The records section in force: the demo keeps none unless it says otherwise."""
        if self.demo and "records" not in self.model_fields_set:
            return RecordsConfig(url="sqlite://")
        return self.records

    @model_validator(mode="after")
    def _demo_stays_home(self) -> NodeConfig:
        if self.demo:
            for what, address in [("http.address", self.http.address)] + [
                ("sip.listen.address", listen.address) for listen in self.sip.listen
            ]:
                if not address.is_loopback:
                    raise ValueError(
                        f"demo mode binds to loopback only, but {what} is {address}: "
                        "use 127.0.0.1 or set demo: false"
                    )
        return self
