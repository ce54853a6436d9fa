"""Tests of gateway.client."""
