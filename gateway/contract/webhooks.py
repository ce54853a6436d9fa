"""Owns the models of webhooks and their deliveries."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from gateway.contract.base import Answer, PageQuery, Request, shown
from gateway.contract.events import EventType, known_types
from gateway.errors import GatewayError
from gateway.terms import DeliveryState
from gateway.web.urls import parse_url

_WHICH = "Only these types of events, or with a dot at the end all that begin so (`call.`)"


def _address(url: str) -> str:
    """An absolute URL. Raises ValueError: nobody can be asked there."""
    try:
        return str(parse_url(url))
    except GatewayError as error:
        raise ValueError(error.verdict.text) from None


Address = Annotated[str, Field(min_length=1, max_length=2048), AfterValidator(_address)]


class NewWebhook(Request):
    """A receiver of events."""

    model_config = shown({"url": "https://crm.example/events", "types": ["call."]})

    url: Address = Field(description="http or https, on the public internet.")
    types: list[EventType] = Field(default=[], max_length=50, description=_WHICH + "; empty: all.")

    _known = field_validator("types")(known_types)


class WebhookChange(Request):
    """What is to be changed; what is absent stays."""

    model_config = shown({"enabled": False})

    url: Address | None = None
    types: list[EventType] | None = Field(
        default=None, max_length=50, description=_WHICH + "; empty: all."
    )
    enabled: bool | None = Field(
        default=None, description="False: it gets nothing; what waits, waits."
    )

    @field_validator("types")
    @classmethod
    def _known(cls, types: list[str] | None) -> list[str] | None:
        return None if types is None else known_types(types)


class WebhookView(Answer):
    """A receiver of events."""

    id: str
    url: str
    types: list[str]
    enabled: bool
    reason: str | None = Field(description="Why it is not enabled.")
    created_at: datetime


class MadeWebhook(WebhookView):
    """A receiver that was made just now."""

    secret: str = Field(
        description="Checks signatures (Standard Webhooks). Shown now and never again."
    )


class WebhookList(Answer):
    """All webhooks of the project, the oldest first."""

    webhooks: list[WebhookView]


class DeliveryFilter(enum.StrEnum):
    """Which deliveries."""

    PENDING = "pending"
    FAILED = "failed"  # the last attempt failed; pending or dead
    DEAD = "dead"
    DELIVERED = "delivered"


class DeliveryQuery(PageQuery):
    """Which deliveries."""

    state: DeliveryFilter | None = Field(
        default=None,
        description="`pending`: to come; `failed`: the last attempt failed; `dead`: given up; "
        "`delivered`: within the last hour.",
    )


class DeliveryView(Answer):
    """An event on its way to a webhook."""

    id: str = Field(description="The `webhook-id` of every attempt.")
    call: str
    sequence: int = Field(description="Of the event.")
    type: str
    state: DeliveryState
    attempts: int
    created_at: datetime = Field(description="Or when it was last replayed.")
    next_at: datetime | None = Field(
        description="Of the next attempt, if its call's event before it is delivered."
    )
    done_at: datetime | None
    status: int | None = Field(description="HTTP, of the last attempt.")
    error: str | None = Field(description="Of the last attempt.")


class Deliveries(Answer):
    """Some deliveries, newest first."""

    deliveries: list[DeliveryView]
    cursor: str | None = Field(description="Asks for the next page; null: there is none.")


class PingResult(Answer):
    """What became of a ping."""

    delivered: bool
    status: int | None = Field(description="HTTP; null: there was no answer.")
    error: str | None
