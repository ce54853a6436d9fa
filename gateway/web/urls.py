"""Owns reading URLs that others wrote, and showing them without what they keep secret. Pure."""

from __future__ import annotations

from yarl import URL

from gateway.errors import BAD_REQUEST, GatewayError

MAX_URL = 2048


def parse_url(text: str) -> URL:
    """An absolute http or https URL without userinfo; its fragment is gone.

    Raises GatewayError(BAD_REQUEST) that says what is wrong and does not repeat the URL.
    """
    if len(text) > MAX_URL:
        raise GatewayError(BAD_REQUEST, f"a URL longer than {MAX_URL} characters")
    if any(ord(character) <= 0x20 or ord(character) == 0x7F for character in text):
        raise GatewayError(BAD_REQUEST, "a URL with spaces or control characters")
    try:
        url = URL(text).with_fragment(None)
        port = url.port
    except ValueError:  # UnicodeError, for hosts that IDNA does not know, is one
        raise GatewayError(BAD_REQUEST, "no URL that can be read") from None
    if url.scheme not in ("http", "https"):
        raise GatewayError(BAD_REQUEST, "a URL is http or https")
    if not url.raw_host or not port:
        raise GatewayError(BAD_REQUEST, "a URL without a host, or with port 0")
    if url.user is not None or url.password is not None:
        raise GatewayError(BAD_REQUEST, "a URL must not carry a user or a password")
    return url


def shown(url: str | URL) -> str:
    """A URL for logs and errors: without userinfo, query and fragment."""
    try:
        plain = str(URL(url).with_user(None).with_query(None).with_fragment(None))
    except ValueError:  # not absolute, or not readable at all
        plain = ""
    return plain if plain.isprintable() and plain else "a URL that cannot be read"
