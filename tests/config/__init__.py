"""Tests of reading configuration files, and of those that ship."""
