"""Evens out what no two servers have in common: ids, terms, sizes, ports, times, versions.

Ids are numbered in the order in which a verb's steps show them, so that an id that is printed
twice must be printed twice by both servers.
"""

import re
from collections.abc import Sequence

from attrs import evolve

from tests.etcdctl.run import Step

_GAP = r"(?:, | +[|│] +)"
_FIXED = [
    (re.compile(r"(?:http://)?(?:127\.0\.0\.1|localhost):\d+"), "<address>"),
    # Terms, log indexes and sizes, as `-w json` and `-w fields` print them.
    (re.compile(r'("(?:raft_term|raftTerm|raftIndex|raftAppliedIndex|hash)":)\d+'), r"\1<n>"),
    (re.compile(r'("(?:RaftTerm|RaftIndex|RaftAppliedIndex|Hash)" : )\d+'), r"\1<n>"),
    (re.compile(r'("(?:dbSize|dbSizeInUse|dbSizeQuota)":)\d+'), r"\1<size>"),
    (re.compile(r'("DBSize(?:InUse|Quota)?" : )\d+'), r"\1<size>"),
    # A status row in plain text and in a table: sizes, then term and two indexes.
    (re.compile(r"-?\b\d+(?:\.\d+)? [kMG]?B\b"), "<size>"),
    (re.compile(r"\b\d+%"), "<n>%"),
    (
        re.compile(rf"((?:true|false){_GAP}(?:true|false){_GAP})\d+({_GAP})\d+({_GAP})\d+"),
        r"\1<n>\2<n>\3<n>",
    ),
    (re.compile(r"(?<=<address>, )\d+(?=, \d+\n|\n)"), "<hash>"),
    (re.compile(r"(<address> +[|│] +)\d+( +[|│](?: +\d+ +[|│])?\n)"), r"\1<hash>\2"),
    # What is left of a lease of 600 s.
    (re.compile(r'("ttl":|"TTL" : )5\d\d\b'), r"\1<ttl>"),
    # Versions: both servers tell their own.
    (re.compile(r'("[Vv]ersion"\s?:\s?|"[Ss]torageVersion"\s?:\s?)"[^"]*"'), r'\1"<version>"'),
    (re.compile(r"\b3\.\d+(?:\.\d+)?\b"), "<version>"),
    # Times, and the bar that shows how far a check is.
    (re.compile(r"\b\d+(?:\.\d+)?(?:[mµn]?s)\b"), "<time>"),
    (re.compile(r"(?:[^\n]*\d+ / \d+ [^\n]*\n?)+"), "<bar>\n"),
    (re.compile(r"(?<=is )\d+(?= writes/s)|(?<=is )\d+\.\d+(?=s)"), "<n>"),
    # Spaces that protobuf's text format puts as it likes.
    (re.compile(r"(memberID:<id \d+>) +(alarm:[A-Z]+) ?"), r"\1 \2"),
    # An id that begins with a zero is shorter, and filled up with a space.
    (re.compile(r"(?<=(?:Member|luster)) +(?=<id)"), " "),
    # The width of a table's columns follows what is in them.
    (re.compile(r"(?<=[+|│]) +| +(?=[+|│])"), " "),
    (re.compile(r"([-─])\1\1+"), r"\1"),
]
_ID = re.compile(
    r"(?<![0-9A-Za-z+])([0-9a-f]{13,16})(?![0-9A-Za-z])"
    r'|"(?:cluster_id|member_id|memberID|leader|ID|id|Leader|ClusterID|MemberID|lease|Lease)"'
    r"\s?:\s?(\d{12,20})(?![0-9a-f])"
    r"|memberID:(\d{12,20})"
)
_BY_ID = re.compile(r'(?<=ETCD_INITIAL_CLUSTER=")[^"]*')
"""Members in the order of their ids."""
_CLIENT_LOG = re.compile(r'^\{"level":.*\n', re.MULTILINE)
_STACK = re.compile(r"(?:\[signal .*\n)?\n*goroutine .*", re.DOTALL)
"""Behind a panic of etcdctl itself."""


def normal(steps: Sequence[Step]) -> list[Step]:
    """Return the steps of one verb as any server should have printed them."""
    ids: dict[int, str] = {}
    return [
        evolve(
            step,
            title=_text(step.title, ids),
            out=_text(step.out, ids),
            err=_text(step.err, ids),
        )
        for step in steps
    ]


def _text(text: str, ids: dict[int, str]) -> str:
    def numbered(match: re.Match[str]) -> str:
        hexadecimal, in_json, in_alarm = match.groups()
        number = int(hexadecimal, 16) if hexadecimal else int(in_json or in_alarm)
        name = ids.setdefault(number, f"<id {len(ids) + 1}>")
        return match.group().replace(hexadecimal or in_json or in_alarm, name)

    text = _ID.sub(numbered, _STACK.sub("", _CLIENT_LOG.sub("", text)))
    for pattern, replacement in _FIXED:
        text = pattern.sub(replacement, text)
    return _BY_ID.sub(lambda found: ",".join(sorted(found.group().split(","))), text)
