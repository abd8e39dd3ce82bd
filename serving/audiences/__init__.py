"""Saved audiences: who is meant, who approved it, who is in it tonight, and the list that leaves the house."""
