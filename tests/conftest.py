"""Fixtures every room of the tests may use: the public data folder, an embedded PostgreSQL, fresh databases."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public suites and sample data; tests that need it are skipped, loudly, where it is absent."""
    folder = Path(os.environ.get("XINGLIN_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"public data not found at {folder}; set XINGLIN_SHARED to its folder")
    return folder
