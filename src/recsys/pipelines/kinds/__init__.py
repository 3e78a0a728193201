"""One module per kind of artifact: an expression over coded events, and what numpy makes of its whole numbers."""
