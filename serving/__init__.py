"""Floor 4: answers."""
