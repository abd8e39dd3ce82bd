"""Lists of products in worlds whose right answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from implicit.cpu.als import AlternatingLeastSquares

from training.models import recommender as r
from training.models.recommender import Recommender

AS_OF = 17_500
COLUMNS = ["customer_id", "product_id", "n_order_days", "quantity", "first_day", "last_day", "decayed"]


def bought(*rows):
    """(customer, product, order days, days since the last): as ``features/interactions.py`` gives it."""
    frame = pd.DataFrame(rows, columns=["customer_id", "product_id", "n_order_days", "idle"])
    last = AS_OF - frame["idle"].astype(np.int64)
    return frame.assign(
        n_order_days=frame["n_order_days"].astype(np.int64),
        quantity=frame["n_order_days"].astype(float),
        first_day=last,
        last_day=last,
        decayed=frame["n_order_days"] * 2.0 ** (-frame["idle"] / 60),
    )[COLUMNS]


def checkerboard(n_customers=40, n_products=20):
    """Even customers buy even products, odd ones odd products; everyone has left one out."""
    return bought(
        *(
            (f"c{c:02}", f"p{p:02}", 2, 10)
            for c in range(n_customers)
            for p in range(n_products)
            if c % 2 == p % 2 and p != left_out(c, n_products)
        )
    )


def left_out(c, n_products=20):
    return (c + 2 * (c // n_products)) % n_products


BOARD = checkerboard()


@pytest.fixture(scope="module")
def board():
    return Recommender.fit(BOARD, AS_OF, factors=8)


def lists(frame):
    return {c: rows["product_id"].tolist() for c, rows in frame.groupby("customer_id", sort=False)}


def some_shop(seed=0, n_customers=60, n_products=300, n_rows=900):
    draw = np.random.default_rng(seed)
    product = np.minimum(draw.exponential(40, n_rows).astype(int), n_products - 1)
    cells = pd.DataFrame({"c": draw.integers(0, n_customers, n_rows), "p": product}).drop_duplicates()
    return bought(
        *(
            (f"客{c}", f"品{p:03}", days, idle)
            for c, p, days, idle in zip(
                cells["c"],
                cells["p"],
                draw.integers(1, 9, len(cells)),
                draw.integers(1, 300, len(cells)),
                strict=True,
            )
        )
    )


SHOP = some_shop()
CUSTOMERS = np.unique(SHOP["customer_id"].astype(object))


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
    model = Recommender.fit(world, AS_OF, factors=2)
    assert model.recommend(world, AS_OF, ["a"], n=2)["product_id"].tolist() == ["p2", "p1"]


def test_the_taste_is_the_one_that_implicit_works_out(shop):
    als = AlternatingLeastSquares(factors=16, regularization=r.REGULARIZATION, num_threads=1)
    als.item_factors = np.random.default_rng(0).normal(size=(len(shop.product_ids), 16)).astype(np.float32)
    model = Recommender(shop.product_ids, als.item_factors, shop.popularity)
    confidence = shop.history(SHOP, AS_OF, CUSTOMERS).confidence
    theirs = als.recalculate_user(np.arange(len(CUSTOMERS)), confidence)
    assert np.abs(theirs).max() > 0.01
    np.testing.assert_allclose(model.user_factors(confidence), theirs, atol=1e-5)


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
    by_popularity = shop.product_ids[np.lexsort((shop.product_ids, -shop.popularity))][:10]
    assert answer["product_id"].tolist() == by_popularity.tolist()
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
    monkeypatch.setattr(r, "BLOCK", 7)
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
        model = Recommender.fit(rows, AS_OF, factors=16)
        model.save(folder)
        answers.append(model.recommend(rows, AS_OF, CUSTOMERS, n=20))
    pd.testing.assert_frame_equal(*answers, check_exact=True)
    saved = [(folder / r.ITEMS).read_bytes() for folder in folders]
    assert saved[0] == saved[1]


def test_a_saved_model_gives_the_same_answers(shop, tmp_path):
    shop.save(tmp_path)
    again = Recommender.load(tmp_path)
    pd.testing.assert_frame_equal(
        again.recommend(SHOP, AS_OF, CUSTOMERS), shop.recommend(SHOP, AS_OF, CUSTOMERS), check_exact=True
    )


def test_nothing_saved_names_or_counts_a_customer(shop, tmp_path):
    shop.save(tmp_path)
    with np.load(tmp_path / r.ITEMS, allow_pickle=False) as saved:
        assert sorted(saved) == ["item_factors", "popularity", "product_ids"]
        assert all(len(saved[name]) == SHOP["product_id"].nunique() for name in saved)
        assert not set(saved["product_ids"]) & set(CUSTOMERS)
    content = (tmp_path / r.ITEMS).read_bytes()
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
    model = Recommender.fit(returned, AS_OF, factors=2)
    assert model.product_ids.tolist() == ["p1", "p2"]
    assert (model.history(returned, AS_OF, ["a", "b"]).confidence.data > 0).all()
    answer = model.recommend(returned, AS_OF, ["a"], n=5)
    assert answer[["product_id", "repurchase"]].to_numpy().tolist() == [["p1", True], ["p2", False]]


def test_the_future_and_an_empty_shop_are_refused():
    with pytest.raises(ValueError, match="dated after"):
        Recommender.fit(bought(("a", "p", 1, -1)), AS_OF)
    with pytest.raises(ValueError, match="no kept purchase"):
        Recommender.fit(SHOP.iloc[:0], AS_OF)


def test_it_beats_its_baselines_where_habit_and_taste_both_count(board):
    """Everyone wants again what they bought twice, and the one of their colour not yet met."""
    asked = np.array([f"c{c:02}" for c in range(40)], dtype=object)
    history = board.history(BOARD, AS_OF, asked)
    own_colour = np.array([[p % 2 == c % 2 for p in range(20)] for c in range(40)])

    def hits(indices):
        return np.take_along_axis(own_colour, indices.astype(np.int64), axis=1).mean()

    answer = lists(board.recommend(BOARD, AS_OF, asked, n=10))
    ours = np.array([[int(p[1:]) for p in answer[c]] for c in asked])
    assert hits(ours) == 1.0
    assert hits(r.als_lists(board, history, 10)[0]) == 1.0
    assert hits(r.popular_lists(board, history, 10)[0]) == pytest.approx(0.5, abs=0.05)
    assert hits(r.frequency_lists(board, history, 10)[0]) == pytest.approx(0.95, abs=0.05)
