"""What may leave: tests and freshness, bounds, entitlements; and building it."""
