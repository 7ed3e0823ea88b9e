"""What is stored of a change has one wire form, however it is made."""

from hypothesis import given
from hypothesis import strategies as st

from core.records import put_version, put_versions, varint
from net.etcd.pb import kv_pb2

COUNTS = st.integers(1, 1 << 40)


@given(
    st.lists(
        st.tuples(
            st.binary(min_size=1, max_size=127),
            st.binary(min_size=1, max_size=300),
            COUNTS,
            COUNTS,
            st.integers(1, 127),
            COUNTS,
        ),
        min_size=1,
        max_size=20,
    ),
    st.booleans(),
)
def test_many_versions_are_what_each_one_would_be(
    puts: list[tuple[bytes, bytes, int, int, int, int]], fresh: bool
) -> None:
    keys, values, mods, creates, versions, numbers = zip(*puts, strict=True)
    if fresh:
        creates = mods
    each = [
        put_version(key, value, mod, create, version, 0, number)
        for key, value, mod, create, version, number in zip(
            keys, values, mods, creates, versions, numbers, strict=True
        )
    ]
    assert put_versions(keys, values, mods, creates, versions, numbers) == each


@given(st.one_of(st.integers(1, 63).map(lambda bits: (1 << bits) - 1), st.integers(1, 1 << 62)))
def test_a_varint_is_protobufs(number: int) -> None:
    for each in (number, number + 1 if number < 1 << 62 else 1, -number):
        assert kv_pb2.KeyValue(lease=each).SerializeToString() == b"\x30" + varint(each)
