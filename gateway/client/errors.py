"""Owns what a program is told when the gateway did not do what it was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NO_ANSWER = "no_answer_from_gateway"
"""Code of an error without a response: the gateway cannot be reached, or broke off."""
NOT_ITS_ANSWER = "not_a_gateway"
"""Code of a response that is none of this API: a proxy's page, another server, another version."""


class GatewayApiError(Exception):
    """The gateway refused, failed, or was not reached.

    code: what programs go by. status: the HTTP status; None: there was no response. detail: for
    people. request_id: what the gateway's log calls the request. problem: the whole document
    (RFC 9457); empty where there was none. wait: seconds after which the same request may succeed;
    None: it will not, as it is.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        problem: Mapping[str, Any] | None = None,
        wait: float | None = None,
    ) -> None:
        self.code, self.detail, self.status = code, detail, status
        self.request_id, self.wait = request_id, wait
        self.problem = dict(problem or {})
        super().__init__(f"{status} {code}: {detail}" if status else f"{code}: {detail}")


def error_of(status: int, request_id: str | None, told: object, phrase: str) -> GatewayApiError:
    """The error that a response tells. told: its problem document, if it is one; phrase: what else
    is known of it."""
    if isinstance(told, Mapping):
        code, detail = told.get("code"), told.get("detail")
        if isinstance(code, str) and isinstance(detail, str):
            return GatewayApiError(code, detail, status=status, request_id=request_id, problem=told)
    return GatewayApiError(NOT_ITS_ANSWER, phrase, status=status, request_id=request_id)
