"""The web pages: the phone, and the reference of the API."""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from gateway.console.pages import HEADERS, STATIC, files
from gateway.console.reference import reference

__all__ = ["HEADERS", "STATIC", "pages"]


def pages(document: Callable[[], Mapping[str, Any]]) -> list[web.RouteDef]:
    """The routes of all pages. document: the API's OpenAPI document."""
    return [*files(), reference(document)]
