"""What is fitted: each model saves and loads text or `.npz`, never a pickle."""
