"""The model card: one page that needs nothing else, in the shop's language, and says what the release says."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from training.card import BOTTOM, LEFT, RIGHT, TOP, calibration_curve, card
from training.card_words import WORDS, words
from training.evaluation import Report
from training.gate import Champion, Finding, decide, load_rules
from training.models.effects import Arm, Effects, Leaning
from training.release import Contents, open_release

from .conftest import MLFLOW_WARNS

pytestmark = MLFLOW_WARNS

VOID = {"meta"}


class Page(HTMLParser):
    """Reads a page: every tag closed, and all it would load or link to."""

    def __init__(self, html):
        super().__init__()
        self.open, self.asks, self.words = [], [], ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.asks += [(tag, name) for name, _ in attributes if name in ("src", "href", "action", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.asks += [(tag, name) for name, _ in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.words += text


def page_of(trained) -> Page:
    return Page((trained.path / "card.html").read_text("utf-8"))


def test_the_card_of_a_release_needs_nothing_else(large):
    html = (large.path / "card.html").read_text("utf-8")
    assert page_of(large).asks == []
    assert not re.search(r"<script|@import|url\(|https?:", html)


def test_it_says_what_was_learnt_from_and_every_figure_with_its_baselines(large):
    page = page_of(large)
    release = open_release(large.path)
    for said in ("toy", "2024-12-31", f"{release.facts['n']:,}", "28", large.shop.version[:16]):
        assert said in page.words
    for row in large.told["report"]:
        assert f"{row['value']:.3f}" in page.words and str(row["cutoff"]) in page.words


def test_a_japanese_shop_reads_it_in_japanese(large):
    """The toy shop says no language, which is Japanese: 顧客 and 離脱, nouns at the end, and the gate's word."""
    page = page_of(large)
    assert large.shop.mapping.language == "ja"
    for word in ("モデルカード", "用途", "学習した顧客数", "離脱", "昇格審査", "昇格", "直近購入日の規則", "限界"):
        assert word in page.words
    assert "Intended use" not in page.words


def test_every_word_is_there_in_both_languages():
    assert all(ja and en and ja != en for ja, en in WORDS.values())
    assert words("ja").keys() == words("en").keys()
    assert not any("お客様" in ja or "チャーン" in ja for ja, _ in WORDS.values())


def test_what_contacts_do_is_told_with_its_interval_and_what_it_stands_on(large, english):
    arm = Arm("cpn_500", "line", "randomised", 0.034, 0.002, 0.034, 2400, 2500)
    effects = Effects((), (arm,), 14, None, (0.0, 1.0), Leaning("alike"))
    verdict = decide(load_rules(), None, "full", "", [])
    words_of = {}
    for models in (replace(open_release(large.path).models, effects=effects), open_release(large.path).models):
        words_of[models.effects is not None] = Page(english(verdict, models=models)).words
    assert all(said in words_of[True] for said in ("cpn_500", "+3.4 [+3.0, +3.8]", "2,400 / 2,500", "within 14 days"))
    assert "one effect is used for everyone" in words_of[True]
    assert "cpn_500" not in words_of[False] and "no contacts are known" in words_of[False]


@pytest.fixture
def english(large, monkeypatch):
    """Write the card of a verdict, in English."""
    release = open_release(large.path)
    shop = type("English", (), {"mapping": type("M", (), {"language": "en"}), "calendar": large.shop.calendar})

    def write(verdict, skipped=(), models=None, **facts):
        contents = Contents(models or release.models, release.facts | facts, large.told["report"], {}, {})
        return card(shop, contents, verdict, Report((), skipped))

    return write


def a_check(passed):
    says = "calibration error .09"
    return Finding("calibration", "churn", "ece", "all", "", 0.09, None, None, 500, passed, says)


def test_it_says_that_a_challenger_was_not_promoted_and_what_failed(english):
    verdict = decide(load_rules(), Champion("c0ffee", "full", 3), "full", "", [a_check(False), a_check(None)])
    page = Page(english(verdict, skipped=("value: too short <b>",)))
    assert "not promoted: the champion stays" in page.words and "a check failed" in page.words
    assert "fail: 1" in page.words and "reported" in page.words
    assert "value: too short <b>" in page.words  # as text


def test_it_names_parts_that_are_older_and_settings_that_were_changed(english, large):
    release = open_release(large.path)
    older = release.facts["learnt_until"] | {"value": large.until - 30}
    parameters = release.facts["parameters"] | {"churn": release.facts["parameters"]["churn"] | {"trees": 80}}
    verdict = decide(load_rules(), None, "full", "", [])
    page = Page(english(verdict, learnt_until=older, parameters=parameters))
    assert "Value of 90 days: 2024-12-01" in page.words and "churn.trees: 80" in page.words
    assert "churn.num_leaves" not in page.words


def test_the_same_training_writes_the_same_bytes(english):
    verdict = decide(load_rules(), None, "full", "", [a_check(True)])
    assert english(verdict) == english(verdict)


def test_a_perfect_model_lies_on_the_diagonal():
    """Ten groups of ten, in each of which as many leave as was said."""
    said = np.repeat(np.arange(0.05, 1.0, 0.1), 20)
    truth = np.concatenate([np.arange(20) < round(p * 20) for p in np.arange(0.05, 1.0, 0.1)]).astype(float)
    curve = calibration_curve(truth, said)
    assert len(curve["dots"]) == 10
    for dot in curve["dots"]:
        across = (float(dot["x"]) - LEFT) / (RIGHT - LEFT)
        up = (BOTTOM - float(dot["y"])) / (BOTTOM - TOP)
        assert across == pytest.approx(up, abs=0.001)
    assert curve["dots"][0]["says"] == "5.0% / 5.0%"


def test_of_nobody_nothing_is_drawn(small):
    assert calibration_curve(np.empty(0), np.empty(0)) is None
    assert "<svg" not in (small[-1].path / "card.html").read_text("utf-8")
    page = page_of(small[-1])
    assert "購入回数と間隔だけのモデル" in page.words and "full models need 500" in page.words
