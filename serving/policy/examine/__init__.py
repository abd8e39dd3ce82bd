"""A policy examined before it is used: what can never happen, and what another one would change."""
