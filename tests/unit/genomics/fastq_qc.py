"""What the tests of fastq-qc share: the tool, real reads, a few lines of FASTQ."""
import gzip
import json
import os
import subprocess
import sys
import unittest

READS = '/usr/share/doc/bowtie2/examples/reads/'
TOOL = None
QUICK = os.environ.get('MILL_TEST') == 'quick'


def main():
    """Run the tests of the calling file; the tool's path is its first argument."""
    global TOOL
    TOOL = sys.argv.pop(1)
    unittest.main(module='__main__', verbosity=2)


def run(data, *options):
    """(exit code, stdout, stderr) of the tool, with these bytes on its standard input."""
    done = subprocess.run([TOOL, *options], input=data,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def good(data, *options):
    """What the tool prints for input that is fine."""
    code, out, err = run(data, *options)
    if code != 0 or err:
        raise AssertionError(f'exit {code}: {err}')
    return out


def report(data):
    return good(data, '--json')


def merge(parts):
    return good(b''.join(parts), '--merge', '--json')


def parsed(data):
    return json.loads(report(data))


def real(name):
    with gzip.open(READS + name + '.fq.gz') as reads:
        return reads.read()


def records(data):
    """A list of records, each with its four lines."""
    lines = data.splitlines(keepends=True)
    assert len(lines) % 4 == 0
    return [b''.join(lines[i:i + 4]) for i in range(0, len(lines), 4)]


def record(sequence, quality=None, name='r'):
    if quality is None:
        quality = 'I' * len(sequence)
    return f'@{name}\n{sequence}\n+\n{quality}\n'.encode()


def row(encoded, count):
    """A row of the report as a plain list of count numbers."""
    plain = []
    for i, value in enumerate(encoded):
        if i == 0:
            plain += [0] * value
        elif value < 0:
            plain += [0] * -value
        else:
            plain.append(value)
    assert len(plain) <= count
    return plain + [0] * (count - len(plain))
