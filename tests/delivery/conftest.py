"""Fixtures shared by all tests of the runner."""

pytest_plugins = ["servers"]
