"""The same data on DuckDB and on Spark: the same files. Run by `make engines`."""
