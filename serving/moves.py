"""Whether a customer's band moved because of the customer, or because another release looks at them."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import BusinessCalendar
from serving.answers import Rows, answers
from serving.policy.moment import Moment
from serving.policy.rules import Policy
from training.release import Release

CUSTOMER, RELEASE, UNKNOWN = "customer", "release", "unknown"


def due_to(
    changes: pd.DataFrame,
    rows: Rows,
    before: Release | None,
    is_other: bool,
    policy: Policy,
    day: int,
    calendar: BusinessCalendar,
) -> NDArray[np.object_]:
    """Say for each customer of ``score_changes`` what moved the band: ``customer``, ``release`` or ``unknown``.

    Parameters
    ----------
    rows
        Everyone who is answered for tonight.
    before
        The release of the night before, if there is another now and its folder is still there.
    is_other
        Whether tonight's is another release than the night before's.

    A move is due to the release where the release before, asked about tonight's customer, keeps the band of the
    night before.
    """
    if not is_other or not len(changes):
        return np.full(len(changes), CUSTOMER, dtype=object)
    if before is None or not set(before.stored_features) <= set(rows.columns):
        return np.full(len(changes), UNKNOWN, dtype=object)
    mine = _some(rows, pd.Index(rows.customer_id).get_indexer(pd.Index(changes.customer_id)))
    moment = Moment.night(calendar, day)
    kept = pd.Series(answers(mine, before, policy, moment).band).fillna("")
    is_kept = kept.to_numpy() == changes.band_before.fillna("").to_numpy()
    return np.where(is_kept, RELEASE, CUSTOMER).astype(object)


def _some(rows: Rows, at: NDArray[np.intp]) -> Rows:
    columns = {name: values[at] for name, values in rows.columns.items()}
    return Rows(rows.customer_id[at], rows.found[at], rows.feature_day[at], columns, rows.around.some(at))
