"""A policy as it is written: read to its end, every mistake with its line."""
