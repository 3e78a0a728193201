"""Vocabulary, documents, errors and ports: what every other room speaks of. No I/O, no clock, no randomness."""
