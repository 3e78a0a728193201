"""Use cases: change, roll back, read, load, invalidate. One module each, over the ports of ``domain``."""
