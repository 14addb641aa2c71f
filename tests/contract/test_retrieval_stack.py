"""Retrieval and chat over what was really ingested, on both databases: from an upload to a citation."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters.database.lexical import lexical_on_postgres, lexical_on_sqlite
from adapters.database.transactions import DatabaseTransactions
from adapters.database.vectors.vectors_embedded import EmbeddedVectorIndex
from adapters.offline import OfflineChatModel
from application.chat.chat import ChatRequest
from application.knowledge.evaluation import EvaluateKnowledge
from application.knowledge.retrieval import RetrieveKnowledge
from chat_desk import ChatDesk, read, text_of
from domain.chat.chat_events import Retrieved, RunFinished
from domain.dialogs.messages import Answer
from domain.errors import InvalidValue, NotFound
from domain.ids import UserId, new_id
from domain.knowledge.chunking import ChunkSize
from domain.knowledge.evaluation import EvaluationCase
from knowledge_desk import KnowledgeDesk
from stored import agent, registered

WARRANTY = "The warranty of the turbine lasts two years."
MANUAL = "\n\n".join(
    [
        "# Manual",
        *(f"Part {number} of the machine is painted in colour {number} and needs no oil." for number in range(30)),
        WARRANTY,
        "风力发电机的保修期为两年。",
        *(f"Screw {number} belongs into hole {number} of the frame." for number in range(30)),
    ]
)


class Stack:
    """A knowledge desk with the search over it."""

    def __init__(self, transactions: DatabaseTransactions, url: str) -> None:
        self.desk = KnowledgeDesk(transactions, size=ChunkSize(40, 6))
        self.index = EmbeddedVectorIndex(url)
        self.troubles: list[Exception] = []
        lexical = transactions.lexical()
        self.retrieve = RetrieveKnowledge(
            transactions, self.desk.embedders, self.index, lexical, None, self.troubles.append
        )

    async def manual(self, owner: UserId, name: str = "Handbook") -> str:
        base = await self.desk.base(owner, name)
        await self.desk.file(owner, base, MANUAL, "manual.txt")
        await self.desk.run()
        return base.knowledge_id


@pytest.fixture
async def stack(transactions: DatabaseTransactions, database_url: str) -> AsyncIterator[Stack]:
    made = Stack(transactions, database_url)
    yield made
    await made.index.aclose()


async def test_what_was_uploaded_is_found_at_its_place(stack: Stack, transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    base = await stack.manual(owner)
    for query, says in (("How long does the warranty last?", WARRANTY), ("保修期多久", "保修期为两年")):
        found = await stack.retrieve(owner, query, [base], top_k=3)
        assert found.lexical_only is None
        assert says in found.passages[0].content
        for one in found.passages:
            assert one.content == MANUAL[one.start : one.end]
            assert (one.knowledge_id, one.file_name) == (base, "manual.txt")


async def test_a_removed_file_takes_no_place_from_others_before_it_is_purged(
    stack: Stack, transactions: DatabaseTransactions
) -> None:
    owner = await registered(transactions)
    base = await stack.desk.base(owner)
    old = "\n\n".join(f"The warranty of the turbine lasts two years, says part {n} of it." for n in range(80))
    removed = await stack.desk.file(owner, base, old, "old.txt")
    await stack.desk.file(
        owner, base, "In the new manual the warranty is three years and nothing else is said.", "new.txt"
    )
    await stack.desk.run()
    query = "warranty of the turbine: two years"
    names = []
    for act in (None, stack.desk.delete_file(owner, removed.knowledge_file_id), stack.desk.run()):
        if act is not None:
            await act
        names.append({one.file_name for one in (await stack.retrieve(owner, query, [base.knowledge_id])).passages})
    assert names == [{"old.txt"}, {"new.txt"}, {"new.txt"}]


async def test_what_is_removed_by_the_thousands_hides_no_word_of_others(
    stack: Stack, transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a search by words looks at for one term."""
    monkeypatch.setattr(lexical_on_postgres, "ENOUGH", 50)
    monkeypatch.setattr(lexical_on_sqlite, "ENOUGH", 25)
    owner = await registered(transactions)
    stack.desk.embedders.known.clear()
    base = await stack.desk.base(owner)
    old = "\n\n".join(f"The warranty of the turbine lasts two years, says part {n} of it." for n in range(420))
    removed = await stack.desk.file(owner, base, old, "old.txt")
    await stack.desk.file(owner, base, "In the new manual the warranty is three years.", "new.txt")
    await stack.desk.run()
    await stack.desk.delete_file(owner, removed.knowledge_file_id)
    found = await stack.retrieve(owner, "warranty", [base.knowledge_id])
    assert [one.file_name for one in found.passages] == ["new.txt"]


async def test_a_retrieval_costs_few_statements(
    stack: Stack, transactions: DatabaseTransactions, statements: list[str]
) -> None:
    """On Postgres the search by words is one of them."""
    owner = await registered(transactions)
    base = await stack.manual(owner)
    statements.clear()
    await stack.retrieve(owner, "warranty", [base])
    assert len(statements) <= 3


@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=40))
@example("🙂" * 50)
@example("'; DROP TABLE chunks; --")
@example('"warranty" OR screw* NEAR(a b) ^x -y AND NOT (')
@example("warranty & screw | !part <-> hole:*")
@example("%_\\%")
@example("content : warranty")
@example("warranty " * 11_111)
async def test_any_query_is_answered_or_refused(stack: Stack, transactions: DatabaseTransactions, query: str) -> None:
    owner = await registered(transactions)
    base = await stack.desk.base(owner)
    await stack.desk.file(owner, base, f"{WARRANTY}\n\nScrew it.")
    await stack.desk.run()
    try:
        found = await stack.retrieve(owner, query, [base.knowledge_id])
    except InvalidValue:
        assert not query.strip() or "\x00" in query
    else:
        assert found.lexical_only is None
        assert len(found.passages) >= 1


async def test_each_sees_their_own_and_what_was_removed_is_not_found(
    stack: Stack, transactions: DatabaseTransactions
) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    first, second = await stack.manual(owner), await stack.manual(owner, "Second")
    with pytest.raises(NotFound):
        await stack.retrieve(other, "warranty", [first])
    for one in (first, second):
        found = await stack.retrieve(owner, "warranty", [one])
        assert {passage.knowledge_id for passage in found.passages} == {one}
    await stack.desk.delete(owner, second)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        await stack.retrieve(owner, "warranty", [first, second])
    assert (await stack.retrieve(owner, "warranty", [first])).passages


async def test_a_file_that_was_removed_is_found_no_more(stack: Stack, transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    base = await stack.desk.base(owner)
    file = await stack.desk.file(owner, base, MANUAL)
    await stack.desk.run()
    await stack.desk.delete_file(owner, file.knowledge_file_id)
    assert (await stack.retrieve(owner, "warranty", [base.knowledge_id])).passages == ()


async def test_a_chat_quotes_and_cites_what_was_uploaded(stack: Stack, transactions: DatabaseTransactions) -> None:
    desk = ChatDesk(transactions, OfflineChatModel(delay_seconds=0), knowledge=stack.retrieve)  # type: ignore[arg-type]
    owner = await registered(transactions)
    base = await stack.manual(owner)
    asked = agent(owner, new_id(), knowledge_ids=(base,))
    async with transactions.begin() as tx:
        await tx.agents.add(asked)
    question = ChatRequest("How long does the warranty of the turbine last?", "d", asked.agent_id, background=True)
    seen = await read(await desk.start(owner, question))
    done = seen[-1].event
    assert isinstance(seen[0].event, Retrieved)
    assert isinstance(done, RunFinished)
    assert WARRANTY in text_of(seen)
    cited = [one for one in done.citations if WARRANTY in one.content]
    assert [MANUAL[one.start : one.end] for one in cited] == [one.content for one in cited] != []
    answer = (await desk.history(owner))[1]
    assert isinstance(answer, Answer)
    assert answer.citations == done.citations


async def test_a_base_is_measured(stack: Stack, transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    base = await stack.manual(owner)
    cases = [EvaluationCase("warranty of the turbine", (WARRANTY,)), EvaluationCase("保修期为两年", ("manual.txt",))]
    found = await EvaluateKnowledge(stack.retrieve)(owner, base, cases)
    assert found.dense is not None
    assert (found.lexical.recall, found.hybrid.recall) == (1.0, 1.0)
