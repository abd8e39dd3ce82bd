"""What a customer has agreed to: facts for guards and for training, never read by a model."""

from features.feature import stored

CHANNELS = ("email", "line", "push", "sms", "postal", "phone")

FEATURES = (
    *(
        stored(
            f"consent_marketing_{channel}", "yes/no", f"Marketing over {channel} granted (1) or refused (0)", "consent_states",
            lambda t, channel=channel: 1 - t.newest.max(where=(t.channel == channel) & (t.purpose == "marketing")) % 2,
            "consents", when_none=None, is_model_input=False,
        )
        for channel in CHANNELS
    ),
    *(
        stored(
            f"consent_{purpose}", "yes/no", f"Use of data to {purpose} granted (1) or refused (0)", "consent_states",
            lambda t, purpose=purpose: 1 - t.newest.max(where=t.purpose == purpose) % 2,
            "consents", when_none=None, is_model_input=False,
        )
        for purpose in ("personalise", "train")
    ),
)  # fmt: skip
