"""The configuration file: etcd's own sample, and faults with their line."""

import json

import pytest

from server.arguments import ConfigFileError
from server.configfile import read_config_file
from server.settings import ALL_FLAGS

SAMPLE = """\
# A file as etcd's documentation has it.
name: 'node-1'
data-dir: /var/lib/trine
snapshot-count: 10000
quota-backend-bytes: 0
listen-client-urls: http://localhost:2379,http://10.0.0.1:2379
cors:
initial-cluster-state: 'new'
strict-reconfig-check: false
watch-progress-notify-interval: 5000000000
client-transport-security:
  cert-file: /c.crt
  key-file: /c.key
  client-cert-auth: yes
  trusted-ca-file: /ca.crt
peer-transport-security:
  cert-file: /p.crt
log-outputs: [stderr, /var/log/trine.log]
cipher-suites: [
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
]
tls-min-version: 'TLS1.2'
"""


def read(text: str) -> dict[str, str]:
    return {name: one.text for name, one in read_config_file(text, "c.yml", ALL_FLAGS).items()}


def test_a_file_as_etcd_takes_it_is_read() -> None:
    assert read(SAMPLE) == {
        "name": "node-1",
        "data-dir": "/var/lib/trine",
        "snapshot-count": "10000",
        "quota-backend-bytes": "0",
        "listen-client-urls": "http://localhost:2379,http://10.0.0.1:2379",
        "initial-cluster-state": "new",
        "strict-reconfig-check": "false",
        "watch-progress-notify-interval": "5000000000ns",
        "cert-file": "/c.crt",
        "key-file": "/c.key",
        "client-cert-auth": "true",
        "trusted-ca-file": "/ca.crt",
        "peer-cert-file": "/p.crt",
        "log-outputs": "stderr,/var/log/trine.log",
        "cipher-suites": (
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
        ),
        "tls-min-version": "TLS1.2",
    }


def test_json_is_read_as_well() -> None:
    text = json.dumps({"name": "a", "max-txn-ops": 7, "pre-vote": True}, indent=1)
    assert read(text) == {"name": "a", "max-txn-ops": "7", "pre-vote": "true"}


def test_no_scalar_changes_its_text() -> None:
    assert read("name: no\ninitial-cluster-token: 1e3\n") == {
        "name": "no",
        "initial-cluster-token": "1e3",
    }


def test_durations_may_be_written_as_on_the_command_line() -> None:
    assert read("watch-progress-notify-interval: 5s") == {"watch-progress-notify-interval": "5s"}


def test_an_empty_file_sets_nothing() -> None:
    assert read("# nothing\n") == {}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: a\nnames: b\n", 'c.yml line 2: no such setting: "names". Did you mean "name"?'),
        ("name: a\nname: b\n", "c.yml line 2: name is given twice."),
        ("config-file: d.yml\n", 'c.yml line 1: no such setting: "config-file".'),
        ("- name\n", "c.yml has no settings: write them as name: value, one a line."),
        ("name: {a: b}\n", "c.yml line 1: name takes one value, not settings."),
        ("log-outputs: [[a]]\n", "c.yml line 1: log-outputs is a list of plain values."),
        ("client-transport-security: x\n", "c.yml line 1: client-transport-security needs "
         "settings below it."),
        ("client-transport-security:\n  cert-fil: x\n", 'c.yml line 2: no such setting: '
         '"cert-fil". Did you mean "cert-file"?'),
        ("[a]: b\n", "c.yml line 1: the name of a setting must be text."),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(ConfigFileError) as caught:
        read(text)
    assert str(caught.value) == sentence


def test_what_is_no_yaml_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigFileError, match=r"^c.yml is not YAML: .* line 1, column [0-9]+.*\.$"):
        read("name: [a")


def test_a_file_cannot_make_objects() -> None:
    assert read('name: !!python/object/apply:os.system ["true"]') == {"name": "true"}
