"""Tests of the HTTP face and the web page."""
