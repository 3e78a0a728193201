"""Snapshots: what a replica keeps in memory for a tenant, how it stays current, and answering from it."""
