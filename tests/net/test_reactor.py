"""What the reactor does with links, codecs and time, on links without a network."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from net.http1 import Http1Response
from net.listen import PeerInfo, Role
from net.reactor import (
    LINGER_BYTES_MAX,
    LINGER_MS_MAX,
    OUTPUT_BYTES_MAX,
    RECV_BYTES,
    SEND_BYTES_MAX,
    SNIFF_MS_MAX,
    STALL_MS_MAX,
    TAKE_BYTES,
    TURN_BYTES_MAX,
)
from net.sockets import READ, WRITE
from net.sweeps import SWEEP_CONNECTIONS, SWEEP_MS
from tests.loopback import PREFACE, Echo, FakeLink, Stage

LOST = ConnectionResetError(104, "Connection reset by peer")
GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"


def test_bytes_after_the_preface_reach_a_codec_and_its_answer_the_link() -> None:
    stage = Stage()
    link = stage.connect(PREFACE + b"hello")
    assert (link.sent, stage.application.codecs[0].heard) == (b"HELLO", PREFACE + b"hello")


@pytest.mark.parametrize("cut", range(1, len(PREFACE)))
def test_a_preface_in_two_pieces_is_recognised(cut: int) -> None:
    stage = Stage()
    link = stage.connect(PREFACE[:cut])
    assert stage.application.codecs == []
    link.inbox.append(PREFACE[cut:] + b"hi")
    stage.settle()
    assert link.sent == b"HI"


def test_http1_in_single_bytes_is_recognised() -> None:
    stage = Stage()
    request = GET % b"/whoami"
    link = stage.connect(*(request[at : at + 1] for at in range(len(request))))
    assert link.sent.startswith(b"HTTP/1.1 200 OK\r\n")
    assert link.sent.endswith(b"\r\n\r\nNone")


def test_a_method_that_begins_like_the_preface_is_http1() -> None:
    stage = Stage()
    assert stage.connect(b"P", b"R", b"OPFIND / HTTP/1.1\r\nHost: x\r\n\r\n").sent.startswith(
        b"HTTP/1.1 404 Not Found\r\n"
    )


@pytest.mark.parametrize("first", [b"\x16\x03\x01\x02\x00", b"\x00\x00\x00", b"\xff"])
def test_a_client_that_speaks_neither_is_closed_without_a_word(first: bytes) -> None:
    stage = Stage()
    link = stage.connect(first)
    assert (link.sent, link.is_closed, len(stage.reactor)) == (b"", True, 0)


def test_a_client_that_says_nothing_is_closed_in_time() -> None:
    stage = Stage()
    link = stage.connect()
    stage.settle(after_ms=SNIFF_MS_MAX - 1)
    assert not link.is_closed
    stage.settle(after_ms=101)
    assert link.is_closed


def test_a_grpc_listener_refuses_http1_and_an_http_listener_refuses_http2() -> None:
    stage = Stage()
    grpc = stage.connect(GET % b"/whoami", peer=PeerInfo("", Role.GRPC))
    http = stage.connect(PREFACE, peer=PeerInfo("", Role.HTTP))
    assert (grpc.sent, grpc.is_closed) == (b"", True)
    assert http.sent.startswith(b"HTTP/1.1 505 ")
    assert http.is_shut


def test_alpn_decides_before_the_first_byte() -> None:
    stage = Stage()
    stage.connect(peer=PeerInfo("", alpn="h2", is_secure=True))
    assert len(stage.application.codecs) == 1


def test_a_peer_listener_hands_over_from_the_first_byte() -> None:
    stage = Stage()
    assert stage.connect(b"\x16hello", peer=PeerInfo("", Role.PEER)).sent == b"\x16HELLO"


def test_output_that_appears_without_input_is_sent_in_that_turn() -> None:
    stage = Stage()
    link = stage.connect(PREFACE)
    stage.application.codecs[0].say(b"news")
    stage.application.codecs[0].say(b" twice")
    stage.reactor.wake()
    assert stage.reactor.turn(0.0)
    assert (link.sent, stage.application.dirty) == (b"news twice", [])


def test_what_waited_for_the_output_to_be_sent_has_its_turn_at_once() -> None:
    stage = Stage()
    link = stage.connect(PREFACE)
    application = stage.application
    taken = len(application.turns)
    application.follows = True
    application.codecs[0].say(b"news")
    stage.reactor.wake()
    assert stage.reactor.turn(0.0)
    assert (link.sent, len(application.turns)) == (b"news", taken + 2)


def test_the_turn_is_taken_when_it_is_due_and_not_before() -> None:
    stage = Stage()
    stage.application.due_ms = stage.now_ms + 50
    stage.reactor.wake()
    stage.settle()
    taken = len(stage.application.turns)
    assert stage.reactor.next_ms() == stage.now_ms + 50
    assert not stage.reactor.turn(0.0)
    stage.now_ms += 50
    assert stage.reactor.turn(0.0)
    assert len(stage.application.turns) == taken + 1


def test_a_full_socket_keeps_the_rest_in_order_until_there_is_room() -> None:
    stage = Stage()
    link = stage.connect(PREFACE)
    link.room = 10
    big = bytes(range(256)) * 4096
    stage.application.codecs[0].say(big)
    stage.reactor.wake()
    stage.settle()
    assert (len(link.sent), link.interest & WRITE) == (10, WRITE)
    while len(link.sent) < len(big):
        link.room = 100_000
        stage.settle()
    assert (link.sent, link.interest) == (big, READ)


def test_nothing_is_read_from_a_link_that_does_not_take_its_answers() -> None:
    stage = Stage()
    link = stage.connect(PREFACE)
    codec = stage.application.codecs[0]
    link.room = 0
    codec.say(b"x" * (TAKE_BYTES + OUTPUT_BYTES_MAX + 1))
    stage.reactor.wake()
    stage.settle()
    link.inbox.append(b"more")
    stage.settle()
    assert (link.interest, codec.heard) == (WRITE, PREFACE)
    link.room = 1 << 30
    stage.settle()
    assert (link.interest, codec.heard, codec.pending_bytes) == (READ, PREFACE + b"more", 0)


def test_a_long_answer_shares_the_turn_with_a_short_one() -> None:
    stage = Stage()
    long, short = stage.connect(PREFACE), stage.connect(PREFACE)
    stage.application.codecs[0].say(b"x" * (8 << 20))
    stage.application.codecs[1].say(b"y")
    stage.reactor.wake()
    assert stage.reactor.turn(0.0)
    assert (len(long.sent), short.sent) == (1 << 20, b"y")
    stage.settle()
    assert len(long.sent) == 8 << 20


def test_what_exceeds_a_turns_share_of_reading_comes_first_in_the_next() -> None:
    stage = Stage()
    links = [stage.connect(PREFACE) for _ in range(TURN_BYTES_MAX // RECV_BYTES + 5)]
    for link in links:
        link.inbox.append(b"x" * RECV_BYTES)
    before = len(stage.application.turns)
    assert stage.reactor.turn(0.0)
    assert sum(not link.inbox for link in links) == TURN_BYTES_MAX // RECV_BYTES + 1
    assert stage.reactor.turn(0.0)
    assert sum(not link.inbox for link in links) == len(links)
    assert len(stage.application.turns) == before + 2


def test_a_lost_connection_ends_its_codec_once() -> None:
    stage = Stage()
    link = stage.connect(PREFACE + b"hello")
    link.inbox.append(LOST)
    stage.settle()
    assert (link.is_closed, stage.application.codecs[0].ended, len(stage.reactor)) == (True, 1, 0)


def test_a_client_that_closes_ends_its_codec_once() -> None:
    stage = Stage()
    link = stage.connect(PREFACE + b"hello", b"")
    assert (link.is_closed, stage.application.codecs[0].ended, len(stage.reactor)) == (True, 1, 0)


def test_an_answer_to_a_connection_that_is_gone_is_dropped() -> None:
    stage = Stage()
    link = stage.connect(PREFACE + b"hello", b"")
    stage.application.codecs[0].say(b"late")
    stage.reactor.wake()
    stage.settle()
    assert (link.sent, len(stage.reactor)) == (b"HELLO", 0)


def test_last_words_go_out_before_the_close_and_the_client_may_read_them_in_peace() -> None:
    stage = Stage()
    link = stage.connect(PREFACE + b"hello bye.")
    codec = stage.application.codecs[0]
    assert (link.sent, link.is_shut, link.is_closed, codec.ended) == (b"HELLO ", True, False, 1)
    link.inbox.extend([b"still talking", b"and on"])
    stage.settle()
    assert (link.is_closed, codec.heard) == (False, PREFACE + b"hello bye.")
    link.inbox.append(b"")
    stage.settle()
    assert (link.is_closed, codec.ended, len(stage.reactor)) == (True, 1, 0)


def test_a_client_that_does_not_read_last_words_is_closed_in_time() -> None:
    stage = Stage()
    link = stage.connect(PREFACE + b"bye.")
    stage.settle(after_ms=LINGER_MS_MAX + 100)
    assert link.is_closed


def test_last_words_that_nobody_takes_do_not_keep_a_connection() -> None:
    stage = Stage()
    link = stage.connect(PREFACE)
    link.room = 10
    link.inbox.append(b"x" * 100 + b"bye.")
    stage.settle()
    for _ in range(3):
        link.room = 10
        stage.settle(after_ms=STALL_MS_MAX - 1_000)
    assert (len(link.sent), link.is_closed) == (40, False)
    stage.settle(after_ms=STALL_MS_MAX + 100)
    assert (link.is_closed, stage.application.codecs[0].ended) == (True, 1)


def test_many_connections_are_looked_at_in_several_turns() -> None:
    stage = Stage()
    links = [stage.sockets.connect() for _ in range(3 * SWEEP_CONNECTIONS)]
    stage.settle()
    stage.now_ms += SNIFF_MS_MAX + 100
    assert stage.reactor.turn(0.0)
    assert len(stage.reactor) == 2 * SWEEP_CONNECTIONS
    stage.settle()
    assert all(link.is_closed for link in links)


def test_a_look_that_finds_nothing_is_no_turn() -> None:
    stage = Stage()
    stage.connect(PREFACE)
    turns = len(stage.application.turns)
    due_ms = stage.reactor.next_ms()
    stage.application.due_ms = None
    stage.settle(after_ms=SWEEP_MS)
    assert (stage.reactor.turn(0.0), len(stage.application.turns), due_ms) == (False, turns, due_ms)


def test_a_deadline_of_a_codec_is_ticked() -> None:
    stage = Stage()
    stage.connect(PREFACE)
    codec = stage.application.codecs[0]
    codec.next_deadline_ms = stage.now_ms + 250
    for _ in range(3):
        stage.settle(after_ms=100)
    assert codec.ticks == [1_000_300]


def test_a_pending_http_answer_is_sent_when_it_is_given() -> None:
    stage = Stage()
    link = stage.connect(GET % b"/pending" + GET % b"/whoami")
    assert link.sent == b""
    stage.application.pending[0].answer(Http1Response(200, b"at last"))
    stage.reactor.wake()
    stage.settle()
    assert link.sent.count(b"HTTP/1.1 200 OK") == 2
    assert link.sent.index(b"at last") < link.sent.index(b"None")


def test_a_half_closed_http_client_still_gets_its_answer() -> None:
    stage = Stage()
    link = stage.connect(GET % b"/pending", b"")
    assert not link.is_closed
    stage.application.pending[0].answer(Http1Response(200, b"at last"))
    stage.reactor.wake()
    stage.settle()
    assert link.sent.endswith(b"at last")
    assert link.is_closed


def test_a_lost_http_client_no_longer_wants_its_answer() -> None:
    stage = Stage()
    link = stage.connect(GET % b"/pending", LOST)  # type: ignore[arg-type]  # an inbox item
    pending = stage.application.pending[0]
    assert (link.is_closed, pending.is_wanted) == (True, False)
    pending.answer(Http1Response(200))
    stage.reactor.wake()
    stage.settle()
    assert link.sent == b""


def test_a_stop_drains_every_connection_and_is_over_when_they_have_gone() -> None:
    stage = Stage()
    speaking, silent, http = stage.connect(PREFACE + b"a"), stage.connect(), stage.connect(b"GET")
    stage.reactor.stop(5_000)
    stage.settle()
    assert (silent.is_closed, stage.sockets.is_accepting) == (True, False)
    assert (speaking.sent, speaking.is_shut, stage.reactor.is_over) == (b"A", True, False)
    speaking.inbox.append(b"")
    http.inbox.append(b" /whoami HTTP/1.1\r\nHost: x\r\n\r\n")
    stage.settle()
    assert b"Connection: close" in http.sent
    http.inbox.append(b"")
    stage.settle()
    assert (stage.reactor.is_over, stage.sockets.is_closed) == (True, True)


def test_a_stop_closes_what_is_left_after_the_grace() -> None:
    class Stubborn(Echo):
        def drain(self, now_ms: int) -> None:
            self.reason = "not yet"

    stage = Stage()
    application = stage.application
    link = stage.connect(PREFACE)
    application.codecs[0].__class__ = Stubborn
    stage.reactor.stop(5_000)
    stage.settle(after_ms=4_999)
    assert not stage.reactor.is_over
    stage.now_ms += 1
    assert stage.reactor.turn(0.0)
    assert (stage.reactor.is_over, link.is_closed, application.codecs[0].ended) == (True, True, 1)


class Talk(RuleBasedStateMachine):
    """Any order of connecting, speaking, stalling and losing; every byte once and in order."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.links: list[FakeLink] = []
        self.said: dict[FakeLink, bytes] = {}

    def open_links(self) -> list[FakeLink]:
        return [link for link in self.links if not link.is_closed and not link.is_shut]

    def codec_of(self, link: FakeLink) -> Echo:
        return next(codec for codec in self.stage.application.codecs if codec.peer is link.peer)

    @rule(room=st.sampled_from([0, 1, 1 << 30]))
    def connect(self, room: int) -> None:
        link = self.stage.connect(PREFACE, peer=PeerInfo(f"client {len(self.links)}"))
        link.room = room
        self.links.append(link)
        self.said[link] = b""

    @precondition(lambda self: self.open_links())
    @rule(data=st.data(), size=st.sampled_from([1, TAKE_BYTES, SEND_BYTES_MAX + 1]))
    def speak(self, data: st.DataObject, size: int) -> None:
        link = data.draw(st.sampled_from(self.open_links()))
        word = bytes([97 + len(self.said[link]) % 26]) * size
        self.codec_of(link).say(word)
        self.said[link] += word

    @precondition(lambda self: self.open_links())
    @rule(data=st.data(), room=st.sampled_from([0, 1, 100_000, 1 << 30]))
    def give_room(self, data: st.DataObject, room: int) -> None:
        data.draw(st.sampled_from(self.open_links())).room = room

    @precondition(lambda self: self.open_links())
    @rule(data=st.data(), last=st.sampled_from([b"", b"bye.", LOST]))
    def end(self, data: st.DataObject, last: bytes | OSError) -> None:
        data.draw(st.sampled_from(self.open_links())).inbox.append(last)

    @rule(after_ms=st.sampled_from([0, 50, 2_000, 40_000]))
    def work(self, after_ms: int) -> None:
        self.stage.reactor.wake()
        self.stage.settle(after_ms=after_ms)

    @invariant()
    def every_byte_once_and_in_order(self) -> None:
        for link in self.links:
            assert self.said[link].startswith(link.sent)

    def teardown(self) -> None:
        for link in self.open_links():
            link.room = 1 << 30
        self.stage.reactor.wake()
        self.stage.settle()
        for link in self.open_links():
            assert link.sent == self.said[link]
        self.stage.reactor.stop(0)
        self.stage.settle()
        assert (self.stage.reactor.is_over, len(self.stage.reactor)) == (True, 0)
        assert [codec.ended for codec in self.stage.application.codecs] == [1] * len(self.links)
        assert all(link.is_closed for link in self.links)


Talk.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_any_order_of_events_keeps_every_byte = Talk.TestCase


def test_who_goes_on_talking_after_the_end_is_cut_off() -> None:
    stage = Stage()
    link = stage.connect(PREFACE + b"bye.")
    assert link.is_shut
    assert not link.is_closed
    for _ in range(LINGER_BYTES_MAX // 50_000):
        link.inbox.append(b"x" * 50_000)
        stage.settle()
    assert not link.is_closed
    link.inbox.append(b"x" * 50_000)
    stage.settle()
    assert link.is_closed


def test_a_full_application_is_fed_no_further_until_its_next_turn() -> None:
    stage = Stage()
    links = [stage.connect(PREFACE) for _ in range(3)]
    for number, link in enumerate(links):
        link.inbox.extend([b"%d" % number] * 2)
    stage.application.is_full = True
    order: list[bytes] = []
    for _ in range(6):
        heard = [codec.heard for codec in stage.application.codecs]
        stage.reactor.turn(0.0)
        after = [codec.heard for codec in stage.application.codecs]
        (fed,) = [new[len(old) :] for old, new in zip(heard, after, strict=True) if old != new]
        order.append(fed)
    assert order == [b"0", b"1", b"2"] * 2


def test_who_becomes_ready_meanwhile_is_read_after_those_that_wait() -> None:
    stage = Stage()
    waiting = [stage.connect(PREFACE) for _ in range(3)]
    late = stage.connect(PREFACE)
    stage.application.is_full = True
    for link in waiting:
        link.inbox.extend([b"a"] * 50)
    stage.reactor.turn(0.0)
    late.inbox.append(b"late")
    for _ in range(4):
        stage.reactor.turn(0.0)
    assert late.sent == b"LATE"


def test_a_codec_that_has_more_is_fed_nothing_new_and_last_in_line() -> None:
    stage = Stage()
    fed: list[bytes] = []

    class Slow(Echo):
        """Takes a byte at a time."""

        left = b""

        def feed(self, data: bytes, now_ms: int) -> None:
            self.left += data
            fed.append(data)
            taken, self.left = self.left[:1], self.left[1:]
            self.has_more = self.left != b""
            super().feed(taken, now_ms)

    slow, quick = stage.connect(PREFACE), stage.connect(PREFACE)
    slow_codec, quick_codec = stage.application.codecs
    slow_codec.__class__ = Slow
    slow.inbox.extend([b"abc", b"d"])
    stage.reactor.turn(0.0)
    quick.inbox.append(b"q")
    stage.settle()
    assert fed == [b"abc", b"", b"", b"d"]
    assert (slow.sent, quick.sent, quick_codec.heard) == (b"ABCD", b"Q", PREFACE + b"q")


def test_a_connection_that_is_lost_while_it_has_more_is_fed_no_more() -> None:
    class Greedy(Echo):
        def feed(self, data: bytes, now_ms: int) -> None:
            self.has_more = True
            super().feed(data, now_ms)

    stage = Stage()
    link = stage.connect(PREFACE)
    stage.application.codecs[0].__class__ = Greedy
    link.inbox.append(b"x")
    stage.reactor.turn(0.0)
    stage.reactor.turn(0.0)
    stage.reactor.close()
    assert (stage.reactor.turn(0.0), link.is_closed) == (False, True)
