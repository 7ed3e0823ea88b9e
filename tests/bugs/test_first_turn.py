"""A member that nobody had asked anything took no turn at all: the first request met no leader."""

from sim.ops import Put, PutDone
from tests.tier2_world import Told, play


def test_a_member_leads_before_anybody_asks() -> None:
    async def script(told: Told) -> None:
        told.cluster.start(0)
        await told.pass_ms(200)
        assert told.cluster.leader() == 0
        assert isinstance(await told.ask(Put("k", "1")), PutDone)

    play(script)
