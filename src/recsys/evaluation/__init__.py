"""How good answers are: metrics with their uncertainty, held-out cases, and the search for better weights."""
