"""Tonight's list under another policy, without publishing anything."""

from datetime import datetime

import pandas as pd

from features.arrivals import arrivals, late_tables
from features.errors import BadInput
from features.frame import feature_frame
from features.home import Home
from features.shop import open_shop
from features.volume import volume
from serving.nightly import Night, answer, codes_left
from serving.policy.reading import parse_policy
from serving.publication import current
from serving.tables import offer_allocations
from training.release import champion, open_release


def preview(home: Home, policy: bytes, now: datetime) -> pd.DataFrame:
    """Answer for the current night's customers under a policy; give its ``offer_allocations``.

    Raises
    ------
    BadInput
        If no night was published yet, or the policy cannot be read.
    """
    night = current(home)
    if night is None:
        raise BadInput(f"{home.publications}: no night was published yet; run `okaeri nightly`")
    shop, release = open_shop(home), open_release(champion(home))
    rules = parse_policy(policy, "policy")
    late = tuple(late_tables(shop.mapping, arrivals(home, shop.name), now))
    day = night.day
    codes = codes_left(home, shop, night.codes())
    asked = Night(home, shop, release, rules, policy, {}, codes, day, None, late, volume(shop, day), None, None, True)
    return offer_allocations(answer(asked, feature_frame(shop, shop.calendar.start(day))).answers)
