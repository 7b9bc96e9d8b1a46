"""Fixtures of the runner's tests, for these alone, too."""

pytest_plugins = ["once", "postgres", "projects", "servers"]
