"""Questions for the leader as bytes: exact, and total."""

from random import Random

import pytest

from core.answers import Answer, LeaseKeepAliveAnswer, LeaseTimeToLiveAnswer, MembersAnswer
from core.codec import CodecError, encode
from core.errors import NO_LEADER
from core.members import Member, MemberRole
from core.operations import (
    LeaseKeepAlive,
    LeaseTimeToLive,
    MemberAdd,
    MemberRemove,
    MembersChange,
    Put,
    Query,
    RoleAssign,
)
from net.questions import decode_answer, decode_question, encode_answer, encode_question

QUESTIONS: list[Query | MembersChange] = [
    MemberAdd(1 << 63, ("http://a:1", "http://b:1"), MemberRole.JOINING),
    MemberRemove(3),
    RoleAssign(3, MemberRole.SPARE),
    LeaseKeepAlive(-5),
    LeaseTimeToLive(1 << 62),
    LeaseTimeToLive(7, keys=True),
]
ANSWERS: list[Answer] = [
    NO_LEADER,
    LeaseKeepAliveAnswer(12, 7, 0),
    LeaseTimeToLiveAnswer(12, 7, -1, 0, []),
    LeaseTimeToLiveAnswer(12, 7, 3, 60, [b"", b"a", bytes(300)]),
    MembersAnswer(12, 99, []),
    MembersAnswer(12, 99, [Member(1 << 63, "a", ("http://a:1",)), Member(2, "", (), (), 1, 7)]),
]


@pytest.mark.parametrize("question", QUESTIONS, ids=repr)
def test_a_question_arrives_as_it_was_asked(question: Query | MembersChange) -> None:
    assert decode_question(encode_question(9, question)) == (9, question)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: type(answer).__name__)
def test_an_answer_arrives_as_it_was_given(answer: Answer) -> None:
    assert decode_answer(encode_answer(9, answer)) == (9, answer)


@pytest.mark.parametrize("seed", range(20))
def test_bytes_that_nobody_wrote_are_refused_or_read_and_nothing_else(seed: int) -> None:
    chance = Random(seed)
    whole = [encode_question(1, each) for each in QUESTIONS]
    whole += [encode_answer(1, each) for each in ANSWERS]
    for data in whole:
        damaged = bytearray(data)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        cut = bytes(damaged[: chance.randrange(len(damaged) + 1)])
        for decode in (decode_question, decode_answer):
            try:
                decode(cut)
            except CodecError:
                continue


def test_only_changes_of_members_are_passed_on_as_commands() -> None:
    question = encode_question(9, MemberRemove(3))
    head = question[: -len(encode((0, 9), MemberRemove(3)))]
    with pytest.raises(CodecError, match="about no member"):
        decode_question(head + encode((0, 9), Put(b"k", b"v")))
