"""Owns what a configuration says about traces (OpenTelemetry)."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TracingHeader(_Model):
    """A header of each export, such as Authorization."""

    name: str = Field(pattern=r"^[A-Za-z0-9-]+$")
    secret: SecretStr = Field(description="its value")


class TracingConfig(_Model):
    """Where spans of calls go. Without this section no tracing library is even loaded."""

    otlp: Annotated[str, Field(pattern=r"^https?://[^\s/]+(/\S*)?$")] = Field(
        description="a collector that speaks OTLP over HTTP: http://collector:4318; /v1/traces is "
        "added where no path is given"
    )
    ratio: float = Field(default=1.0, ge=0, le=1, description="share of calls that are traced")
    headers: list[TracingHeader] = Field(default=[], description="sent with each export")

    @property
    def endpoint(self) -> str:
        """The full URL of the collector."""
        scheme, _, rest = self.otlp.partition("://")
        host, _, path = rest.partition("/")
        return f"{scheme}://{host}/{path or 'v1/traces'}"
