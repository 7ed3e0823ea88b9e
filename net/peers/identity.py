"""For which member a certificate speaks.

Rule: the certificate was verified already, against the members' authority; here its names are held
against the member that its holder claims to be. The common name decides where it is the name of a
member. Else an alternative name has to be a host of the member's peer URLs, as etcd has it. Where
all members share one pinned pair the certificate proves the cluster and no member; on a plain
connection there is no proof at all, which is why only loopback may be plain.
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from net.listen import PeerInfo
from net.peers.hello import Contact


def speaks_for(info: PeerInfo, member: int, contacts: Mapping[int, Contact]) -> bool:
    """Whether the other end of a connection may say that it is this member."""
    contact = contacts.get(member)
    if not info.is_secure or contact is None:
        return True
    if info.common_name and info.common_name in {each.name for each in contacts.values()}:
        return info.common_name == contact.name
    return any(_has_name(info.names, host) for host in hosts(contact.urls))


def hosts(urls: Iterable[str]) -> Iterable[str]:
    """Yield the host of every URL that has one."""
    for url in urls:
        host = urlsplit(url).hostname
        if host:
            yield host


def is_loopback(host: str) -> bool:
    """Whether an address, or the name `localhost`, never leaves this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _has_name(names: Iterable[str], host: str) -> bool:
    """Whether one of a certificate's names is this host; a wildcard stands for the first label."""
    wanted = _plain(host)
    _, _, parent = wanted.partition(".")
    accepted = {wanted, f"*.{parent}"} if parent else {wanted}
    return not accepted.isdisjoint(map(_plain, names))


def _plain(name: str) -> str:
    """Return a name in the one spelling that is compared."""
    try:
        return str(ip_address(name.strip("[]")))
    except ValueError:
        return name.rstrip(".").lower()
