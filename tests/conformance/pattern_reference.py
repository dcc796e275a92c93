"""What a pattern means, in the plainest way: an event is a list of (path, value, elements of lists), a pattern is a list
of maps from path to alternatives, and all choices are tried."""
import ipaddress
import re
from decimal import Decimal

from pattern_cases import Raw

RESERVED = {"exactly", "prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "exists", "cidr",
            "=", "<", "<=", ">", ">=", "regex"}


class Invalid(Exception):
    pass


class Twice(Exception):
    """A path that one way through $or has twice. We refuse it; the engine takes the later one."""


def ways(pattern, prefix=(), before=({},), in_or=False, made=None):
    """[{path: alternatives}]; made makes each of them."""
    made = made or alternative
    if not isinstance(pattern, dict) or not pattern:
        raise Invalid
    before = [dict(way) for way in before]
    for key, value in pattern.items():
        if key == "$or":
            if not isinstance(value, list) or len(value) < 2:
                raise Invalid
            before = [way for branch in value for way in ways(branch, prefix, before, True, made)]
        elif in_or and key in RESERVED:
            raise Invalid
        elif isinstance(value, dict):
            before = ways(value, prefix + (key,), before, in_or, made)
        elif not isinstance(value, list) or not value:
            raise Invalid
        else:
            tests = [made(item) for item in value]
            for way in before:
                if ".".join(prefix + (key,)) in way:
                    raise Twice
                way[".".join(prefix + (key,))] = tests
    return before


def number(raw):
    """As a Decimal if its double's shortest text is it, else None."""
    exact = Decimal(raw)
    return exact if Decimal(repr(float(raw))) == exact else None


def is_number(value):
    return isinstance(value, Raw) and value not in ("true", "false", "null")


def is_text(value):
    return isinstance(value, str) and not isinstance(value, Raw)


def address(text):
    if re.fullmatch(r"[0-9]+(\.[0-9]+){3}", text):
        text = ".".join(str(int(part)) for part in text.split("."))
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def equal(wanted):
    if is_text(wanted):
        ip = address(wanted)
        return lambda v: is_text(v) and (v == wanted or ip is not None and address(v) == ip)
    if not is_number(wanted):
        return lambda v: isinstance(v, Raw) and v == wanted
    n = number(wanted)
    if n is None:
        return lambda v: is_number(v) and number(v) is None and Decimal(v) == Decimal(wanted)
    return lambda v: is_number(v) and number(v) == n


def caseless(text):
    return "".join("(?:" + "|".join(map(re.escape, {c.lower(), c.upper()})) + ")" for c in text)


def wildcard(text):
    out, i = "", 0
    if re.search(r"(?<!\\)(?:\\\\)*\*\*", text):
        raise Invalid
    while i < len(text):
        if text[i] == "\\":
            if text[i + 1:i + 2] not in ("*", "\\"):
                raise Invalid
            i += 1
            out += re.escape(text[i])
        else:
            out += ".*" if text[i] == "*" else re.escape(text[i])
        i += 1
    return out


def text_test(name, arg):
    """A regular expression."""
    if isinstance(arg, dict) and name in ("prefix", "suffix") and list(arg) == ["equals-ignore-case"]:
        arg = arg["equals-ignore-case"]
        if not is_text(arg):
            raise Invalid
        body = caseless(arg)
    elif not is_text(arg):
        raise Invalid
    else:
        body = {"equals-ignore-case": caseless, "wildcard": wildcard}.get(name, re.escape)(arg)
    expression = re.compile({"prefix": body + ".*", "suffix": ".*" + body}.get(name, body), re.S)
    return lambda v: is_text(v) and expression.fullmatch(v) is not None


def numeric(arg):
    signs = {"=": lambda a, b: a == b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b}
    if not isinstance(arg, list) or len(arg) not in (2, 4):
        raise Invalid
    parts = [(str(arg[i]).strip('"'), arg[i + 1]) for i in range(0, len(arg), 2)]
    if any(sign not in signs or not is_number(n) or number(n) is None for sign, n in parts):
        raise Invalid
    if len(parts) == 2 and (parts[0][0] not in (">", ">=") or parts[1][0] not in ("<", "<=") or number(parts[0][1]) >= number(parts[1][1])):
        raise Invalid
    return lambda v: is_number(v) and number(v) is not None and all(signs[s](number(v), number(n)) for s, n in parts)


def cidr(arg):
    if not is_text(arg) or not re.fullmatch(r"[^/]*/[0-9]+", arg):
        raise Invalid
    base, bits = address(arg.split("/")[0]), int(arg.split("/")[1])
    if base is None or bits >= base.max_prefixlen:
        raise Invalid
    shift = base.max_prefixlen - bits
    return lambda v: (is_text(v) and (ip := address(v)) is not None and ip.version == base.version
                      and int(ip) >> shift == int(base) >> shift)


def anything_but(arg):
    name = None
    if isinstance(arg, dict):
        if len(arg) != 1 or (name := next(iter(arg))) not in ("prefix", "suffix", "wildcard", "equals-ignore-case"):
            raise Invalid
        arg = arg[name]
    items = arg if isinstance(arg, list) else [arg]
    if not items:
        raise Invalid
    if name is not None:
        if not all(is_text(i) for i in items) or name in ("prefix", "suffix") and "" in items:
            raise Invalid
        tests = [text_test(name, i) for i in items]
    else:
        if not all(is_text(i) for i in items) and not all(is_number(i) and number(i) is not None for i in items):
            raise Invalid
        tests = [(lambda v, i=i: is_text(v) and v == i) if is_text(i) else equal(i) for i in items]
    return lambda v: not any(test(v) for test in tests)


def alternative(item):
    """None: {exists: false}."""
    if isinstance(item, str):
        return equal(item)
    if not isinstance(item, dict) or len(item) != 1:
        raise Invalid
    (name, arg), = item.items()
    if name == "exists":
        if arg not in ("true", "false") or not isinstance(arg, Raw):
            raise Invalid
        return (lambda v: True) if arg == "true" else None
    if name in ("prefix", "suffix", "wildcard", "equals-ignore-case", "exactly"):
        return text_test(name, arg)
    for known, made in (("numeric", numeric), ("cidr", cidr), ("anything-but", anything_but)):
        if name == known:
            return made(arg)
    raise Invalid


def flatten(value, path, elements, out, lists):
    if isinstance(value, dict):
        for key, below in value.items():
            flatten(below, path + (key,), elements, out, lists)
    elif isinstance(value, list):
        number_of_list = len(lists)
        lists.append(value)
        for i, item in enumerate(value):
            inside = {**elements, number_of_list: i} if isinstance(item, (dict, list)) else elements
            flatten(item, path, inside, out, lists)
    else:
        out.setdefault(".".join(path), []).append((value, elements))
    return out


def agree(a, b):
    return all(b.get(key, i) == i for key, i in a.items())


def holds(way, paths, fields, chosen):
    if not paths:
        return True
    seen = [(value, at) for value, at in fields.get(paths[0], []) if agree(chosen, at)]
    for test in way[paths[0]]:
        if test is None:
            if not seen and holds(way, paths[1:], fields, chosen):
                return True
        elif any(test(value) and holds(way, paths[1:], fields, {**chosen, **at}) for value, at in seen):
            return True
    return False


def verdict(pattern, event):
    """match, nomatch or invalid; raises Twice."""
    try:
        all_ways = ways(pattern)
    except Invalid:
        return "invalid"
    fields = flatten(event, (), {}, {}, [])
    return "match" if any(holds(way, sorted(way), fields, {}) for way in all_ways) else "nomatch"
