"""The Auth service of a member that has no users and roles.

What asks whether they are in use is answered as by an etcd where they are not, so that a client
that was given a name and a password goes on without; what would set them up is refused.
"""

from core.errors import AUTH_NOT_ENABLED, UNIMPLEMENTED, Failure
from net.etcd.calls import Call
from net.etcd.pb.auth_pb2 import DESCRIPTOR, AuthStatusResponse

NO_USERS = Failure(
    UNIMPLEMENTED,
    "etcdserver: this trine has no users and roles; let clients show certificates: "
    "--client-cert-auth",
)
METHODS = [
    f"/etcdserverpb.Auth/{each.name}" for each in DESCRIPTOR.services_by_name["Auth"].methods
]


def answer(method: str, call: Call, header: bytes) -> None:
    """Answer one call of the service; `header` is laid out as field 1."""
    match method.rsplit("/", 1)[-1]:
        case "AuthStatus":
            status = AuthStatusResponse(enabled=False, authRevision=1)
            call.reply(header + status.SerializeToString())
        case "Authenticate":
            call.fail(AUTH_NOT_ENABLED)
        case "AuthDisable":
            call.reply(header)
        case _:
            call.fail(NO_USERS)
