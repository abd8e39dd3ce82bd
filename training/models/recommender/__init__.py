"""What a customer would like next: what they come back for, what others like them buy, what everybody buys."""

from training.models.recommender.lessons import Lesson
from training.models.recommender.model import Recommender

__all__ = ["Lesson", "Recommender"]
