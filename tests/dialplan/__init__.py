"""Tests of the dialplan."""
