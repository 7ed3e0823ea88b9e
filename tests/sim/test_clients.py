"""Client processes: what they are sent, how they end, what becomes of unknown outcomes."""

from collections.abc import Callable

from attrs import define, field

from sim.clients import Ask, Await, Clients, CloseWatch, Memory, OpenWatch, Performance, Sleep
from sim.history import NEVER_US, History, Seen, WatchSpec
from sim.menu import LEADER
from sim.ops import NO_CONNECTION, Failed, Op, Put, PutDone, Range, RangeDone, Result, Unknown
from sim.plan import Item, Options
from sim.recorder import Recorder
from sim.world import World

Asked = tuple[int, Op, Callable[[Result], None]]
Opened = tuple[int, WatchSpec, Callable[[Seen], None]]
Script = dict[str, Callable[[Item, Memory], Performance]]
OPTIONS = Options(members=3, clients=2, watchers=1, duration_ms=10_000, timeout_ms=1_000)


@define
class Answers:
    """An endpoint that keeps what it is asked until the test answers."""

    asked: list[Asked] = field(factory=list[Asked])
    opened: list[Opened] = field(factory=list[Opened])
    closed: list[int] = field(factory=list[int])

    def ask(self, member: int, op: Op, deadline_ms: int, then: Callable[[Result], None]) -> None:
        self.asked.append((member, op, then))

    def watch(
        self, member: int, spec: WatchSpec, sink: Callable[[Seen], None]
    ) -> Callable[[], None]:
        number = len(self.opened)
        self.opened.append((member, spec, sink))
        return lambda: self.closed.append(number)


@define
class Stage:
    """Clients of a script, on a world, before an endpoint that waits for the test."""

    world: World
    answers: Answers
    history: History
    clients: Clients

    def until(self, ms: int) -> None:
        self.world.run_until(ms * 1000)

    def answer(self, number: int, result: Result) -> None:
        self.answers.asked[number][2](result)

    def ops(self) -> list[Op]:
        return [op for _, op, _ in self.answers.asked]


def stage(script: Script, *items: Item, options: Options = OPTIONS) -> Stage:
    world, answers, history = World(0), Answers(), History()
    recorder = Recorder(history, lambda: world.now_us)
    clients = Clients(
        options, lambda item, memory: script[item.do](item, memory), answers, world, recorder
    )
    clients.start(items)
    return Stage(world, answers, history, clients)


def client(time_ms: int, do: str, number: int = 0) -> Item:
    return Item(time_ms, "client", number, do, {})


def put(item: Item, memory: Memory) -> Performance:
    yield Ask(Put("a", str(item.time_ms)), memory.member(1))


def put_twice(item: Item, memory: Memory) -> Performance:
    result = yield Ask(Put("a", "first"), memory.member(0))
    assert isinstance(result, Unknown)
    yield Ask(Put("a", "second"), memory.member(0))


def watch(item: Item, memory: Memory) -> Performance:
    stream = yield OpenWatch(WatchSpec("a"), memory.member(0))
    assert isinstance(stream, int)
    kinds: list[str] = []
    while len(kinds) < 3:
        seen = yield Await(stream, 1_000)
        kinds.append(seen.kind if isinstance(seen, Seen) else "nothing")
    yield CloseWatch(stream)
    yield Ask(Put("saw", " ".join(kinds)), 0)


SCRIPT: Script = {"put": put, "put_twice": put_twice, "watch": watch}


def test_an_item_begins_at_its_time() -> None:
    on = stage(SCRIPT, client(5, "put"))
    on.until(4)
    assert on.ops() == []
    on.until(5)
    assert on.ops() == [Put("a", "5")]


def test_an_item_begins_when_the_one_before_has_ended() -> None:
    on = stage(SCRIPT, client(5, "put"), client(6, "put"))
    on.until(100)
    assert on.ops() == [Put("a", "5")]
    on.answer(0, PutDone(2))
    on.until(100)
    assert on.ops() == [Put("a", "5"), Put("a", "6")]


def test_clients_do_not_wait_for_each_other() -> None:
    on = stage(SCRIPT, client(5, "put"), client(6, "put", 1))
    on.until(6)
    assert on.ops() == [Put("a", "5"), Put("a", "6")]


def test_what_has_not_begun_when_the_run_is_over_is_dropped() -> None:
    on = stage(SCRIPT, client(5, "put"), client(9_999, "put"), client(12_000, "put"))
    on.until(11_000)
    on.answer(0, PutDone(2))
    on.until(12_000)
    assert on.ops() == [Put("a", "5"), Put("a", "12000")]
    assert on.clients.dropped == 1


def test_a_process_is_retired_after_an_unknown_outcome() -> None:
    on = stage(SCRIPT, client(5, "put_twice"))
    on.until(5)
    on.answer(0, Unknown("deadline"))
    on.until(6)
    on.answer(1, PutDone(2))
    processes = [call.process for call in on.history.calls]
    assert len(set(processes)) == 2
    assert [call.returned_us for call in on.history.calls] == [NEVER_US, 6_000]


def test_a_process_stays_after_a_refusal() -> None:
    on = stage(SCRIPT, client(5, "put"), client(6, "put"))
    on.until(6)
    on.answer(0, Failed("no leader"))
    on.until(6)
    on.answer(1, PutDone(2))
    assert len({call.process for call in on.history.calls}) == 1


def test_an_answer_after_the_client_gave_up_is_not_heard() -> None:
    on = stage(SCRIPT, client(5, "put_twice"), Item(7, "fault", 0, "cancel", {"client": 0}))
    on.until(7)
    on.answer(0, PutDone(2))
    on.until(8)
    on.answer(1, PutDone(3))
    assert [call.result for call in on.history.calls] == [Unknown("cancelled"), PutDone(3)]


def test_a_client_without_an_operation_under_way_has_nothing_to_cancel() -> None:
    on = stage(SCRIPT, client(50, "put"), Item(7, "fault", 0, "cancel", {"client": 0}))
    on.until(50)
    on.answer(0, PutDone(2))
    assert [call.result for call in on.history.calls] == [PutDone(2)]


def test_a_client_that_reconnects_goes_on_elsewhere() -> None:
    fault = Item(7, "fault", 0, "reconnect", {"client": 0, "member": 5})
    on = stage(SCRIPT, client(5, "put_twice"), client(9, "put"), fault)
    on.until(8)
    on.answer(1, PutDone(2))
    on.until(9)
    assert [member for member, _, _ in on.answers.asked] == [0, 2, 2]


def test_a_watcher_that_reconnects_loses_its_stream() -> None:
    fault = Item(7, "fault", 0, "reconnect", {"client": 2, "member": 1})
    on = stage(SCRIPT, Item(5, "watcher", 0, "watch", {}), fault)
    on.until(5_000)
    assert on.ops() == [Put("saw", "lost nothing nothing")]
    assert on.answers.closed == [0]


def test_a_watcher_is_sent_what_comes_and_told_when_nothing_does() -> None:
    on = stage(SCRIPT, Item(5, "watcher", 0, "watch", {}))
    on.until(6)
    sink = on.answers.opened[0][2]
    sink(Seen(0, "created", 1))
    sink(Seen(0, "progress", 4))
    on.until(3_000)
    assert on.ops() == [Put("saw", "created progress nothing")]
    assert on.history.watchers[0].closed_us == 1_006_000
    assert on.answers.closed == [0]


def test_what_a_closed_stream_brings_is_not_seen() -> None:
    on = stage(SCRIPT, Item(5, "watcher", 0, "watch", {}))
    on.until(6)
    sink = on.answers.opened[0][2]
    on.until(4_000)
    sink(Seen(0, "created", 1))
    assert on.history.watchers[0].seen == []


def test_a_stream_that_is_lost_is_not_closed_again() -> None:
    on = stage(SCRIPT, Item(5, "watcher", 0, "watch", {}))
    on.until(6)
    on.answers.opened[0][2](Seen(0, "lost", 0))
    on.until(4_000)
    assert on.answers.closed == []
    assert on.history.watchers[0].closed_us == NEVER_US


def test_a_watch_is_opened_after_the_newest_revision_its_client_saw() -> None:
    def look_and_watch(item: Item, memory: Memory) -> Performance:
        yield Ask(Range("a"), 0)
        yield OpenWatch(WatchSpec("a"), 0)
        yield Sleep(1)

    on = stage({"look": look_and_watch}, client(5, "look"))
    on.until(5)
    on.answer(0, RangeDone(40, (), 0))
    assert on.history.watchers[0].opened_after_rev == 40


def test_everybody_knows_the_newest_revision_that_anybody_saw() -> None:
    on = stage(SCRIPT, client(5, "put"))
    on.until(5)
    on.answer(0, PutDone(17))
    memories = on.clients.memories
    assert [memory.common.newest for memory in memories] == [17] * 4
    assert [memory.newest for memory in memories] == [17, 1, 1, 1]


def test_an_operator_s_fault_is_an_operation_of_a_process_of_its_own() -> None:
    asked: list[Item] = []

    def compact(item: Item, memory: Memory) -> Performance:
        asked.append(item)
        yield Ask(Range("a"), 0)

    args = {"member": LEADER, "back": 3}
    on = stage({"admin.compact": compact}, Item(5, "fault", 0, "compact", {**args}))
    on.until(5)
    assert asked == [Item(5, "fault", 0, "admin.compact", {**args})]
    on.answer(0, RangeDone(1, (), 0))
    assert on.history.calls[0].process == 3


def test_the_world_s_faults_are_not_the_clients_business() -> None:
    on = stage(SCRIPT, Item(5, "fault", 0, "isolate_leader", {"ms": 5}))
    on.until(100)
    assert on.ops() == []
    assert on.clients.counts == {}


def test_a_client_that_nobody_listens_to_backs_off_and_stays_who_it_is() -> None:
    on = stage(SCRIPT, client(5, "put"), client(5, "put"))
    on.until(5)
    on.answer(0, Failed(NO_CONNECTION))
    on.until(54)
    assert len(on.ops()) == 1
    on.until(55)
    on.answer(1, PutDone(2))
    assert len({call.process for call in on.history.calls}) == 1


def test_a_client_backs_off_while_what_it_asks_comes_to_nothing() -> None:
    on = stage(SCRIPT, *(client(5, "put") for _ in range(3)))
    for number, now_ms in enumerate((5, 55, 155)):
        on.until(now_ms - 1)
        assert len(on.ops()) == number
        on.until(now_ms)
        on.answer(number, Unknown("no leader"))
