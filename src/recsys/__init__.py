"""RecSys: a multi-tenant recommendation service in which every answer names the versions that produced it."""

__version__ = "0.1.0"
