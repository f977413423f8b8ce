"""What the house is made of: the packages that bring tables."""

from __future__ import annotations

from typing import Final

MIGRATIONS: Final = ("xinglin.kernel", "xinglin.core.store", "xinglin.access")
"""Packages whose `migrations` folders are applied, in this order."""
