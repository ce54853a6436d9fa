"""Fixtures of the native tests."""

from __future__ import annotations

import pytest

from tests.native.library import Native, load


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> Native:
    """The pure C, compiled once a session."""
    return load(tmp_path_factory.mktemp("native"))
