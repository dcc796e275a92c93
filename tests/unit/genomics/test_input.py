"""What fastq-qc accepts, what it refuses, and in which words."""
import json
import os
import random
import subprocess
import tempfile
import unittest

import fastq_qc
from fastq_qc import good, merge, parsed, real, record, records, report, run

GOOD = b'@a\nACGT\n+\nIIII\n'  # 15 bytes
MIB = 1 << 20

BAD = [  # name, input, exact place, part of the message
    ('no FASTQ', b'hello\n', 1, 0, "expected '@'"),
    ('FASTA', b'>a\nACGT\n', 1, 0, 'FASTA'),
    ('gzip', b'\x1f\x8b\x08\x00rest', 1, 0, 'zcat'),
    ('zeros', bytes(100), 1, 0, 'found 0x00'),
    ('begins inside a record', b'IIII\n' + GOOD, 1, 0, "found 'I'"),
    ('second record without @', GOOD + b'b\nACGT\n+\nIIII\n', 2, 15, "found 'b'"),
    ('empty line between records', GOOD + b'\n' + GOOD, 2, 15, 'found an empty line'),
    ('empty line at the start', b'\n' + GOOD, 1, 0, 'found an empty line'),
    ('sequence of two lines', GOOD + b'@b\nAC\nGT\n+\nIIII\n', 2, 15, "expected '+'"),
    ('no plus', GOOD + b'@b\nACGT\nIIII\n@c\n', 2, 15, "expected '+'"),
    ('empty line for plus', GOOD + b'@b\nACGT\n\nIIII\n', 2, 15, 'found an empty line'),
    ('quality too short', GOOD + b'@b\nACGT\n+\nIII\n' + GOOD, 2, 15, '4 bases, 3 qualities'),
    ('quality too long', GOOD + b'@b\nACGT\n+\nIIIII\n', 2, 15, '4 bases, 5 qualities'),
    ('quality too short, then a fitting newline', b'@b\nACGT\n+\nII\n@\nACGT', 1, 0, '2 qualities'),
    ('quality too long at the end', b'@b\nACGT\n+\nIIIII', 1, 0, '4 bases, 5 qualities'),
    ('ends in line 1', GOOD + b'@b', 2, 15, 'in line 1 of 4'),
    ('ends after line 1', GOOD + b'@b\n', 2, 15, 'in line 2 of 4'),
    ('ends in line 2', GOOD + b'@b\nAC', 2, 15, 'in line 2 of 4'),
    ('ends after line 2', GOOD + b'@b\nACGT\n', 2, 15, 'in line 3 of 4'),
    ('ends in line 3', GOOD + b'@b\nACGT\n+', 2, 15, 'in line 3 of 4'),
    ('ends after line 3', GOOD + b'@b\nACGT\n+\n', 2, 15, 'in line 4 of 4'),
    ('ends in line 4', GOOD + b'@b\nACGT\n+\nII', 2, 15, 'in line 4 of 4'),
    ('no base', GOOD + b'@b\nAC!T\n+\nIIII\n', 2, 15, 'base 3 of 4 is the byte 0x21'),
    ('colour space', b'@b\nT0123\n+\nIIIII\n', 1, 0, 'colour space'),
    ('carriage returns alone', b'@b\rACGT\r+\rIIII\r', 1, 0, 'in line 1 of 4'),
    ('no quality', GOOD + b'@b\nACGT\n+\nII I\n', 2, 15, 'quality 3 of 4 is the byte 0x20'),
    ('quality of 8 bits', b'@b\nACGT\n+\nIII\xff\n', 1, 0, 'quality 4 of 4 is the byte 0xff'),
    ('record too long', GOOD + b'@b\n' + b'A' * MIB, 2, 15, 'longer than 1048576'),
    ('name too long', b'@' + b'b' * 2 * MIB + GOOD, 1, 0, 'longer than 1048576'),
]


class Input(unittest.TestCase):
    def test_bad_input_is_told_by_record_and_byte(self):
        for name, data, number, offset, words in BAD:
            with self.subTest(name):
                code, out, err = run(data, '--json')
                self.assertEqual(code, 2, err)
                self.assertEqual(out, b'', 'no report of half an input')
                self.assertIn(f'standard input: record {number} at byte {offset}: ', err)
                self.assertIn(words, err)
                self.assertEqual(err.count('\n'), 1)

    def test_place_is_right_far_into_a_file(self):
        data = real('longreads')
        items = records(data)
        at = 5000
        offset = len(b''.join(items[:at]))
        broken = data[:offset] + b'X' + data[offset + 1:]
        _, _, err = run(broken)
        self.assertIn(f'record {at + 1} at byte {offset}: ', err)

    def test_every_cut_of_a_record_is_fine_or_told(self):
        for end in range(len(GOOD) * 2 + 1):
            code, _, err = run((GOOD + GOOD)[:end])
            with self.subTest(end=end):
                if end in (0, 14, 15, 29, 30):
                    self.assertEqual(code, 0, err)
                else:
                    self.assertEqual(code, 2)
                    self.assertIn('the record is cut short', err)

    def test_nothing_is_a_report_of_nothing(self):
        for data in b'', b'\n', b'\r\n\n':
            found = parsed(data)
            self.assertEqual((found['reads'], found['bases'], found['quality']), (0, 0, []))
        self.assertIn(b'0 reads', good(b''))

    def test_line_ends_make_no_difference(self):
        for name in 'reads_1', 'longreads':
            data = real(name)
            plain = report(data)
            dos = data.replace(b'\n', b'\r\n')
            self.assertEqual(report(dos), plain)
            self.assertEqual(report(data[:-1]), plain, 'last newline missing')
            self.assertEqual(report(dos[:-1]), plain, 'last newline missing behind CR')
            self.assertEqual(report(dos[:-2]), plain, 'last CRLF missing')
            self.assertEqual(report(data + b'\n\r\n\n'), plain, 'empty lines at the end')

    def test_empty_reads(self):
        for data in b'@a\n\n+\n\n', b'@a\n\n+\n', b'@a\r\n\r\n+\r\n\r\n':
            found = parsed(data + (GOOD if data.endswith(b'\n\n') else b''))
            self.assertEqual(found['length_min'], 0)
            self.assertEqual(found['lengths'][:2], [0, 1])

    def test_qualities_that_look_like_other_lines(self):
        tricky = [b'@ACGT', b'+IIII', b'@@@@@', b'+++++', b'@+@+@', b'+@r1+']
        items = [b'@r\nACGTN\n+r\n' + q + b'\n' for q in tricky * 50]
        whole = report(b''.join(items))
        found = json.loads(whole)
        self.assertEqual(found['reads'], 300)
        at_first = fastq_qc.row(found['quality'][0], 94)
        self.assertEqual((at_first[ord('@') - 33], at_first[ord('+') - 33]), (150, 150))
        self.assertEqual(merge([report(b''.join(items[:77])), report(b''.join(items[77:]))]), whole)

    def test_longest_record(self):
        bases = (MIB - 6) // 2  # @, newline, newline, +, newline, newline
        data = record('A' * bases, name='')
        self.assertEqual(len(data), MIB)
        found = parsed(GOOD + data + GOOD)
        self.assertEqual((found['reads'], found['length_max']), (3, bases))
        code, _, err = run(GOOD + b'@b' + data[1:])
        self.assertEqual(code, 2)
        self.assertIn('record 2 at byte 15: the record is longer than 1048576 bytes', err)

    def test_slow_pipes(self):
        data = real('longreads')[:600_000]
        data = b''.join(records(data[:data.rindex(b'\n@r') + 1]))
        chance = random.Random(3)
        child = subprocess.Popen([fastq_qc.TOOL, '--json'], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, bufsize=0)
        at = 0
        while at < len(data):
            at += child.stdin.write(data[at:at + chance.randrange(1, 5000)])
        out, _ = child.communicate()
        self.assertEqual(out, report(data))

    def test_files(self):
        with tempfile.TemporaryDirectory() as where:
            one, two = os.path.join(where, 'one.fq'), os.path.join(where, 'two.fq')
            with open(one, 'wb') as f:
                f.write(GOOD * 2)
            with open(two, 'wb') as f:
                f.write(GOOD[:-3])
            self.assertEqual(good(b'', '--json', one, one), report(GOOD * 4))
            self.assertEqual(good(GOOD, '--json', one, '-'), report(GOOD * 3))
            code, out, err = run(b'', one, two)
            self.assertEqual((code, out), (2, b''))
            self.assertIn(f'{two}: record 1 at byte 0: ', err)
            code, _, err = run(b'', os.path.join(where, 'none.fq'))
            self.assertEqual(code, 3)
            self.assertIn('none.fq: cannot open: No such file', err)

    def test_usage(self):
        for options in ['--bogus'], ['-x'], ['--json=1']:
            code, out, err = run(b'', *options)
            self.assertEqual((code, out), (1, b''))
            self.assertIn('fastq-qc', err)

    def test_a_full_disk_is_not_bad_data(self):
        with open('/dev/full', 'wb') as full:
            done = subprocess.run([fastq_qc.TOOL], input=GOOD, stdout=full,
                                  stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b'standard output: cannot write', done.stderr)

    def test_reports_that_are_none(self):
        fine = report(GOOD)
        table = [
            (b'{}', '"report"'),
            (b'hello', 'not JSON'),
            (GOOD, 'not JSON'),
            (fine[:-20], 'not JSON'),
            (fine[:-1] + fine, 'not JSON'),
            (fine.replace(b'"format":1', b'"format":2'), 'expected a report of format 1, found 2'),
            (b'x' * (5 << 20), 'longer than'),
        ]
        for bad, words in table:
            with self.subTest(words):
                code, out, err = run(fine + bad, '--merge')
                self.assertEqual((code, out), (2, b''))
                self.assertIn('standard input: line 2: ', err)
                self.assertIn(words, err)


if __name__ == '__main__':
    fastq_qc.main()
