"""Who refused to be learnt from is in no training set: the models are those of a shop that never met them."""

import hashlib
from pathlib import Path

import pytest

from features.door.ingest import ingest
from features.door.mapping_file import parse_mapping
from features.errors import Refused
from features.home import Home
from features.shop import open_shop
from training import fitting
from training.consent import withheld
from training.dataset import Past
from training.release import _save_models
from training.rungs import fit_models

from .conftest import HEADER, MAPPING, NOW, PREDICT, ZERO, Line, at, order_lines

DAYS = 200
PLANTED = [
    Line(f"x{day}", "refuser" if day % 2 else "second", day, 5000.0, product="orchid") for day in range(31, 190, 4)
]
PLANTED += [Line(f"y{day}", "refuser", day, 7000.0) for day in range(33, 190, 9)]
TABLES = """
  consents:
    source: consents*.csv
    columns: {customer_id: c, channel: channel, purpose: purpose, granted: granted, at: t}
  identities:
    source: identities*.csv
    columns: {alias_type: kind, alias: alias, customer_id: c, linked_at: t}
"""


def make(folder: Path, consents="", planted=True, links="", extra=""):
    """Make a small shop in which somebody may have been planted."""
    folder.mkdir(parents=True)
    orders = order_lines(60, DAYS) + ("".join(f"{line}\n" for line in PLANTED) if planted else "")
    (folder / "told.csv").write_text(orders)
    (folder / "consents.csv").write_text(f"c,channel,purpose,granted,t\nanna,email,train,true,{at(0)}\n{consents}")
    (folder / "identities.csv").write_text(f"kind,alias,c,t\nemail_hash,lone,anna,{at(0)}\n{links}")
    mapping = (extra + MAPPING.format(name="told", predict=PREDICT, clock="system") + TABLES).encode()
    home = Home.open(folder / "home")
    ingest(home, parse_mapping(mapping, "told"), mapping, sorted(folder.glob("*.csv")), NOW)
    return open_shop(home, "told")


def word(customer, granted, day, purpose="train", channel="email"):
    return f"{customer},{channel},{purpose},{granted},{at(day)}\n"


BOTH = "".join(f"email_hash,shared,{customer},{at(20)}\n" for customer in ("refuser", "second"))


def fingerprints(shop, folder):
    """Fit every model and give the sha256 of each file."""
    folder.mkdir()
    _save_models(fit_models(Past(shop, ZERO + DAYS), ZERO + DAYS), folder)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture
def every_model(monkeypatch):
    """Let sixty customers be enough for every model."""
    monkeypatch.setattr(fitting, "FEWEST_CUSTOMERS", 10)
    monkeypatch.setattr(fitting, "FEWEST_POSITIVES", 2)


def test_the_models_are_those_of_a_shop_that_never_met_who_refused(tmp_path, every_model):
    never = fingerprints(make(tmp_path / "a", planted=False), tmp_path / "never")
    refused = make(tmp_path / "b", word("refuser", "false", 100), links=BOTH)
    assert fingerprints(refused, tmp_path / "refused") == never
    assert len(never) > 5, "churn, next purchase, value, recommender and a rung"
    agreed = fingerprints(make(tmp_path / "c", word("refuser", "true", 100)), tmp_path / "agreed")
    assert {name for name in never if agreed[name] != never[name]} >= {"items.npz", "light.json", "churn.txt"}


def test_no_row_to_learn_or_judge_from_is_theirs(tmp_path):
    shop = make(tmp_path / "a", word("refuser", "false", 100), links=BOTH)
    past, until = Past(shop, ZERO + DAYS), ZERO + DAYS
    for rows in (
        past.rows([until - 56, ZERO + 15], until),
        past.purchases(until),
        past.bought_after(until - 60, 30, until),
    ):
        assert len(rows) and not set(rows.customer_id) & {"refuser", "second"}


@pytest.mark.parametrize(
    ("words", "is_withheld"),
    [
        pytest.param("", False, id="who never said anything"),
        pytest.param(word("refuser", "false", 100, purpose="personalise"), False, id="another purpose"),
        pytest.param(word("refuser", "false", 100) + word("refuser", "true", 120), False, id="the newest word counts"),
        pytest.param(word("refuser", "true", 100) + word("refuser", "false", 120), True, id="withdrawn"),
        pytest.param(
            word("refuser", "true", 100, channel="line") + word("refuser", "false", 100), True, id="both at once"
        ),
        pytest.param(word("refuser", "false", DAYS), False, id="not said yet"),
    ],
)
def test_worked_by_hand(tmp_path, words, is_withheld):
    assert (withheld(make(tmp_path / "a", words), ZERO + DAYS) == {"refuser"}) is is_withheld


def test_where_consent_is_asked_for_silence_is_a_refusal(tmp_path):
    shop = make(tmp_path / "a", word("refuser", "true", 100), extra="train_consent: opt_in\n", links=BOTH)
    past = Past(shop, ZERO + DAYS)
    assert set(past.purchases(ZERO + DAYS).customer_id) == {"refuser"}, "who goes by the id of both accounts"
    only_anna = make(tmp_path / "b", extra="train_consent: opt_in\n")
    assert "refuser" in withheld(only_anna, ZERO + DAYS)
    with pytest.raises(Refused, match="opt_in"):
        withheld(only_anna, ZERO)


def test_a_shop_without_consents_restricts_nothing(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "told.csv").write_text(HEADER + "".join(f"{line}\n" for line in PLANTED))
    mapping = ("train_consent: opt_in\n" + MAPPING.format(name="told", predict=PREDICT, clock="system")).encode()
    home = Home.open(folder / "home")
    ingest(home, parse_mapping(mapping, "told"), mapping, [folder / "told.csv"], NOW)
    assert withheld(open_shop(home, "told"), ZERO + DAYS) == frozenset()
