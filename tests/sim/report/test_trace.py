"""Trace lines: read whole, or refused with the number of the line and the reason."""

import pytest

from sim import streams, tier2, world
from sim.report.trace import TraceError, parse, parse_all
from sim.streams import BYTES
from sim.trial import attempt, plan_of
from sim.world import DROP, FAULT, LINK, NET, RECV, SEND, WORLD, Kind, World
from tests.made_runs import made_run

KINDS = [
    each
    for module in (world, streams, tier2)
    for each in vars(module).values()
    if isinstance(each, Kind)
]


def test_a_turn_says_how_far_a_member_is() -> None:
    line = parse("26924000 m1 turn term=3 commit=812 applied=811 rev=640 lead=1")
    assert (line.time_us, line.member, line.kind) == (26_924_000, 1, "turn")
    assert [line.number(name) for name in ("term", "commit", "applied", "rev", "lead")] == [
        3,
        812,
        811,
        640,
        1,
    ]


def test_a_message_has_a_link_and_a_number() -> None:
    line = parse("5 net send link=0>2 id=771 bytes=120 what=append")
    assert line.link() == (0, 2)
    assert line.number("id") == 771
    assert line.member is None


def test_a_reason_is_the_rest_of_its_line() -> None:
    line = parse("5 net drop link=0>2 id=7 why=no connection, x=3")
    assert line.facts["why"] == "no connection, x=3"


def test_a_name_may_hold_spaces_and_be_followed() -> None:
    line = parse("5 m0 answer ask=3 what=put done rev=9")
    assert (line.facts["what"], line.number("rev")) == ("put done", 9)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not `t_us place kind"),
        ("soon m1 turn term=3", "not `t_us place kind"),
        ("-5 m1 turn term=3", "not `t_us place kind"),
        ("5 somewhere turn term=3", "not `t_us place kind"),
        ("5 m1 dance term=3", "m1 has no lines of kind dance"),
        ("5 m1 send link=0>1 id=1", "m1 has no lines of kind send"),
        ("5 net turn term=3", "net has no lines of kind turn"),
        ("5 net send id=7", "no link=0>1"),
        ("5 net send link=01 id=7", "no link=0>1"),
        ("5 net recv link=0>1", "a message without id"),
        ("5 net recv link=0>1 id=x", "id=x is no number"),
        ("5 m1 turn term=3 term=4", "term is there twice"),
        ("5 m1 turn term=3 of five", "'of' is no name=value"),
        ("5 m1 turn term=3  commit=4", "'' is no name=value"),
    ],
)
def test_what_no_trace_has_is_refused(text: str, reason: str) -> None:
    with pytest.raises(TraceError) as refused:
        parse(text)
    assert reason in str(refused.value)


def test_a_number_is_asked_for_where_it_is_read() -> None:
    with pytest.raises(TraceError, match="term=three is no number"):
        parse("5 m1 turn term=three").number("term")


def test_a_refusal_names_the_line() -> None:
    with pytest.raises(TraceError, match=r"^line 2: m1 has no lines of kind dance"):
        parse_all(["5 m1 crash how=kill", "6 m1 dance"])


def test_time_never_falls() -> None:
    with pytest.raises(TraceError, match=r"^line 2: earlier than the line before"):
        parse_all(["5 m1 crash how=kill", "4 m1 start life=2"])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_whatever_a_world_notes_can_be_read(kind: Kind) -> None:
    world = World(1, trace=True)
    text = {"what": "append to all", "why": "no connection", "detail": "2 s = 2000 ms"}
    place = NET if kind in (SEND, RECV, DROP, BYTES) else WORLD if kind is FAULT else 0
    values = [2 * LINK + 1 if name == "link" else text.get(name, 7) for name in kind.fields]
    world.note(kind, place, *values)
    (line,) = parse_all(world.lines)
    assert line.kind == kind.name
    assert set(line.facts) == set(kind.fields)
    if "link" in kind.fields:
        assert line.link() == (2, 1)


def test_a_whole_run_is_read() -> None:
    run = made_run()
    lines = parse_all(run.trace)
    assert [line.text for line in lines] == run.trace
    assert {line.kind for line in lines} == {
        *("turn", "send", "recv", "drop", "crash", "start", "install", "fault")
    }


@pytest.mark.parametrize("tier", [1, 2])
def test_what_either_tier_writes_can_be_read(tier: int) -> None:
    run = attempt(plan_of(2, {}, tier=tier), tier=tier, trace=True).run
    assert run is not None
    lines = parse_all(run.trace_lines)
    assert {"turn", "start", "send", "recv", "fault"} <= {line.kind for line in lines}
    assert {line.member for line in lines} >= {0, 1, 2}
