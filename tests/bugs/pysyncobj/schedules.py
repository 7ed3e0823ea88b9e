"""The schedules under which the stock library loses what it acknowledged, each as a function.

Rule of this file: only verbs of the world, so that the same schedule runs on the stock library,
which must break its promises, and on the engine, which must keep them. Links are FIFO and no disk
fails unless a schedule says so. Each ends with a cluster of which somebody leads; what is left is
that member's state.
"""

from tests.bugs.pysyncobj.world import Kept, Machine, World


def _names(what: str, count: int) -> list[str]:
    return [f"{what}{number}" for number in range(count)]


def _left(world: World, leader: Machine | None) -> list[str]:
    """Return what the cluster still has."""
    assert leader is not None, "the schedule needs a leader in the end"
    return list(leader.names)


def entries_sent_twice(world: World) -> list[str]:
    """V1: a slow follower gets all entries twice, and the leader dies within the second time."""
    world.elect(1)
    world.stop(3)
    world.run(0.3)
    world.calm()
    # The connection breaks with sixty entries under way.
    world.keep(1, 2)
    world.put(1, *_names("e", 60), size=4096)
    world.run(0.06)
    world.reset(1, 2)
    world.calm()
    # Two heartbeats wait at the follower; it answers each: nothing of this is here, begin anew.
    waiting = world.keep(1, 2)
    world.run(0.11)
    beats = [each for each in waiting if not world.glance(each).entries]
    again = world.keep(1, 2)
    for beat in beats:
        world.run(0.02)
        world.pass_on(beat)
        world.run(0.06)
    # The first time all entries arrive, and are acknowledged.
    appends = [each for each in again if world.glance(each).kind == "append"]
    begins = [at for at, each in enumerate(appends) if _begins_anew(world, appends, at, each)]
    second = begins[1] if len(begins) > 1 else len(appends)
    for each in appends[:second]:
        world.pass_on(each)
    world.run(0.03)
    # Of the second time only the first message does.
    for each in appends[second : second + 1]:
        world.pass_on(each)
    world.go_on(1, 2)
    world.stop(1)
    world.start(3)
    world.elect(2)
    world.put(2, "new")
    world.run(1)
    return _left(world, world.machines[2])


def _begins_anew(world: World, appends: list[Kept], at: int, each: Kept) -> bool:
    first = world.glance(appends[0])
    seen = world.glance(each)
    return bool(seen.entries) and seen.previous == first.previous


def acknowledgement_of_an_earlier_term(world: World) -> list[str]:
    """V2: what a follower had before another leader overwrote it is counted two terms later."""
    world.elect(1)
    world.calm()
    world.cut([1, 2], [3, 4, 5])
    late = world.keep(2, 1)
    world.put(1, *_names("old", 6))
    world.run(0.1)
    # Meanwhile another leads, and overwrites both; that way back is as slow as before.
    world.elect(3)
    world.run(0.1)
    world.calm()
    world.heal()
    world.run(0.3)
    world.calm()
    # It dies. The first leads again by the votes of 4 and 5, and nobody hears more of it.
    world.stop(3)
    world.keep(1, 2)
    votes = world.keep(1, 5)
    world.calm()
    world.machines[1].campaign_in(0)
    world.run(0.03)
    for each in list(votes):
        if world.glance(each).kind == "vote":
            world.pass_on(each)
    world.run(0.05)
    world.put(1, *_names("new", 3))
    world.run(0.1)
    for each in late:
        world.pass_on(each)
    world.run(0.1)
    # Those that have it die: the others are a majority that never saw it.
    world.stop(1, 4)
    world.start(3)
    for way in ((1, 2), (1, 5), (2, 1)):
        world.go_on(*way)
    world.run(4)
    leader = world.leader()
    for number, machine in world.machines.items():
        if machine is leader:
            world.put(number, *_names("last", 4))
    world.run(0.5)
    return _left(world, leader)


def first_chunk_of_a_snapshot(world: World) -> list[str]:
    """V3: a leader that was cut off comes back, and the newer leader's log is cut already."""
    world.elect(1)
    world.calm()
    world.put(1, *_names("base", 5))
    world.run(0.3)
    world.calm()
    world.cut([1], [2, 3])
    world.put(1, *_names("tail", 5))
    world.run(0.1)
    world.elect(2)
    world.machines[2].weigh(300_000)
    world.put(2, *_names("new", 30))
    world.run(0.5)
    world.machines[2].compact()
    world.run(0.3)
    # The chunks arrive over several turns of the receiver, as from a socket.
    way = world.keep(2, 1)
    world.heal()
    world.run(0.12)
    for each in list(way):
        world.pass_on(each)
        world.run(0.02)
    world.go_on(2, 1)
    world.run(1)
    return _left(world, world.machines[2])


def connection_lost_within_a_snapshot(world: World) -> list[str]:
    """V4: a connection breaks and stands again between two turns of who sends a snapshot."""
    world.elect(3)
    world.calm()
    world.cut([3], [1, 2])
    world.put(3, *_names("tail", 80))
    world.run(0.1)
    world.elect(1)
    world.machines[1].weigh(2_500_000)
    world.put(1, *_names("new", 30))
    world.run(0.5)
    world.machines[1].compact()
    world.run(0.2)
    # So long takes each chunk that all of them take several turns.
    world.send_s = 0.004
    way = world.keep(1, 3)
    world.heal()
    world.run(0.2, lambda: sum(world.glance(each).kind == "snapshot" for each in way) > 4)
    chunks = [each for each in way if world.glance(each).kind == "snapshot"]
    for each in chunks[:4]:
        world.pass_on(each)
    world.go_on(1, 3)
    world.reset(1, 3)
    world.run(2)
    world.send_s = 0
    # Who leads is alone now, and yet counts the other.
    world.cut([1], [2], [3])
    world.calm()
    world.put(1, *_names("alone", 5))
    world.run(0.2)
    world.stop(1)
    world.cut([2, 3], [1])
    world.run(6)
    return _left(world, world.leader() or world.machines[2])


def two_members_join_at_once(world: World) -> list[str]:
    """V5: of three members one is with two that join, and each side has a majority of its own.

    Needs five machines, of which 1, 2 and 3 are members.
    """
    world.elect(1)
    world.calm()
    world.run(0.2)
    world.cut([1, 4, 5], [2, 3])
    for number in (4, 5):
        world.start(number)
        world.machines[1].join(number)
        world.run(0.05)
    for machine in world.machines.values():
        if machine.is_up and not machine.leads:
            machine.campaign_in(60)
    world.run(0.5)
    world.put(1, "one side")
    world.run(0.3)
    world.elect(2)
    world.put(2, "other side")
    world.run(1)
    world.heal()
    world.run(5)
    return _left(world, world.leader())


def power_fails_everywhere(world: World) -> list[str]:
    """V6: the power fails after 40 writes; the kernel had written back the log's first 18."""
    world.elect(1)
    world.calm()
    world.put(1, *_names("a", 18))
    world.run(0.4)
    for machine in world.machines.values():
        machine.remember_disk()
    world.put(1, *_names("b", 22))
    world.run(1.2)
    world.lose_power(1, 2, 3)
    world.start(1, 2, 3)
    for number, machine in world.machines.items():
        machine.campaign_in(0 if number == 1 else 5)
    world.run(1, lambda: world.machines[1].leads)
    world.cut([1], [2, 3])
    world.put(1, *_names("alone", 5))
    world.run(0.2)
    world.calm()
    world.elect(2)
    world.put(2, "new")
    world.run(0.3)
    world.heal()
    world.run(3)
    return _left(world, world.leader())


def follower_with_another_tail(world: World) -> list[str]:
    """V7: a follower has entries of its own where the leader has more than a message holds.

    When the third member ends, the follower and the leader are a majority, and can talk.
    """
    world.elect(1)
    world.calm()
    world.cut([1], [2, 3])
    world.put(1, *_names("tail", 5))
    world.run(0.1)
    world.elect(2)
    world.put(2, *_names("b", 400))
    world.run(1)
    world.stop(2)
    world.start(2)
    world.calm()
    world.elect(2)
    world.calm()
    world.run(0.3)
    world.heal()
    world.run(60)
    world.stop(3)
    world.put(2, "after")
    world.run(30)
    return _left(world, world.machines[2])
