"""The experiments behind the tables: plan, runs, records."""
