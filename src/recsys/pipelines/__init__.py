"""Offline: from raw events to artifacts. Ingest, canonicalise, validate, compute, publish; one module per stage."""
