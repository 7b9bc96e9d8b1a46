"""Faults put into the product one at a time, to see whether the tests notice: `make mutants`."""
