"""Guards of what a customer has agreed to and how they can be reached."""

import numpy as np

from features.families.consent import CHANNELS as CONSENTED
from serving.policy.guards.case import Case, Verdict


def consent_channel(case: Case) -> Verdict:
    """Advertising needs a yes for its channel, a survey that nobody said no; service needs neither."""
    fails = case.none()
    for name in case.c.channels:
        said = case.facts.get(f"consent_marketing_{name}")
        if name in CONSENTED and said is not None:
            word, here = case.theirs(said), case.over(name)
            fails |= here & ((case.is_marketing & ~(word == 1)) | (~case.is_service & (word == 0)))
    return Verdict(fails)


def consent_personalise(case: Case) -> Verdict:
    """Who refused to be personalised to is not chosen for advertising."""
    said = case.facts.get("consent_personalise")
    return Verdict(case.none() if said is None else case.is_marketing & (case.theirs(said) == 0))


def channel_unreachable(case: Case) -> Verdict:
    """A channel reaches whom it is linked to and who has not left it; a service mail goes even to who left a list."""
    fails = case.none()
    friend = case.stands("is_line_friend")
    for name in case.c.channels:
        here = case.over(name)
        if name == "line" or case.policy.channels[name].needs == "line_user_id":
            fails |= here if friend is None else here & ~(friend == 1)  # a shop without a list of them knows no friend
        left = case.stands(f"left_{name}_at")
        if left is not None:
            fails |= here & ~np.isnan(left) & ~(case.is_service & (name == "email"))
    return Verdict(fails)
