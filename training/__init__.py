"""Floor 3: learning from history."""
