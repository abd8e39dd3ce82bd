"""The service around a shop of one known customer, for tests that need a real server."""

import os
import time
from typing import Any

from serving.audiences.answer import Sheet
from serving.schemas import AudienceRequest, OutcomesRequest, RecommendRequest, Refused, ScoreRequest
from serving.service import build
from serving.settings import Settings

KNOWN = "C1"


class FakeOnline:
    """Answers at once, or as a test's marked customer asks: slowly, wrongly, or not at all."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.is_ready = True

    def score(self, request: ScoreRequest, /) -> dict[str, Any]:
        self.asked.append(request)
        ids = request.customer_ids or [who.value for who in request.identifiers or []]
        if ids[0] == "slow":
            time.sleep(0.5)
        if ids[0] == "refused":
            raise Refused(422, "unknown_campaign", "no such campaign; did you mean win_back?", "campaign_id")
        if ids[0].startswith("broken"):
            raise KeyError(ids[0])
        results = [{"customer_id": one, "status": "ok" if one == KNOWN else "unknown_customer"} for one in ids]
        return {"scored_at": "2026-11-21T09:00:00+09:00", "results": results, "share": float("nan")}

    def recommend(self, request: RecommendRequest, /) -> dict[str, Any]:
        self.asked.append(request)
        return {"recommendations": []}

    def audience(self, request: AudienceRequest, /) -> dict[str, Any] | Sheet:
        self.asked.append(request)
        if request.profile is not None:
            return Sheet("audience.csv", "text/csv; charset=windows-31j", "顧客番号\r\n".encode("cp932"))
        return {"included": [], "next_offset": None}

    def customer(self, customer_id: str, /) -> dict[str, Any] | None:
        self.asked.append(customer_id)
        return {"customer_id": customer_id} if customer_id in (KNOWN, "A/B") else None

    def forget(self, customer_id: str, /) -> dict[str, Any] | None:
        self.asked.append(customer_id)
        return {"customer": "a pseudonym"} if customer_id == KNOWN else None

    def outcomes(self, request: OutcomesRequest, /) -> dict[str, Any]:
        self.asked.append(request)
        return {"accepted": len(request.outcomes), "duplicates": 0, "unmatched": 0, "outcomes": []}

    def decision(self, decision_id: str, /) -> dict[str, Any] | None:
        return {"decision_id": decision_id} if decision_id == "d1" else None

    def release(self) -> dict[str, Any]:
        return {"id": "r1", "process": os.getpid()}

    def ready(self) -> tuple[bool, dict[str, Any]]:
        return self.is_ready, {"release": "r1"}


def open_fake(settings: Settings) -> FakeOnline:
    """Stands where ``Online.open`` stands."""
    return FakeOnline()


def __getattr__(name: str) -> Any:
    if name != "FakeService":
        raise AttributeError(name)
    return build(open_fake)
