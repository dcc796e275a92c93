"""Patterns and events, generated from a seed: all operators, nested, lists of objects, numbers at their bounds."""
import json
import random

KEYS = ["a", "b", "c", "x-y", "ключ"]
TEXTS = ["", "x", "xy", "X", "xyx", "foo.txt", "FOO.TXT", "dir/foo.txt", "10.0.0.1", "10.0.0.255", "10.0.1.1", "010.0.0.01",
         "2001:db8::1", "2001:DB8:0::1", "::1", "0:0:0:0:0:0:0:1", "::ffff:a00:1", "1.2.3", "12:30", "straße", "STRASSE",
         "ÜNÏ", "ünï", "日本", "a*b", "a\\b", "null", "1", "true", "xxxxxxxxy", "ΑΣ", "ας", "ⅳ", "Ⅳ", "ŉ"]
ASTRAL = ["😀", "x😀"]
NUMBERS = ["0", "-0", "1", "-1", "1.0", "1.5", "10e-1", "300", "3.0e2", "300.0", "1e15", "1000000000000000", "1000000000000001",
           "9007199254740991", "9007199254740992", "9007199254740993", "-9007199254740993", "9223372036854775807",
           "1152921504606846976", "123456789012", "0.1", "1e-7", "0.0000001", "2.2250738585072014e-308", "1.7976931348623157e308",
           "-1.7976931348623157e308", "2.5e-3", "100000000000000000000e-20"]
WORDS = ["true", "false", "null"]
BLOCKS = ["10.0.0.0/24", "10.0.0.0/31", "10.0.0.0/30", "2001:db8::/32", "::/127", "::ffff:a00:0/24", "10.0.0.0/8"]
BAD_VALUES = ['{"prefix":1}', '{"Prefix":"x"}', '{"cidr":"10.0.0.0/32"}', '{"cidr":"x/8"}', '{"cidr":"::/128"}', '{"numeric":[">"]}',
              '{"numeric":[">",1,"<",1]}', '{"numeric":["<",1,">",0]}', '{"numeric":["=","1"]}', '{"numeric":["!",1]}',
              '{"numeric":[">",9007199254740993]}', '{"exists":1}', '{"exists":"true"}', '{"wildcard":"a**"}',
              '{"wildcard":"a\\\\b"}', '{"anything-but":null}', '{"anything-but":[]}', '{"anything-but":[1,"x"]}',
              '{"anything-but":[null]}', '{"anything-but":{"prefix":""}}', '{"anything-but":{"cidr":"::/0"}}',
              '{"anything-but":{"suffix":[1]}}', '{"prefix":"x","suffix":"y"}', '{}', '["x"]', '{"suffix":{"prefix":"x"}}',
              '{"equals-ignore-case":["x"]}', '{"anything-but":{"wildcard":1}}', '{"numeric":[]}', '{"numeric":1}']


class Raw(str):
    """JSON that is not a text: written as it is."""


def dump(value):
    if isinstance(value, Raw):
        return value
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    return "{" + ",".join(dump(k) + ":" + dump(v) for k, v in value.items()) + "}"


def read(text):
    """JSON as dump writes it: numbers and words stay as they are written."""
    return json.loads(text, parse_int=Raw, parse_float=Raw, parse_constant=Raw, object_pairs_hook=words_raw)


def raw_words(value):
    if isinstance(value, list):
        return [raw_words(item) for item in value]
    return Raw({None: "null", True: "true", False: "false"}[value]) if value is None or isinstance(value, bool) else value


def words_raw(pairs):
    return {key: raw_words(value) for key, value in pairs}


class Cases:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.dense(False)

    def dense(self, dense):
        """Few keys and values: then lists of objects match in many ways."""
        self.keys, self.texts, self.numbers = (["a", "b"], ["x", "xy"], ["1", "2"]) if dense else (KEYS, TEXTS + ASTRAL, NUMBERS)
        self.is_dense, self.members = dense, 4 if dense else 3

    def chance(self, percent):
        return self.rng.random() * 100 < percent

    def scalar(self):
        pick = self.rng.random()
        if pick < 0.6:
            return self.rng.choice(self.texts)
        return Raw(self.rng.choice(self.numbers if pick < 0.85 else WORDS))

    def value(self, depth):
        pick = self.rng.random()
        if depth == 0 or pick < 0.4:
            return self.scalar()
        if pick < 0.65:
            return self.object(depth - 1)
        if pick < 0.9:
            return [self.object(depth - 1) for _ in range(self.rng.randint(0, 3))]
        return [self.value(depth - 1) for _ in range(self.rng.randint(0, 4))]

    def object(self, depth):
        members = {}
        for _ in range(self.rng.randint(0 if self.chance(5) else 1, 3)):
            key = self.rng.choice(self.keys)
            if self.chance(4):
                key += "." + self.rng.choice(self.keys)
            members[key] = self.value(depth)
        return members

    def event(self):
        event = self.object(4)
        if self.chance(50):
            event.update({"id": "1", "source": self.rng.choice(TEXTS), "detail-type": self.rng.choice(TEXTS)})
        return event

    def near(self, text):
        """A text that has to do with this one."""
        return self.rng.choice([text, text, text[:1], text[-2:], text[1:], text + "x", text.upper(), text.lower(), self.rng.choice(TEXTS)])

    def plain(self, text):
        """Without characters beyond 16 bits: the engine loses these when it ignores case."""
        return "".join(c for c in text if ord(c) < 0x10000)

    def wildcard(self, text):
        out = ""
        for c in self.near(text):
            if self.chance(25) and not out.endswith("*"):
                out += "*"
            if self.chance(80):
                out += "\\" + c if c in "*\\" else c
        return out + ("*" if self.chance(30) and not (out.endswith("*") and not out.endswith("\\*")) else "")

    def numeric(self, near):
        low, high = sorted((n for n in (near, self.rng.choice(NUMBERS))), key=float)
        low, high, near = ("1" if n.endswith("e308") else n for n in (low, high, near))
        pick = self.rng.random()
        if pick < 0.2:
            return ["=", Raw(near)]
        if pick < 0.5:
            return [self.rng.choice(["<", "<=", ">", ">="]), Raw(near)]
        return [self.rng.choice([">", ">="]), Raw(low), self.rng.choice(["<", "<="]), Raw(high)]

    def but(self, text, value):
        several = lambda one: [one() for _ in range(self.rng.randint(1, 3))] if self.chance(50) else one()
        pick = self.rng.random()
        if pick < 0.25:
            return several(lambda: self.near(text))
        if pick < 0.4:
            near = value if isinstance(value, Raw) and value in NUMBERS else self.rng.choice(NUMBERS)
            return several(lambda: Raw(self.rng.choice([near, self.rng.choice(NUMBERS)])))
        name = self.rng.choice(["prefix", "suffix", "wildcard", "equals-ignore-case"])
        if name == "wildcard":
            return {name: several(lambda: self.wildcard(text))}
        if name == "equals-ignore-case":
            return {name: several(lambda: self.plain(self.near(text)))}
        return {name: several(lambda: self.near(text) or "x")}

    def alternative(self, value):
        if self.chance(1):
            return raw_words(read(self.rng.choice(BAD_VALUES)))
        if self.is_dense and self.chance(80):
            return self.scalar() if self.chance(60) else {"exists": Raw("true" if self.chance(60) else "false")}
        text = self.rng.choice(TEXTS) if isinstance(value, Raw) or not isinstance(value, str) else str(value)
        number = value if isinstance(value, Raw) and value in NUMBERS else self.rng.choice(NUMBERS)
        scalar = value if isinstance(value, str) and self.chance(70) else self.scalar()
        return self.rng.choice([
            lambda: scalar,
            lambda: scalar,
            lambda: {"prefix": self.near(text)},
            lambda: {"suffix": self.near(text)},
            lambda: {"prefix": {"equals-ignore-case": self.plain(self.near(text))}},
            lambda: {"suffix": {"equals-ignore-case": self.plain(self.near(text))}},
            lambda: {"equals-ignore-case": self.plain(self.near(text))},
            lambda: {"wildcard": self.wildcard(text)},
            lambda: {"anything-but": self.but(text, value)},
            lambda: {"anything-but": self.but(text, value)},
            lambda: {"numeric": self.numeric(number)},
            lambda: {"exists": Raw(self.rng.choice(["true", "false"]))},
            lambda: {"cidr": self.rng.choice(BLOCKS)},
            lambda: {"exactly": self.near(text)},
        ])()

    def field(self, value):
        while isinstance(value, list) and value:
            value = self.rng.choice(value)
        return [self.alternative(value) for _ in range(1 if self.chance(70) else self.rng.randint(1, 3))]

    def pattern(self, value, depth=0):
        """Of an object of the event, mostly."""
        members = {}
        while isinstance(value, list):
            value = self.rng.choice(value) if value else {}
        if not isinstance(value, dict):
            value = {}
        for _ in range(self.rng.randint(1, self.members)):
            key = self.rng.choice(list(value) if value and self.chance(85) else self.keys)
            below = value.get(key)
            while self.chance(90) and isinstance(below, list) and below and any(isinstance(i, (dict, list)) for i in below):
                below = self.rng.choice(below)
            deeper = isinstance(below, dict) and self.chance(95) or self.chance(5)
            members[key] = self.pattern(below, depth + 1) if deeper and depth < 5 else self.field(below)
        if self.chance(12):
            members["$or"] = [self.pattern(value, depth + 1) for _ in range(self.rng.randint(1 if self.chance(3) else 2, 3))]
        return members

    def case(self):
        self.dense(self.chance(40))
        event = self.event()
        return self.pattern(event), event
