"""Lists of products in worlds whose right answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from implicit.cpu.als import AlternatingLeastSquares

from training.models.recommender import Recommender, model, taste
from training.models.recommender.candidates import SOURCES
from training.models.recommender.taste import Taste

from .recommender_worlds import (
    AS_OF,
    REGULARS,
    bought,
    checkerboard,
    left_out,
    lessons,
    next_week,
    products,
    regulars,
    some_shop,
)

BOARD = checkerboard()
SHOP = some_shop()
CUSTOMERS = np.unique(SHOP["customer_id"].astype(object))


@pytest.fixture(scope="module")
def board():
    return Recommender.fit(BOARD, AS_OF, factors=8)


def lists(frame):
    return {c: rows["product_id"].tolist() for c, rows in frame.groupby("customer_id", sort=False)}


@pytest.fixture(scope="module")
def shop():
    return Recommender.fit(SHOP, AS_OF, factors=16)


def test_on_a_checkerboard_the_first_new_product_is_the_one_of_ones_own_colour(board):
    answer = board.recommend(BOARD, AS_OF, [f"c{c:02}" for c in range(40)], n=20)
    first_new = answer[~answer["repurchase"]].groupby("customer_id")["product_id"].first()
    assert first_new.to_dict() == {f"c{c:02}": f"p{left_out(c):02}" for c in range(40)}


def test_a_new_customer_of_one_purchase_is_shown_their_own_colour(board):
    answer = board.recommend(bought(("new", "p04", 1, 3)), AS_OF, ["new"], n=9)
    new = answer.loc[~answer["repurchase"], "product_id"]
    assert {p for p in new if int(p[1:]) % 2 == 0} == set(new)
    assert answer.iloc[0][["product_id", "source"]].tolist() == ["p04", "repeat"]


def test_own_products_stand_in_the_order_of_how_often_and_how_lately_they_were_bought(board):
    history = bought(("a", "p00", 1, 200), ("a", "p02", 9, 5), ("a", "p04", 9, 100), ("a", "p06", 2, 5))
    answer = board.recommend(history, AS_OF, ["a"], n=20)
    assert answer.loc[answer["repurchase"], "product_id"].tolist() == ["p02", "p04", "p06", "p00"]


def test_of_equal_own_products_the_more_popular_comes_first():
    world = bought(("a", "p1", 1, 9), ("a", "p2", 1, 9), ("b", "p2", 1, 9), ("b", "p3", 1, 9))
    fitted = Recommender.fit(world, AS_OF, factors=2)
    assert fitted.recommend(world, AS_OF, ["a"], n=2)["product_id"].tolist() == ["p2", "p1"]


def test_the_taste_is_the_one_that_implicit_works_out(shop):
    als = AlternatingLeastSquares(factors=16, regularization=taste.REGULARIZATION, num_threads=1)
    als.item_factors = np.random.default_rng(0).normal(size=(len(shop.product_ids), 16)).astype(np.float32)
    history = shop.history(SHOP, AS_OF, CUSTOMERS)
    theirs = als.recalculate_user(np.arange(len(CUSTOMERS)), taste.confidence(history, len(shop.product_ids)))
    assert np.abs(theirs).max() > 0.01
    np.testing.assert_allclose(Taste(als.item_factors).of(history), theirs, atol=1e-5)


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(SHOP, id="no purchase"),
        pytest.param(bought(("stranger", "not in the catalogue", 3, 1)), id="unknown products alone"),
        pytest.param(SHOP.iloc[:0], id="no history of anybody"),
    ],
)
def test_a_customer_of_whom_nothing_is_known_is_shown_what_everybody_buys(shop, history):
    answer = shop.recommend(history, AS_OF, ["stranger"], n=10)
    of_late = SHOP.groupby("product_id").decayed_14d.sum().sort_values(ascending=False, kind="stable")
    assert answer["product_id"].tolist() == of_late.index[:10].tolist()
    assert set(answer["source"]) == {"popular"}
    assert not answer["repurchase"].any()


def test_a_missing_id_is_not_answered_with_another_customers_list(shop):
    answer = shop.recommend(SHOP, AS_OF, [CUSTOMERS[0], None], n=5)
    assert set(answer.loc[answer["customer_id"].isna(), "source"]) == {"popular"}


def test_a_batch_gives_each_customer_what_they_get_alone(shop):
    asked = ["stranger", *CUSTOMERS]
    together = shop.recommend(SHOP, AS_OF, asked, n=15)
    alone = [shop.recommend(SHOP[SHOP["customer_id"] == c], AS_OF, [c], n=15) for c in asked]
    pd.testing.assert_frame_equal(together, pd.concat(alone, ignore_index=True))


def test_blocks_change_no_answer(shop, monkeypatch):
    whole = shop.recommend(SHOP, AS_OF, CUSTOMERS, n=15)
    monkeypatch.setattr(model, "BLOCK", 7)
    pd.testing.assert_frame_equal(shop.recommend(SHOP, AS_OF, CUSTOMERS, n=15), whole)


def test_answers_keep_the_order_of_the_question_and_repeat_for_repeated_ids(shop):
    once = shop.recommend(SHOP, AS_OF, CUSTOMERS[:2], n=4)
    asked = shop.recommend(SHOP, AS_OF, [CUSTOMERS[1], CUSTOMERS[0], CUSTOMERS[1]], n=4)
    parts = [once.iloc[4:], once.iloc[:4], once.iloc[4:]]
    pd.testing.assert_frame_equal(asked, pd.concat(parts, ignore_index=True))


@settings(max_examples=10, deadline=None)
@given(shuffle=st.randoms(use_true_random=False))
def test_row_order_changes_no_byte(tmp_path_factory, shuffle):
    order = list(range(len(SHOP)))
    shuffle.shuffle(order)
    folders = [tmp_path_factory.mktemp("release") for _ in range(2)]
    answers = []
    for folder, rows in zip(folders, (SHOP, SHOP.iloc[order]), strict=True):
        fitted = Recommender.fit(rows, AS_OF, factors=16)
        fitted.save(folder)
        answers.append(fitted.recommend(rows, AS_OF, CUSTOMERS, n=20))
    pd.testing.assert_frame_equal(*answers, check_exact=True)
    saved = [(folder / model.ITEMS).read_bytes() for folder in folders]
    assert saved[0] == saved[1]


def test_a_saved_model_gives_the_same_answers(shop, tmp_path):
    shop.save(tmp_path)
    again = Recommender.load(tmp_path)
    pd.testing.assert_frame_equal(
        again.recommend(SHOP, AS_OF, CUSTOMERS), shop.recommend(SHOP, AS_OF, CUSTOMERS), check_exact=True
    )


def test_nothing_saved_names_or_counts_a_customer(shop, tmp_path):
    shop.save(tmp_path)
    with np.load(tmp_path / model.ITEMS, allow_pickle=False) as saved:
        assert not set(saved["product_ids"]) & set(CUSTOMERS)
        assert len(CUSTOMERS) not in {size for name in saved.files for size in saved[name].shape}
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert "客".encode() not in content
        assert "客".encode("utf-32-le") not in content


@settings(max_examples=40, deadline=None)
@given(data=st.data(), n=st.integers(0, 400))
def test_every_list_keeps_its_promises(shop, data, n):
    asked = data.draw(st.lists(st.sampled_from([*CUSTOMERS, "stranger"]), unique=True))
    pairs = data.draw(st.lists(st.tuples(st.sampled_from([*asked, "x"]), st.sampled_from([*shop.product_ids, "?"]))))
    hidden = pd.DataFrame(pairs, columns=["customer_id", "product_id"], dtype=object)
    answer = shop.recommend(SHOP, AS_OF, asked, n=n, exclude=hidden)
    own = set(zip(SHOP["customer_id"], SHOP["product_id"], strict=True))
    keys = list(zip(answer["customer_id"], answer["product_id"], strict=True))
    assert len(set(keys)) == len(keys)
    assert not set(keys) & set(pairs)
    assert set(answer["product_id"]) <= set(shop.product_ids.tolist())
    assert [key in own for key in keys] == answer["repurchase"].tolist()
    assert (answer["repurchase"] == (answer["source"] == "repeat")).all()
    assert answer["score"].between(0, 1, inclusive="neither").all()
    for customer, rows in answer.groupby("customer_id"):
        n_hidden = len({p for c, p in pairs if c == customer and p != "?"})
        assert rows["rank"].tolist() == list(range(1, min(n, len(shop.product_ids) - n_hidden) + 1))
        assert rows["score"].is_monotonic_decreasing


def test_a_product_wholly_returned_is_neither_learnt_nor_called_a_repurchase():
    returned = bought(("a", "p1", 1, 9), ("a", "p2", 2, 9), ("b", "p1", 1, 9), ("b", "p2", 1, 9), ("b", "p3", 1, 9))
    returned.loc[[1, 4], ["n_order_days", "quantity", "decayed"]] = 0
    fitted = Recommender.fit(returned, AS_OF, factors=2)
    assert fitted.product_ids.tolist() == ["p1", "p2"]
    assert (taste.confidence(fitted.history(returned, AS_OF, ["a", "b"]), 2).data > 0).all()
    answer = fitted.recommend(returned, AS_OF, ["a"], n=5)
    assert answer[["product_id", "repurchase"]].to_numpy().tolist() == [["p1", True], ["p2", False]]


def test_the_future_and_an_empty_shop_are_refused():
    with pytest.raises(ValueError, match="dated after"):
        Recommender.fit(bought(("a", "p", 1, -1)), AS_OF)
    with pytest.raises(ValueError, match="no kept purchase"):
        Recommender.fit(SHOP.iloc[:0], AS_OF)


# --- the rankers: learnt from what followed earlier days


@pytest.fixture(scope="module")
def learnt():
    return Recommender.fit(regulars(AS_OF), AS_OF, factors=8, lessons=lessons(AS_OF - 7, AS_OF - 16))


def test_a_shop_with_lessons_is_ranked_by_what_it_learnt_and_others_by_the_formula(learnt, board):
    assert (learnt.method, board.method) == ("ranker", "formula")
    assert learnt.facts["customers"] == REGULARS
    few = Recommender.fit(regulars(AS_OF), AS_OF, factors=8, lessons=lessons(AS_OF - 7)[:0])
    assert few.method == "formula"


def test_what_runs_out_comes_first_of_equally_frequent_products(learnt):
    """Every product was bought five times, thirty days apart: only the day of the month tells them apart."""
    known, truth = regulars(AS_OF), next_week(AS_OF)
    own = known[["customer_id", "product_id"]].merge(truth)
    answer = learnt.recommend(known, AS_OF, sorted(own.customer_id.unique()), n=1)
    hits = answer.merge(own, on=["customer_id", "product_id"])
    assert len(hits) > 0.97 * len(answer)
    assert (answer.source == "repeat").all()
    assert (answer.reason == "due").mean() > 0.97


def test_a_chance_is_what_it_says(learnt):
    known, truth = regulars(AS_OF), next_week(AS_OF)
    answer = learnt.recommend(known, AS_OF, sorted(known.customer_id.unique()), n=20)
    came = answer.merge(truth.assign(came=1.0), how="left", on=["customer_id", "product_id"]).came.fillna(0)
    assert answer.score.sum() == pytest.approx(came.sum(), rel=0.15)


def test_a_new_customer_is_shown_what_others_with_the_same_products_went_on_to(learnt):
    """Who buys 3, 8, 13 and 18 goes on to 4, 9, 14 or 19; whoever met one of the four last buys 2, 7, 12 and 17."""
    known = bought(*(("new", f"p{p:02}", 3, 25, 85) for p in (3, 8, 13, 18)))
    answer = learnt.recommend(known, AS_OF, ["new"], n=12)
    beside = {f"p{p + step:02}" for p in (3, 8, 13, 18) for step in (-1, 1)}
    assert set(answer[~answer.repurchase].product_id) == beside


def test_a_list_of_fifty_keeps_room_for_what_was_not_bought_before():
    world = bought(*((f"c{c}", f"p{p:02}", 3, 5, 50) for c in range(8) for p in range(60) if c == 0 or p > 30))
    answer = Recommender.fit(world, AS_OF, factors=4).recommend(world, AS_OF, ["c1"], n=50)
    assert len(answer) == 50
    assert (~answer.repurchase).sum() >= 15


def test_learning_twice_gives_the_same_rankers(learnt, tmp_path):
    again = Recommender.fit(
        regulars(AS_OF).sample(frac=1, random_state=1), AS_OF, factors=8, lessons=lessons(AS_OF - 7, AS_OF - 16)
    )
    for name, fitted in (("one", learnt), ("two", again)):
        (tmp_path / name).mkdir()
        fitted.save(tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["items.npz", "recommender.json", "recommender_new.txt", "recommender_repeat.txt"]
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)
    known = regulars(AS_OF)
    asked = sorted(known.customer_id.unique())[:30]
    loaded = Recommender.load(tmp_path / "one").recommend(known, AS_OF, asked)
    pd.testing.assert_frame_equal(loaded, learnt.recommend(known, AS_OF, asked), check_exact=True)
    single = pd.concat([learnt.recommend(known, AS_OF, [one]) for one in asked], ignore_index=True)
    pd.testing.assert_frame_equal(loaded, single, check_exact=True)


# --- what products are: kinds, families, launches, stock

KINDS = ("Food > Tea", "Home > Lamp")


def test_a_newly_launched_product_is_shown_to_who_buys_its_kind_and_says_so():
    world = checkerboard()
    told = [(f"p{p:02}", KINDS[p % 2], None, None, None) for p in range(20)]
    told += [("fresh tea", KINDS[0], None, None, AS_OF - 3), ("tomorrow's tea", KINDS[0], None, None, AS_OF + 1)]
    fitted = Recommender.fit(world, AS_OF, products(*told), factors=4)
    answer = fitted.recommend(world, AS_OF, ["c00", "c01"], n=50).set_index(["customer_id", "product_id"])
    assert answer.loc[("c00", "fresh tea"), "source"] == "new"
    assert ("c01", "fresh tea") not in answer[answer.source == "new"].index
    assert "tomorrow's tea" not in fitted.product_ids


def test_what_was_launched_since_the_training_is_taken_in_at_night():
    told = [(f"p{p:02}", KINDS[p % 2], f"f{p}", None, None) for p in range(20)]
    fitted = Recommender.fit(checkerboard(), AS_OF, products(*told), factors=4)
    later = fitted.extended(products(*told, ("p02 refill", KINDS[0], "f2", None, AS_OF + 4)), AS_OF + 5)
    answer = later.recommend(checkerboard(), AS_OF + 5, ["c00"], n=50)
    assert answer.set_index("product_id").source["p02 refill"] == "new"
    assert later.extended(products(*told), AS_OF + 5) is later
    assert later.beside(["p02 refill"], 3).product_id.str[1:3].astype(int).mod(2).eq(0).all()


def test_a_durable_bought_lately_is_not_shown_again_and_a_consumable_is():
    rows = [(f"c{c}", "lamp", 1, 20) for c in range(60)] + [(f"c{c}", "tea", 4, 20, 110) for c in range(60)]
    told = products(("lamp", KINDS[1], None, None, None), ("tea", KINDS[0], None, None, None))
    fitted = Recommender.fit(bought(*rows), AS_OF, told, factors=2)
    answer = fitted.recommend(bought(*rows), AS_OF, ["c1"], n=5)
    assert answer.product_id.tolist() == ["tea"]
    rows[1] = ("c1", "lamp", 2, 20, 90)  # who bought a second one may want a third
    assert "lamp" in set(fitted.recommend(bought(*rows), AS_OF, ["c1"], n=5).product_id)


def test_the_label_says_how_long_a_product_lasts_until_customers_do():
    world = bought(*((f"c{c}", p, 1, 28) for c in range(4) for p in ("soap", "salt")), ("c9", "soap", 5, 30, 150))
    told = products(("soap", "Care > Soap", None, 30, None), ("salt", "Care > Salt", None, 300, None))
    fitted = Recommender.fit(world, AS_OF, told, factors=2)
    reasons = fitted.recommend(world, AS_OF, ["c0"], n=2).set_index("product_id").reason
    assert reasons.to_dict() == {"soap": "due", "salt": "repeat"}


def test_what_nobody_may_see_is_in_no_list(shop):
    hidden = set(shop.product_ids[:5])
    answer = shop.recommend(SHOP, AS_OF, [*CUSTOMERS, "stranger"], n=30, hidden=[*hidden, "?"])
    assert not hidden & set(answer.product_id)
    assert not hidden & set(shop.popular(30, hidden).product_id)
    assert not hidden & set(shop.beside([shop.product_ids[7]], 30, hidden).product_id)


def test_beside_products_stand_others_of_the_same_colour(board):
    answer = board.beside(["p02", "p04"], 8)
    assert set(answer.product_id.str[1:].astype(int) % 2) == {0}
    assert not {"p02", "p04"} & set(answer.product_id)
    assert board.beside(["?"], 8).empty


def test_every_way_of_looking_brings_something_up():
    told = [(f"品{p:03}", f"Kind {p // 20} > {p // 5}", None, None, None) for p in range(300)]
    told.append(("new one", "Kind 0 > 0", None, None, AS_OF - 1))
    fitted = Recommender.fit(SHOP, AS_OF, products(*told), factors=8)
    answer = fitted.recommend(SHOP, AS_OF, CUSTOMERS, n=50)
    assert set(answer.source) == set(SOURCES)
    assert set(answer.reason) <= set(model.REASONS)


def test_forty_customers_of_ninety_days_get_whole_lists():
    draw = np.random.default_rng(3)
    rows = {(f"c{draw.integers(40)}", f"p{draw.integers(25):02}") for _ in range(150)}
    world = bought(*((c, p, 1, int(draw.integers(1, 90))) for c, p in sorted(rows)))
    answer = Recommender.fit(world, AS_OF).recommend(world, AS_OF, sorted(world.customer_id.unique()), n=10)
    assert (answer.groupby("customer_id").size() == 10).all()
