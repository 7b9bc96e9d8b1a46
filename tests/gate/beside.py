"""Ways that need two commands at once, on PostgreSQL."""

from __future__ import annotations

BESIDE = []
