"""Ways in which something unproven might leave, each tried with dbt itself."""
