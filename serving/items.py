"""Which products the night keeps for each customer."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.exclusions import out_of_stock, unwanted
from features.products import products
from features.shop import Shop
from training.models.recommender import Recommender

TOP_ITEMS = 50


def best_items(
    recommender: Recommender, shop: Shop, day: int, bought: pd.DataFrame, customer_ids: NDArray[np.object_]
) -> pd.DataFrame:
    """List the products of each customer, what was launched since the training among them, nothing unwanted.

    ``bought`` is :func:`features.interactions.interactions` at the start of ``day``; the columns are those of
    :meth:`training.models.recommender.Recommender.recommend`.
    """
    start = shop.calendar.start(day)
    facts = products(shop, start)
    extended = recommender.extended(facts, day)
    return extended.recommend(bought, day, customer_ids, TOP_ITEMS, unwanted(shop, start), out_of_stock(facts))
