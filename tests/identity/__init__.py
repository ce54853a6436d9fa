"""Tests of identities: keys, tokens, caps."""
