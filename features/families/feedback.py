"""What a customer has said: survey answers, reviews, tickets and requests to return something."""

from features.feature import derived, stored

TABLE = "feedback"

FEATURES = (
    *(
        stored(
            f"{kind}_last", "score", f"Score of the last {word}", "feedback",
            lambda t, kind=kind: t.score.max(where=(t.kind == kind) & (t.nth_last == 1)), TABLE, when_none=None,
        )
        for kind, word in (("csat", "satisfaction answer"), ("nps", "recommendation answer"), ("review", "review"))
    ),
    stored("csat_sum_365d", "score", "Satisfaction scores of the last 365 days, summed", "feedback", lambda t: t.score.sum(where=(t.kind == "csat") & (t.age <= 365)), TABLE, when_none=None),
    stored("csat_answers_365d", "answers", "Satisfaction answers with a score in the last 365 days", "feedback", lambda t: t.score.count(where=(t.kind == "csat") & (t.age <= 365)), TABLE),
    stored("reviews_365d", "reviews", "Reviews in the last 365 days", "feedback", lambda t: t.count(where=(t.kind == "review") & (t.age <= 365)), TABLE),
    *(
        stored(
            f"tickets_{w}d", "tickets", f"Tickets opened in the last {w} days", "feedback",
            lambda t, w=w: t.count(where=(t.kind == "ticket") & (t.age <= w)), TABLE,
        )
        for w in (28, 91, 365)
    ),
    stored("tickets_open", "tickets", "Tickets of the last 90 days that are not closed", "feedback", lambda t: t.count(where=t.is_open & (t.kind == "ticket")), TABLE),
    stored("ticket_open_days", "days", "Days since the oldest open ticket was opened", "feedback", lambda t: t.age.max(where=t.is_open & (t.kind == "ticket")), TABLE),
    stored("last_ticket_day", "day", "Day of the last ticket", "feedback", lambda t: t.day.max(where=t.kind == "ticket"), TABLE),
    stored("last_ticket_closed_day", "day", "Day on which a ticket was last closed", "feedback", lambda t: t.closed.max(where=t.kind == "ticket"), TABLE),
    stored("return_requests_91d", "requests", "Requests to return something in the last 91 days", "feedback", lambda t: t.count(where=(t.kind == "return_request") & (t.age <= 91)), TABLE),
    stored("return_requests_open", "requests", "Requests of the last 90 days that are not closed", "feedback", lambda t: t.count(where=t.is_open & (t.kind == "return_request")), TABLE),
    stored("last_feedback_day", "day", "Day of the last word of any kind", "feedback", lambda t: t.day.max(), TABLE),
    derived("csat_mean_365d", "score", "Mean satisfaction score of the last 365 days", "csat_sum_365d csat_answers_365d", lambda day, total, n: total / (n + 1e-9), TABLE),
    derived("days_since_ticket", "days", "Days since the last ticket was opened", "last_ticket_day", lambda day, last: day - last, TABLE),
    derived("days_since_feedback", "days", "Days since the last word of any kind", "last_feedback_day", lambda day, last: day - last, TABLE),
)  # fmt: skip
