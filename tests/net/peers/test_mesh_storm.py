"""Links under a storm: members die and come back, wires go silent and break, in any order.

The rule of this file: what a link promises is judged from what each member was told. Up and down
take turns; what comes between them is a gapless run of what the other end sent; nothing comes
twice, and once the storm is over everybody has everybody.
"""

from random import Random

import pytest

from net.turns import RAFT
from tests.mesh_world import MeshWorld, Node


def number_of(body: bytes) -> int:
    return int.from_bytes(body, "big")


def judge(node: Node) -> None:
    """Hold what a member was told against what a link promises."""
    is_up: set[int] = set()
    last: dict[int, int] = {}
    fresh: set[int] = set()
    for what, peer, _, body in node.told:
        if what == "up":
            assert peer not in is_up, "up twice"
            is_up.add(peer)
            fresh.add(peer)
        elif what == "down":
            assert peer in is_up, "down without up"
            is_up.discard(peer)
        elif what == "came":
            assert peer in is_up, "a message without a link"
            number = number_of(body)
            before = last.get(peer, -1)
            assert number > before, "a message twice, or out of order"
            if peer not in fresh:
                assert number == before + 1, "a gap within one link"
            fresh.discard(peer)
            last[peer] = number


@pytest.mark.parametrize("seed", range(25))
def test_links_keep_their_promise_in_a_storm(seed: int) -> None:
    chance = Random(seed)
    size = chance.choice((2, 3, 5))
    world = MeshWorld(size, seed=seed)
    everybody = range(1, size + 1)
    sent: dict[tuple[int, int], int] = {}
    judged: list[Node] = []
    for _ in range(chance.choice((20, 60))):
        what = chance.random()
        member = chance.choice(everybody)
        if what < 0.15 and member in world.nodes and len(world.nodes) > 1:
            judged.append(world.nodes[member])
            end = chance.choice((world.kill, world.lose_power))
            end(member)
        elif what < 0.35 and member not in world.nodes:
            world.begin(member, everybody)
        elif what < 0.5 and world.wires:
            chance.choice(world.wires).is_cut = True
        elif what < 0.6 and world.wires:
            chance.choice(world.wires).break_off()
        elif what < 0.65:
            for node in world.nodes.values():
                node.listens = chance.random() < 0.7
        world.breaks_after = chance.choice((None, None, 10, 300))
        for _ in range(chance.randrange(8)):
            for source, node in world.nodes.items():
                for target in world.nodes.keys() - {source}:
                    number = sent.get((source, target), 0)
                    # Numbers tell of what was taken by a link: those are sent without a gap.
                    if node.mesh.send(target, RAFT, number.to_bytes(8, "big")):
                        sent[source, target] = number + 1
            world.run(chance.choice((5, 20, 200)), step_ms=5)
        world.run(chance.choice((10, 500, 4_000)))
    world.breaks_after = None
    for member in everybody:
        if member not in world.nodes:
            world.begin(member, everybody)
        world.nodes[member].listens = True
    world.run(12_000)
    for node in (*judged, *world.nodes.values()):
        judge(node)
    assert {each: node.linked for each, node in world.nodes.items()} == {
        each: set(everybody) - {each} for each in everybody
    }
    assert len(world.wires) == size * (size - 1) // 2
