"""Tables for people, JSON for programs."""

from net.etcd.pb import rpc_pb2
from server.output import fields, json_text, progress, table


def test_a_table_is_drawn_whole_however_wide() -> None:
    wide = "x" * 300
    assert table(("A", "B"), [("1", wide)]).splitlines() == [
        f"+---+{'-' * 302}+",
        f"| A | B{' ' * 299} |",
        f"+---+{'-' * 302}+",
        f"| 1 | {wide} |",
        f"+---+{'-' * 302}+",
    ]


def test_what_looks_like_markup_is_printed_as_it_is() -> None:
    assert "[red]" in table(("A",), [("[red]",)])


def test_a_message_becomes_json_with_its_own_names_and_whole_numbers() -> None:
    message = rpc_pb2.StatusResponse(
        header=rpc_pb2.ResponseHeader(member_id=(1 << 64) - 1),
        version="3.7.0",
        dbSize=1,
        isLearner=True,
        errors=["a", "b"],
    )
    assert json_text(fields(message)) == (
        '{"header":{"member_id":18446744073709551615},"version":"3.7.0","dbSize":1,'
        '"errors":["a","b"],"isLearner":true}'
    )


def test_no_bar_is_drawn_where_there_is_no_terminal(capfd: object) -> None:
    with progress() as advance:
        advance("saving", 1, 2)
        advance("saving", 2, 2)
    assert capfd.readouterr() == ("", "")  # type: ignore[attr-defined]
