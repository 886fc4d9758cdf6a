"""The client against a real server."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugrank_client import Client, Event, ItemContent, RecentEvent, RefusedError

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def plugrank(url: str) -> Iterator[Client]:
    with Client(url, timeout=10) as client:
        yield client


def test_a_ranking_follows_its_parameters(plugrank: Client) -> None:
    ranking = plugrank.rank("u1", k=5, budget_ms=2000, explain=True)
    assert [item.rank for item in ranking.items] == [1, 2, 3, 4, 5]
    assert ranking.rung == "full"
    assert ranking.budget.total_ms == 2000
    assert ranking.explain is not None
    assert {stage.stage for stage in ranking.budget.stages} == {"retrieval", "scoring", "reranking"}
    given = plugrank.rank("u1", candidates=["i1", "i2", "none"], exclude=["i2"])
    assert [item.item_id for item in given.items] == ["i1"]
    assert given.coverage.unknown == 1


def test_a_click_is_read_by_the_next_ranking(plugrank: Client) -> None:
    assert plugrank.user("newcomer") is None
    ranking = plugrank.rank("newcomer", k=1)
    click = Event(type="click", user_id="newcomer", item_id=ranking.items[0].item_id, request_id=ranking.request_id)
    assert plugrank.events([click]).results[0].status == "accepted"
    assert plugrank.events([click]).results[0].status == "repeat", "sent again it changes nothing"
    user = plugrank.user("newcomer")
    assert user is not None
    assert [entry.item_id for entry in user.history] == [click.item_id]
    assert plugrank.rank("newcomer", k=1).coverage.history == 1


def test_pages_do_not_repeat(plugrank: Client) -> None:
    first = plugrank.rank("u1", k=10)
    second = plugrank.rank("u1", k=10, cursor=first.cursor)
    assert [item.rank for item in second.items] == list(range(11, 21))
    assert not {item.item_id for item in first.items} & {item.item_id for item in second.items}


def test_an_unknown_user_with_history_and_a_cart(plugrank: Client) -> None:
    recent = [RecentEvent(item_id="i2"), RecentEvent(item_id="i5", type="impression")]
    ranking = plugrank.rank("stranger", k=5, recent=recent, goes_with=["i1"], explain=True)
    assert ranking.coverage.history == 2
    assert "i1" not in [item.item_id for item in ranking.items]
    assert ranking.explain is not None
    assert all(placed.by_value for placed in ranking.explain.placements)


def test_a_batch_has_an_answer_for_each_request(plugrank: Client) -> None:
    results = plugrank.rank_batch([{"user_id": "u1", "k": 3}, {"user_id": "u2", "k": 0}])
    assert [result.status for result in results] == [200, 400]
    assert results[0].ranking is not None
    assert len(results[0].ranking.items) == 3
    assert results[1].problem is not None


def test_similar_items(plugrank: Client) -> None:
    similar = plugrank.similar("i1", k=4, where={"must_not": [{"field": "categories", "any": ["none"]}]})
    assert similar is not None
    assert len(similar.items) == 4
    assert plugrank.similar("none") is None


def test_an_item_is_written_and_deleted(plugrank: Client) -> None:
    content = ItemContent(title="A lamp / a light", categories=["lighting"], features={"price": 12.5})
    plugrank.put_item("lamp/1", content)
    item = plugrank.item("lamp/1")
    assert item is not None
    assert (item.title, item.categories, item.features["price"]) == (content.title, ["lighting"], 12.5)
    plugrank.delete_item("lamp/1")
    assert plugrank.item("lamp/1") is None


def test_a_refusal_names_the_field(plugrank: Client) -> None:
    with pytest.raises(RefusedError) as refused:
        plugrank.rank("u1", k=0)
    assert refused.value.status == 400
    assert [error.field for error in refused.value.errors] == ["k"]


def test_the_examples_of_the_readme_run(url: str) -> None:
    examples = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        exec(compile(example.replace("http://127.0.0.1:8080", url), str(README), "exec"), {})
