"""Databases: the ports of ``domain`` on SQLite and PostgreSQL, from one implementation."""
