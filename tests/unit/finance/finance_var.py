"""What the tests of finance-var share: the tool, files, and its arithmetic done again in Python."""
import math
import random
import struct
import subprocess
import sys
import tempfile
import unittest

TOOL = None


def main():
    """Run the tests of the calling file; the tool's path is its first argument."""
    global TOOL
    TOOL = sys.argv.pop(1)
    unittest.main(module='__main__', verbosity=2)


def run(*options, data=b''):
    """(exit code, stdout, stderr) of the tool."""
    done = subprocess.run([TOOL, *map(str, options)], input=data,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def good(*options, data=b''):
    """What the tool prints for input that is fine."""
    code, out, err = run(*options, data=data)
    if code != 0 or err:
        raise AssertionError(f'exit {code}: {err}')
    return out


def days(count, year=1999):
    """Dates, weekends left out."""
    import datetime
    day = datetime.date(year, 1, 4)
    while count > 0:
        if day.weekday() < 5:
            yield day.isoformat()
            count -= 1
        day += datetime.timedelta(days=1)


def walk(assets=5, count=120, seed=1):
    """Rows of prices: a random walk, with two decimals as real files have."""
    r = random.Random(seed)
    prices = [20.0 + 7 * n for n in range(assets)]
    rows = []
    for date in days(count):
        prices = [max(0.05, p * (1 + r.gauss(0, 0.02))) for p in prices]
        rows.append([date] + ['%.2f' % p for p in prices])
    return [['date'] + ['A%d' % n for n in range(assets)]] + rows


def text(rows):
    return ''.join(','.join(row) + '\n' for row in rows)


class Files(unittest.TestCase):
    """A directory with the files of a calculation."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def write(self, name, content):
        path = f'{self.directory.name}/{name}'
        with open(path, 'w', encoding='utf-8', newline='') as f:
            f.write(content)
        return path

    def options(self, rows=None, positions='asset,quantity\nA0,100\nA1,-30.5\nA3,7\n'):
        return ['--prices', self.write('prices.csv', text(rows or walk())),
                '--positions', self.write('positions.csv', positions)]


def philox(counter, key):
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        x, y = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (y >> 32) ^ b ^ k0, y & 0xFFFFFFFF, (x >> 32) ^ d ^ k1, x & 0xFFFFFFFF
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return a, b, c, d


def profits(rows, holdings, scenarios, horizon, decay, seed):
    """In cents: model.h's words in Python, whose floats are the same doubles."""
    names = rows[0][1:]
    held = sorted((names.index(name), quantity) for name, quantity in holdings.items())
    columns = [[float(row[1 + i]) for row in rows[1:]] for i, _ in held]
    changes = [[b / a - 1 for a, b in zip(c, c[1:])] for c in columns]
    shocks, tomorrow = [], []
    for change in changes:
        variance = 0.0
        for r in change:
            variance += r * r
        variance /= len(change)
        shocks.append([])
        for r in change:
            shocks[-1].append(r / math.sqrt(variance) if variance > 0 else 0.0)
            variance = decay * variance + (1 - decay) * (r * r)
        tomorrow.append(variance)
    values = [q * c[-1] * 100 for (_, q), c in zip(held, columns)]
    result = []
    for n in scenarios:
        growth, variance = [1.0] * len(held), list(tomorrow)
        for day in range(horizon):
            words = philox((n & 0xFFFFFFFF, n >> 32, day // 4, 0), (seed & 0xFFFFFFFF, seed >> 32))
            drawn = words[day % 4] * len(changes[0]) >> 32
            for i in range(len(held)):
                r = min(max(shocks[i][drawn] * math.sqrt(variance[i]), -1.0), 10.0)
                growth[i] *= 1 + r
                variance[i] = decay * variance[i] + (1 - decay) * (r * r)
        profit = 0.0
        for value, g in zip(values, growth):
            profit += value * (g - 1)
        result.append(round(profit))
    return result


def cells(report):
    """{(floor, count, rest)} in cents, of a report without anything beyond its bins."""
    width = report['bin_cents']
    return [((cell - 1 - 8192) * width, count, rest) for cell, count, rest in report['cells']]


def message(**members):
    """One message of the runner protocol, msgpack behind its length."""
    body = pack(members)
    return struct.pack('>I', len(body)) + body


def pack(value):
    if isinstance(value, dict):
        return bytes([0x80 | len(value)]) + b''.join(pack(k) + pack(v) for k, v in value.items())
    if isinstance(value, str):
        return bytes([0xD9, len(value)]) + value.encode()
    if isinstance(value, bool):
        return b'\xc3' if value else b'\xc2'
    return b'\xce' + struct.pack('>I', value)


def unpack(data):
    """(value, bytes behind it) of what the runner writes: maps, lists, texts, bytes, whole numbers."""
    head, rest = data[0], data[1:]

    def many(count, rest):
        out = []
        for _ in range(count):
            value, rest = unpack(rest)
            out.append(value)
        return out, rest

    if head < 0x80:
        return head, rest
    if head < 0x90:
        flat, rest = many(2 * (head & 15), rest)
        return dict(zip(flat[::2], flat[1::2])), rest
    if head < 0xA0:
        return many(head & 15, rest)
    if head < 0xC0:
        return rest[:head & 31].decode(), rest[head & 31:]
    sizes = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xD9: 1, 0xDA: 2, 0xDC: 2}
    number = int.from_bytes(rest[:sizes[head]], 'big')
    rest = rest[sizes[head]:]
    if head in (0xC4, 0xC5, 0xC6):
        return rest[:number], rest[number:]
    if head in (0xD9, 0xDA):
        return rest[:number].decode(), rest[number:]
    return many(number, rest) if head == 0xDC else (number, rest)


def messages(data):
    while data:
        size = struct.unpack('>I', data[:4])[0]
        value, rest = unpack(data[4:4 + size])
        assert rest == b''
        yield value
        data = data[4 + size:]
