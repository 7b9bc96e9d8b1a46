"""The project compiled for warehouses that are not at hand, read by a parser of each one's SQL: `make compile`."""
