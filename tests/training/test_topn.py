"""Exact lists: the pruned scan names the same products as sorting the whole catalogue."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from training.models import topn


@st.composite
def catalogues(draw):
    """Small whole numbers: exact in float32, and full of ties."""
    n_users, n_items, k = draw(st.integers(0, 40)), draw(st.integers(0, 30)), draw(st.integers(1, 4))
    whole = st.integers(-3, 3).map(np.float32)
    users = draw(hnp.arrays(np.float32, (n_users, k), elements=whole))
    items = draw(hnp.arrays(np.float32, (n_items, k), elements=whole))
    hidden = draw(st.none() | hnp.arrays(np.int8, (n_users, n_items), elements=st.integers(0, 1)))
    return users, items, None if hidden is None else sparse.csr_matrix(hidden)


def by_sorting(users, items, n, exclude):
    """The answer again, in plain Python and sharing no code."""
    answer = []
    for u, user in enumerate(users):
        hidden = set() if exclude is None else set(exclude[u].indices.tolist())
        scored = [(-float(user @ item), i) for i, item in enumerate(items) if i not in hidden]
        row = [(i, -negative) for negative, i in sorted(scored)[:n]]
        answer.append(row + [(-1, -np.inf)] * (n - len(row)))
    return answer


def rows(lists):
    return [list(zip(*pair, strict=True)) for pair in zip(lists[0].tolist(), lists[1].tolist(), strict=True)]


@pytest.fixture
def always_scan():
    with mock.patch.object(topn, "BRUTE_FORCE_SHARE", np.inf):
        yield


@settings(deadline=None)  # the first call compiles
@given(world=catalogues(), n=st.integers(0, 12))
def test_the_plain_way_agrees_with_sorting(world, n):
    users, items, exclude = world
    assert rows(topn.brute_force(users, items, n, exclude)) == by_sorting(users, items, n, exclude)


@settings(deadline=None)  # the first call compiles
@given(world=catalogues(), n=st.integers(1, 40))
def test_the_scan_agrees_with_sorting(world, n):
    users, items, exclude = world
    with mock.patch.object(topn, "BRUTE_FORCE_SHARE", np.inf):
        assert rows(topn.top_n(users, items, n, exclude)) == by_sorting(users, items, n, exclude)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), spread=st.floats(0, 3), n=st.integers(1, 60))
def test_pruning_loses_nothing_over_many_blocks(seed, spread, n):
    draw = np.random.default_rng(seed)
    users = draw.integers(-4, 5, (70, 6)).astype(np.float32)
    items = draw.integers(-4, 5, (1500, 6)) * np.exp2(-np.floor(spread * draw.exponential(size=(1500, 1))))
    exclude = sparse.random(70, 1500, 0.05, "csr", random_state=draw)
    items = items.astype(np.float32)
    scanned, sorted_ = topn.top_n(users, items, n, exclude), topn.brute_force(users, items, n, exclude)
    np.testing.assert_array_equal(scanned[0], sorted_[0])
    np.testing.assert_array_equal(scanned[1], sorted_[1])


def test_real_numbers_agree_to_rounding():
    draw = np.random.default_rng(0)
    users = draw.normal(size=(50, 64)).astype(np.float32)
    items = (draw.normal(size=(3000, 64)) * draw.lognormal(sigma=1.5, size=(3000, 1))).astype(np.float32)
    scanned, sorted_ = topn.top_n(users, items, 50), topn.brute_force(users, items, 50)
    np.testing.assert_allclose(scanned[1], sorted_[1], rtol=1e-5)
    assert (scanned[0] == sorted_[0]).mean() > 0.99


def test_a_customer_alone_gets_the_list_they_get_in_a_crowd():
    draw = np.random.default_rng(1)
    users = draw.normal(size=(75, 33)).astype(np.float32)
    items = draw.normal(size=(900, 33)).astype(np.float32)
    exclude = sparse.random(75, 900, 0.1, "csr", random_state=draw)
    together = topn.top_n(users, items, 20, exclude)
    for u in range(75):
        alone = topn.top_n(users[u : u + 1], items, 20, exclude[u])
        np.testing.assert_array_equal(alone[0][0], together[0][u])
        np.testing.assert_array_equal(alone[1][0], together[1][u])


def test_equal_scores_stand_in_the_order_of_the_catalogue(always_scan):
    indices, _ = topn.top_n(np.ones((1, 2), np.float32), np.ones((600, 2), np.float32), 5)
    assert indices.tolist() == [[0, 1, 2, 3, 4]]


def test_a_customer_without_taste_is_not_given_the_longest_vectors_but_the_first_products():
    items = np.arange(1, 1001, dtype=np.float32)[:, None]
    assert topn.top_n(np.zeros((1, 1), np.float32), items, 3)[0].tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("way", [topn.top_n, topn.brute_force])
def test_a_catalogue_shorter_than_the_list_is_filled_up_with_no_product(way):
    indices, scores = way(np.float32([[1.0]]), np.float32([[1.0], [2.0]]), 4)
    assert indices.tolist() == [[1, 0, -1, -1]]
    assert scores.tolist() == [[2.0, 1.0, -np.inf, -np.inf]]
    assert (indices.dtype, scores.dtype) == (np.int32, np.float32)


def test_a_customer_from_whom_everything_is_hidden_gets_no_product(always_scan):
    everything = sparse.csr_matrix(np.ones((1, 400), np.int8))
    indices, scores = topn.top_n(np.ones((1, 3), np.float32), np.ones((400, 3), np.float32), 4, everything)
    assert (indices == -1).all()
    assert np.isneginf(scores).all()


def test_a_stored_zero_hides_as_well(always_scan):
    hidden = sparse.csr_matrix((np.zeros(1, np.float32), [0], [0, 1]), shape=(1, 2))
    for way in (topn.top_n, topn.brute_force):
        assert way(np.float32([[1.0]]), np.float32([[2.0], [1.0]]), 1, hidden)[0].tolist() == [[1]]


@pytest.mark.parametrize(
    ("users", "items", "n", "exclude"),
    [
        pytest.param((2, 3), (5, 4), 1, None, id="factors of different length"),
        pytest.param((2, 3), (5, 3), -1, None, id="a negative number of products"),
        pytest.param((2, 3), (5, 3), 1, (3, 5), id="exclusions for other customers"),
        pytest.param((2, 3), (5, 3), 1, (2, 6), id="exclusions of products out of range"),
    ],
)
def test_what_does_not_fit_is_refused(users, items, n, exclude):
    hidden = None if exclude is None else sparse.csr_matrix(exclude, dtype=np.int8)
    with pytest.raises(ValueError, match=r"products|factors|exclude"):
        topn.top_n(np.zeros(users, np.float32), np.zeros(items, np.float32), n, hidden)


def test_sparse_scores_are_ranked_with_ties_in_catalogue_order():
    scores = sparse.csr_matrix(np.float32([[0, 2, 5, 2, 2], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]]))
    indices, best = topn.top_n_sparse(scores, 3)
    assert indices.tolist() == [[2, 1, 3], [-1, -1, -1], [0, -1, -1]]
    assert best[0].tolist() == [5, 2, 2]


def test_merged_lists_say_where_each_entry_comes_from():
    first = np.int32([[4, -1]]), np.float32([[1.0, -np.inf]])
    second = np.int32([[7, 8]]), np.float32([[2.0, 1.0]])
    indices, scores, origin = topn.merge([first, second], 3)
    assert indices.tolist() == [[7, 4, 8]]
    assert scores.tolist() == [[2.0, 1.0, 1.0]]
    assert origin.tolist() == [[1, 0, 1]]
