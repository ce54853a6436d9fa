"""Tests of the database and of the records in it."""
