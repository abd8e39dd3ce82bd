"""At most one action for each customer under budgets and capacities: what is owed, prices, repair."""

from serving.policy.allocation.allocate import Allocation, Limit, allocate, decide

__all__ = ["Allocation", "Limit", "allocate", "decide"]
