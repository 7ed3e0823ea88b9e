"""The rule of this file: a hook is taken away again, so that no other test meets it."""

from net import faultpoint


def test_a_faultpoint_asks_the_hook_and_nobody_else() -> None:
    names: list[str] = []
    faultpoint.faultpoint("persist.before")
    faultpoint.install(names.append)
    try:
        faultpoint.faultpoint("persist.after")
    finally:
        faultpoint.install(None)
    faultpoint.faultpoint("sync.before")
    assert names == ["persist.after"]
