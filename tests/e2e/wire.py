"""Frames as a stranger could make them: structs by the tables of jobs/*.def, filled with anything, then bent.

Only as much msgpack as the messages have."""
import os
import re
import struct

from case import ROOT

ROW = re.compile(r"(STRUCT|END|BOOL|U8|U32|U64|I64|BIN|TEXT|SUB|LIST|WHOLE|MILLI)\(([^\"\n]*)")
BITS = {"U8": 8, "U32": 32, "U64": 64, "I64": 64, "WHOLE": 32, "MILLI": 32}


def pack_size(size, small, small_max, codes):
    if size <= small_max:
        return bytes([small | size])
    for code, form in codes:
        if size < 1 << 8 * struct.calcsize(form):
            return bytes([code]) + struct.pack(form, size)
    raise ValueError(size)


def pack(value):
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if 0 <= value < 128:
            return bytes([value])
        return b"\xcf" + struct.pack(">Q", value) if value > 0 else b"\xd3" + struct.pack(">q", value)
    if isinstance(value, bytes):
        return pack_size(len(value), 0xc4, -1, ((0xc4, ">B"), (0xc5, ">H"), (0xc6, ">I"))) + value
    if isinstance(value, str):
        text = value.encode()
        return pack_size(len(text), 0xa0, 31, ((0xd9, ">B"), (0xda, ">H"), (0xdb, ">I"))) + text
    return pack_size(len(value), 0x90, 15, ((0xdc, ">H"), (0xdd, ">I"))) + b"".join(map(pack, value))


def unpack(data, at=0):
    """(value, where the next one begins)"""
    def sized(size, signed=False):
        return int.from_bytes(data[at + 1:at + 1 + size], "big", signed=signed), at + 1 + size

    def taken(size, begin, text):
        piece = data[begin:begin + size]
        return piece.decode() if text else piece, begin + size

    def listed(count, begin):
        items = []
        for _ in range(count):
            item, begin = unpack(data, begin)
            items.append(item)
        return items, begin
    tag = data[at]
    if tag < 0x80 or tag >= 0xe0:
        return tag if tag < 0x80 else tag - 256, at + 1
    if tag < 0xc0:
        return listed(tag & 15, at + 1) if tag < 0xa0 else taken(tag & 31, at + 1, True)
    if tag in (0xc2, 0xc3):
        return tag == 0xc3, at + 1
    if 0xcc <= tag <= 0xd3:
        return sized(1 << (tag & 3), tag >= 0xd0)
    size, begin = sized({0xc4: 1, 0xc5: 2, 0xc6: 4, 0xd9: 1, 0xda: 2, 0xdb: 4, 0xdc: 2, 0xdd: 4}[tag])
    return listed(size, begin) if tag >= 0xdc else taken(size, begin, tag >= 0xd9)


def tables():
    """{struct: [(kind, type or None, field)]}, {message: (number, struct)}"""
    structs, messages = {"range": [("U32", None, "first"), ("U32", None, "count")]}, {}
    for name in ("parts", "messages"):
        with open(os.path.join(ROOT, "jobs", name + ".def")) as f:
            text = f.read()
        for kind, rest in ROW.findall(text):
            args = [a.strip(" )") for a in rest.split(",")]
            if kind == "STRUCT":
                fields = structs.setdefault(args[0], [])
            elif kind != "END":
                fields.append((kind, args[1] if kind in ("SUB", "LIST") else None, args[2 if kind in ("SUB", "LIST") else 1]))
    with open(os.path.join(ROOT, "jobs", "messages.tbl")) as f:
        for name, number, of in re.findall(r"VARIANT\(MESSAGE_(\w+), (\d+), (\w+)", f.read()):
            messages[name.lower()] = (int(number), of)
    return structs, messages


class Wire:
    def __init__(self, rng):
        self.rng = rng
        self.structs, self.messages = tables()

    def number(self, bits):
        return self.rng.choice((0, 1, 2, (1 << bits) - 1, 1 << (bits - 1), self.rng.getrandbits(bits)))

    def value(self, kind, of, given, depth):
        if kind == "SUB":
            return self.body(of, given, depth + 1)
        if kind == "LIST":
            few = 0 if depth > 3 else self.rng.randrange(4)
            return [self.body(of, given, depth + 1) for _ in range(few)]
        if kind == "BOOL":
            return self.rng.random() < 0.5
        if kind == "BIN":
            return self.rng.randbytes(self.rng.choice((0, 1, 32, 500)))
        if kind == "TEXT":
            return "".join(self.rng.choice("ab/.\x00\x1b\n\u202eé{") for _ in range(self.rng.choice((0, 3, 40))))
        number = self.number(BITS[kind])
        return number - (1 << 63) if kind == "I64" else number

    def body(self, name, given=None, depth=0):
        """A list of the struct's values; given: {"struct.field": value} for those that are not left to chance."""
        given = given or {}
        return [given.get(name + "." + field, None) if name + "." + field in given
                else self.value(kind, of, given, depth) for kind, of, field in self.structs[name]]

    def message(self, name, given=None):
        number, of = self.messages[name]
        return pack([number, self.body(of, given)])

    def bent(self, frame):
        """The frame with something wrong in it."""
        rng, how = self.rng, self.rng.randrange(6)
        if how == 0:
            return frame[:rng.randrange(len(frame))]
        if how == 1:
            return frame + rng.randbytes(rng.choice((1, 100)))
        if how == 2:  # a length that is a lie
            at = rng.randrange(len(frame))
            return frame[:at] + rng.choice((b"\xdd", b"\xc6", b"\xdb", b"\xdf")) + b"\xff\xff\xff\xff" + frame[at:]
        if how == 3:
            return rng.randbytes(rng.choice((0, 1, 5, 1000)))
        if how == 4:
            return b"\x91" * rng.choice((20, 100000))
        out = bytearray(frame)
        for _ in range(rng.choice((1, 3))):
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
        return bytes(out)
