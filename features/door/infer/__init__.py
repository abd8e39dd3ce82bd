"""`okaeri ingest --infer`: a sample of files nobody has described yet becomes a proposal, a commented ``shop.yaml``."""

from features.door.infer.propose import infer

__all__ = ["infer"]
