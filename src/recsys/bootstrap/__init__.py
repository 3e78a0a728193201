"""The only wiring: settings in, running objects out."""
