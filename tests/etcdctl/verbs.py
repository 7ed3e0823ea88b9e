"""The register of verbs: what each is called in the table, and the script that tries it."""

from collections.abc import Callable

from attrs import frozen

from tests.etcdctl.run import Ctl

Script = Callable[[Ctl], None]


@frozen
class Verb:
    """One row of the table of docs/COMPATIBILITY.md."""

    name: str
    tried: str
    script: Script
    since: tuple[int, int] = (3, 5)
    """The first etcdctl that has it."""
    differs: str = ""
    """Why the steps that are marked so print something else on Trine."""
    is_slow: bool = False


VERBS: list[Verb] = []


def verb(
    name: str,
    tried: str,
    *,
    since: tuple[int, int] = (3, 5),
    differs: str = "",
    is_slow: bool = False,
) -> Callable[[Script], Script]:
    """Enter a script: the verb's name, and in a few words what of it is tried."""

    def enter(script: Script) -> Script:
        VERBS.append(Verb(name, tried, script, since, differs, is_slow))
        return script

    return enter
