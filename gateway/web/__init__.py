"""Outgoing HTTP: files from URLs and webhooks, kept away from private networks.

The only package that uses aiohttp's client. URLs reach logs and errors without query and userinfo.
"""

from gateway.web.client import HttpClient
from gateway.web.fetcher import Fetcher
from gateway.web.values import Fetched, Validators
from gateway.web.webhooks import NoticeSender, Sent, WebhookClient, new_secret

__all__ = [
    "Fetched",
    "Fetcher",
    "HttpClient",
    "NoticeSender",
    "Sent",
    "Validators",
    "WebhookClient",
    "new_secret",
]
