"""Named places where a simulator may end a member or hold it up; in production they do nothing.

Rule of this file: one hook, empty but in a simulation. A site is a call `faultpoint("thing.when")`
on the way of every turn, so it may cost a look at a global and no more (35 ns). A hook may raise
what no handler of the member takes for a fault; it decides nothing else.

    persist.before, .after       a batch is appended to the journal
    sync.before, .after          the journal is made durable, in the helper thread
    send.before, .after          messages to peers leave
    apply.before, .after         one pack is applied
    answer.before, .after        what a turn answers goes to the connections
    store.before, .after         gathered rows are written to the store
    <job>.before, .after         checkpoint, prepare, defragment, snapshot, free: in the thread
    switch.before, .after        defragment changes to the copy, once the journal says so
    install.before, .after       a snapshot of another member takes the place of the store
"""

from collections.abc import Callable

_hook: Callable[[str], None] | None = None


def faultpoint(name: str) -> None:
    """Let the simulator, if there is one, do its worst here."""
    if _hook is not None:
        _hook(name)


def install(hook: Callable[[str], None] | None) -> None:
    """Have every faultpoint of this process ask `hook`, or (None) nobody."""
    global _hook
    _hook = hook
