"""Delivery: writes tested dbt models to delimited files and hands each client its own, exactly once."""

__version__ = "0.1.0"
