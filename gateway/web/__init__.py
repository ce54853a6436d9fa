"""Outgoing HTTP: files from URLs and webhooks, kept away from private networks.

The only package that uses aiohttp's client. URLs reach logs and errors without query and userinfo.
"""
