"""Any request that can be decoded, likely or not.

The rule of this file: it knows descriptors and nothing of etcd. Numbers are from the edges of
their types, enums may be unknown, texts and keys are few so that requests meet.
"""

import random
from typing import cast

from google.protobuf.descriptor import FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

INT64 = (0, 0, 1, 2, 3, 5, 8, -1, -2, (1 << 63) - 1, -(1 << 63), 1 << 32, 9_000_000_001)
UINT64 = (0, 1, 2, 77, (1 << 64) - 1)
ENUM_STRANGE = (-1, 5, 7, 99)
BYTES = (b"", b"\0", b"a", b"b", b"b\0", b"c", b"\xff", b"\xff\xff")
TEXTS = ("", "3.6.0", "http://127.0.0.1:1", "\u2603")
DEPTH_MAX = 5


def arbitrary(chance: random.Random, kind: type[Message], depth: int = 0) -> Message:
    """Return a message of a kind with each field set, or not, to anything."""
    message = kind()
    fields = cast(list[FieldDescriptor], message.DESCRIPTOR.fields)
    for field in fields:
        if field.containing_oneof is None and chance.random() < 0.6:
            _fill(chance, message, field, depth)
    for oneof in cast(list[OneofDescriptor], message.DESCRIPTOR.oneofs):
        if chance.random() < 0.95:
            of_it = {field.name for field in cast(list[FieldDescriptor], oneof.fields)}
            chosen = chance.choice([field for field in fields if field.name in of_it])
            _fill(chance, message, chosen, depth)
    return message


def _fill(chance: random.Random, message: Message, field: FieldDescriptor, depth: int) -> None:
    is_message = field.message_type is not None
    if is_message and depth >= DEPTH_MAX:
        return
    if field.is_repeated:
        into = getattr(message, field.name)
        for _ in range(chance.choice((0, 1, 1, 2, 3))):
            if is_message:
                kind = type(into.add())
                into[-1].CopyFrom(arbitrary(chance, kind, depth + 1))
            else:
                into.append(_scalar(chance, field))
    elif is_message:
        into = getattr(message, field.name)
        into.SetInParent()
        into.CopyFrom(arbitrary(chance, type(into), depth + 1))
    else:
        setattr(message, field.name, _scalar(chance, field))


def _scalar(chance: random.Random, field: FieldDescriptor) -> object:
    if field.enum_type is not None:
        known = [value.number for value in field.enum_type.values]
        return chance.choice(known * 5 + list(ENUM_STRANGE))
    match field.type:
        case FieldDescriptor.TYPE_BYTES:
            return chance.choice(BYTES)
        case FieldDescriptor.TYPE_STRING:
            return chance.choice(TEXTS)
        case FieldDescriptor.TYPE_BOOL:
            return chance.random() < 0.3
        case FieldDescriptor.TYPE_UINT64 | FieldDescriptor.TYPE_UINT32:
            return chance.choice(UINT64)
        case _:
            return chance.choice(INT64)
