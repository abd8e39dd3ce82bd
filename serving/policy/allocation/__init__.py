"""At most one action for each customer under budgets and capacities: what is owed, prices, repair; and live."""

from serving.policy.allocation.allocate import Allocation, Limit, allocate
from serving.policy.allocation.live import NOTHING, best_at_prices, priced_at

__all__ = ["NOTHING", "Allocation", "Limit", "allocate", "best_at_prices", "priced_at"]
