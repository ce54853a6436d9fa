"""Tests of spoken forms."""
