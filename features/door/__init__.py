"""The door: a shop's own files become canonical tables, and whatever is not taken in is counted and kept."""
