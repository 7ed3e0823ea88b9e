"""The canary: whatever changes in pysyncobj, these tests fail first.

The wrapper stands on its source as it is: on the order within its tick, on what it stores and in
which of its tables. A new version is read whole, and run through the storms, before these hashes
are written anew.
"""

import gc
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pysyncobj
import pytest
from pysyncobj import SyncObj, syncobj

from net.raft import library
from net.raft.library import LIBRARY_VERSION, SUBSTITUTED, USED
from tests.raft_world import RaftWorld

SOURCES = {
    "config.py": "fbbc7ff9f18e4d15a7fd563376e42f5bd192956879d4b810b056d5248b955698",
    "fast_queue.py": "8477fe5fdf36d9766df933310d3d66ee953d1afc195b1e6482b3a1498fc517bd",
    "journal.py": "9cf1eaf6acc704581a4cf7d3de330a404403913107adc91c929778b7e3f35edf",
    "node.py": "e4a3f027cd8291f558334bb9c977e952f6b6989e7e1fa1588d3005ef0b990e2c",
    "pickle.py": "e9327780738065cec5d600484b936c91e7c13875206cb584d5ff7f5d0dc9c474",
    "poller.py": "f69ac749fb410670282fd9520c5805ffc684c8a5f762a927127753d9be8551e6",
    "serializer.py": "4d39fde2f15000ad8f507ec229ebd4f6a86371b6f84d4dc1439a9cccd52857ee",
    "syncobj.py": "e8bdf06797085d734df86e24ab4802fe87893dff77268565ec036f7ad4a1cfe4",
    "transport.py": "0c9d89f9c4781ec9772df8011d7975a1a4a1a5f541357e12eae85a813e92b50b",
    "version.py": "0b8426a8b52ecf874193897d26c4214acbd85335145ea9ff17e27a22b1132943",
}
"""Files that run inside a member, and their SHA-256."""


@pytest.mark.parametrize("name", SOURCES)
def test_the_library_is_the_one_that_was_read(name: str) -> None:
    text = (Path(pysyncobj.__file__).parent / name).read_bytes()
    assert hashlib.sha256(text).hexdigest() == SOURCES[name]


def test_the_library_says_its_version() -> None:
    assert library.VERSION == LIBRARY_VERSION


def test_five_names_are_substituted_and_no_others() -> None:
    assert SUBSTITUTED == (
        "PIPE_NOTIFIER_ENABLED",
        "createJournal",
        "createPoller",
        "monotonicTime",
        "random",
    )
    assert syncobj.PIPE_NOTIFIER_ENABLED is False
    for name in SUBSTITUTED[1:]:
        value = getattr(syncobj, name)
        assert getattr(value, "__module__", type(value).__module__) == "net.raft.library"


@pytest.mark.parametrize("name", USED)
def test_what_is_called_of_the_library_is_there(name: str) -> None:
    assert hasattr(SyncObj, name)


def test_a_life_that_ends_leaves_nothing_to_the_garbage_collector() -> None:
    world = RaftWorld(3)
    follower = next(each for each in world.members.values() if each is not world.settle())
    assert follower.engine is not None
    decides = follower.engine._replica.inner
    decides.resign()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            decides.resign()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_what_decides_by_itself_imports_no_library() -> None:
    words = "import sys, net.raft.makers; print('pysyncobj' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", words], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"


def test_a_file_name_still_makes_the_librarys_own_journal() -> None:
    journal = syncobj.createJournal(None)
    assert type(journal).__module__ == "pysyncobj.journal"
