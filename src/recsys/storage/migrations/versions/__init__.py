"""The schema's history. A step that has been released is never edited."""
