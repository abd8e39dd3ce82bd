"""Floor 1: what was known about a customer at an instant. No clock, no Feast, no MLflow."""
