"""What leaves the house as a list is written down: who is contacted, who was withheld, and which code each got."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import orjson
import pandas as pd

from features.home import Home
from features.journal import Journal
from features.journal.codes import Pool
from features.journal.decisions import CONTROL, Decision, record
from features.shop import Shop
from serving.policy.candidates import fixed_cost
from serving.publication import Publication
from serving.recording import decision_id


class JournalRecorder:
    """Writes the contacts of lists into the shop's journal; called again with the same list it adds nothing."""

    def __init__(self, home: Home, shop: Shop, night: Publication) -> None:
        self._home, self._shop, self._night = home, shop, night
        self._policy = night.policy

    def __call__(self, audience: str, day: int, sent: pd.DataFrame, withheld: pd.DataFrame, /) -> pd.DataFrame:
        """Record a list; give the rows to be sent with their ``decision_id`` and ``coupon_code``."""
        rows = sent.assign(decision_id=self._ids(sent, audience, day))
        held = withheld.assign(decision_id=self._ids(withheld, audience, day))
        with closing(Journal.open(self._home, self._shop.name)) as journal:
            rows = rows.assign(coupon_code=pd.Series(self._codes(rows, journal), rows.index, object))
            decisions = [*self._decisions(rows, audience, day), *self._decisions(held, audience, day, CONTROL)]
            record(journal, list({one.decision_id: one for one in decisions}.values()))
        return rows

    def _ids(self, rows: pd.DataFrame, audience: str, day: int) -> list[str]:
        date = self._shop.calendar.date(day).isoformat()
        return [decision_id(str(one), audience, date, self._policy.hash) for one in rows.customer_id]

    def _codes(self, rows: pd.DataFrame, journal: Journal) -> list[str | None]:
        pools = {name: Pool(journal, name, codes) for name, codes in self._night.codes().items()}
        return [
            pools[offer].claim(decided) if offer in pools else self._one_for_all(offer)
            for offer, decided in zip(rows.offer_id, rows.decision_id, strict=True)
        ]

    def _one_for_all(self, offer: Any) -> str | None:
        known = self._policy.offers.get(offer) if isinstance(offer, str) else None
        return known.code if known is not None and isinstance(known.code, str) else None

    def _decisions(self, rows: pd.DataFrame, audience: str, day: int, why: str | None = None) -> Iterator[Decision]:
        start = self._shop.calendar.start(day).timestamp()
        release = str(self._night.manifest["inputs"]["release"])
        for row in rows.astype(object).where(rows.notna(), None).to_dict("records"):
            at = int(row.get("send_from") or start)
            offer = self._policy.offers.get(row["offer_id"] or "")
            cost = fixed_cost(self._policy, row["offer_id"], row["channel"]) if row.get("channel") else 0.0
            yield Decision(
                row["decision_id"], row["customer_id"], audience, day, at,
                "treatment" if why is None else "control", "campaign", self._policy.hash, release,
                orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY, default=str),
                scenario=row["scenario"],
                offer_id=row["offer_id"],
                incentive=row.get("incentive"),
                channel=row.get("channel"),
                cost=cost,
                withheld=why is not None,
                why_withheld=why,
                coupon_code=row.get("coupon_code"),
                expires_at=None if offer is None or offer.expires is None else at + offer.expires,
            )  # fmt: skip
