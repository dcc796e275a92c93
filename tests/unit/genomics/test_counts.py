"""The numbers of a report against a count that shares nothing with the tool."""
import random
import unittest
from collections import Counter

import fastq_qc
from fastq_qc import QUICK, good, parsed, real, record, records, row

SOME = 2000 if QUICK else None  # of the real reads

ADAPTERS = {  # Illumina and SOLiD adapters by their first twelve bases; see the tool's README
    'illumina_universal': 'AGATCGGAAGAG',
    'illumina_small_rna_3': 'TGGAATTCTCGG',
    'illumina_small_rna_5': 'GATCGTCGGACT',
    'nextera': 'CTGTCTCTTATA',
    'solid_small_rna': 'CGCCTTGGCCGT',
    'poly_a': 'A' * 12,
    'poly_g': 'G' * 12,
}


def bin_firsts(end):
    """The first position (from 0) of each bin below end: single to 512, then 8 an octave."""
    firsts, width = list(range(512)), 64
    while firsts[-1] < end:
        start = firsts[-1] + 1 if width == 64 else firsts[-1] + width // 2
        firsts += [start + i * width for i in range(8)]
        width *= 2
    return firsts


FIRSTS = bin_firsts(1 << 19)


def bin_of(position):
    low, high = 0, len(FIRSTS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if FIRSTS[middle] <= position else (low, middle)
    return low


def percent(part, whole):
    return (part * 20000 + whole) // (2 * whole) / 100


class Counts(unittest.TestCase):
    def compare(self, data):
        found = parsed(data)
        bins = {p: bin_of(p) for p in range(3000)}
        quality, composition = Counter(), Counter()
        lengths, means, gc = Counter(), Counter(), Counter()
        reads = bases = 0
        for item in records(data):
            _, sequence, _, scores = item.decode().splitlines()
            reads += 1
            bases += len(sequence)
            lengths[bins[len(sequence) - 1] + 1] += 1
            values = [ord(c) - 33 for c in scores]
            means[sum(values) // len(values)] += 1
            for i, (base, value) in enumerate(zip(sequence, values)):
                quality[bins[i], value] += 1
                composition[bins[i], base] += 1
            called = Counter(sequence)
            strong = called['G'] + called['C']
            total = strong + called['A'] + called['T']
            if total:
                gc[int(100 * strong / total + 0.5)] += 1
        self.assertEqual(found['reads'], reads)
        self.assertEqual(found['bases'], bases)
        self.assertEqual(row(found['lengths'], 600), [lengths[i] for i in range(600)])
        self.assertEqual(row(found['mean_quality'], 94), [means[i] for i in range(94)])
        self.assertEqual(row(found['gc'], 101), [gc[i] for i in range(101)])
        self.assertEqual(len(found['quality']), max(lengths))
        for i, encoded in enumerate(found['quality']):
            self.assertEqual(row(encoded, 94), [quality[i, q] for q in range(94)])
        for i, five in enumerate(found['composition']):
            self.assertEqual(five, [composition[i, b] for b in 'ACGTN'])
        by_base = Counter()
        for (_, base), count in composition.items():
            by_base[base] += count
        self.check_derived(found, quality, by_base)

    def check_derived(self, found, quality, by_base):
        derived, bases = found['derived'], found['bases']
        called = bases - by_base['N']
        self.assertEqual(derived['gc_percent'], percent(by_base['G'] + by_base['C'], called))
        self.assertEqual(derived['n_percent'], percent(by_base['N'], bases))
        q30 = sum(n for (_, q), n in quality.items() if q >= 30)
        self.assertEqual(derived['q30_percent'], percent(q30, bases))
        total = sum(q * n for (_, q), n in quality.items())
        self.assertEqual(derived['mean_quality'], (total * 200 + bases) // (2 * bases) / 100)
        for i, (first, last, count, summed, *ranks) in enumerate(derived['positions']):
            self.assertEqual((first, last), (FIRSTS[i] + 1, FIRSTS[i + 1]))
            values = sorted(q for q in range(94) for _ in range(quality[i, q]))
            self.assertEqual((count, summed), (len(values), sum(values)))
            nearest = [values[max(0, -(-p * count // 100) - 1)] for p in (10, 25, 50, 75, 90)]
            self.assertEqual(ranks, nearest)

    def test_short_reads(self):
        self.compare(b''.join(records(real('reads_1'))[:SOME]))

    def test_long_reads(self):
        self.compare(b''.join(records(real('longreads'))[:SOME]))

    def test_bins_of_very_long_reads(self):
        for length in 511, 512, 513, 1023, 1024, 1025, 100_000, 500_000:
            found = parsed(record('A' * length))
            with self.subTest(length=length):
                self.assertEqual(len(found['quality']), bin_of(length - 1) + 1)
                widths = [FIRSTS[i + 1] - FIRSTS[i] for i in range(len(found['quality']))]
                counts = [sum(row(r, 94)) for r in found['quality']]
                self.assertEqual(counts[:-1], widths[:-1])
                self.assertEqual(sum(counts), length)

    def test_adapters_where_they_first_occur(self):
        chance = random.Random(7)
        expected, data, held = {name: Counter() for name in ADAPTERS}, [], Counter()
        for _ in range(2000):
            bases = ''.join(chance.choices('ACGTN', [24, 24, 24, 24, 4], k=chance.randrange(0, 700)))
            for _ in range(chance.randrange(3)):
                at = chance.randrange(len(bases) + 1)
                planted = chance.choice(list(ADAPTERS.values()))[:chance.choice([12, 12, 11])]
                bases = bases[:at] + planted + bases[at:]
            if chance.random() < 0.1:
                bases = bases.lower()
            for name, sequence in ADAPTERS.items():
                at = bases.upper().find(sequence)
                if at >= 0:
                    expected[name][bin_of(at)] += 1
                    held[name] += 1
            data.append(record(bases))
        found = parsed(b''.join(data))
        self.assertEqual(set(found['adapters']), set(ADAPTERS))
        for name, counts in expected.items():
            self.assertGreater(sum(counts.values()), 50)
            self.assertEqual(row(found['adapters'][name], 592), [counts[i] for i in range(592)])
            self.assertEqual(found['derived']['adapter_percent'][name], percent(held[name], 2000))

    def test_duplicates_are_exact_when_they_fit_the_sample(self):
        kinds = records(real('reads_1'))[:1500]
        kinds = [k for k in kinds if len(k.splitlines()[1]) >= 76]
        data = b''.join(kind * (1 + i % 3) for i, kind in enumerate(kinds))
        prefixes = {kind.splitlines()[1][:50] for kind in kinds}
        found = parsed(data)
        self.assertEqual(found['sample']['level'], 0)
        self.assertEqual(len(found['sample']['sequences']), len(prefixes))
        reads = found['reads']
        self.assertEqual(sum(found['sample']['sequences'].values()), reads)
        self.assertEqual(found['derived']['duplicate_percent'],
                         percent(reads - len(prefixes), reads))

    def test_duplicates_are_estimated_beyond_it(self):
        chance = random.Random(11)
        kinds = [''.join(chance.choices('ACGT', k=40)) for _ in range(20_000)]
        data = b''.join(record(chance.choice(kinds)) for _ in range(30_000))
        distinct = len({item.splitlines()[1] for item in records(data)})
        found = parsed(data)
        self.assertGreater(found['sample']['level'], 2)
        truth = 100 * (30_000 - distinct) / 30_000
        self.assertAlmostEqual(found['derived']['duplicate_percent'], truth, delta=4)
        self.assertIn(b'estimated', good(data))

    def test_what_counts_as_the_same_sequence(self):
        long = 'ACGTACGTAC' * 8  # 80 bases: compared by the first 50
        table = [
            ([long, long[:60] + 'T' * 20], 1),
            ([long, 'T' + long[1:]], 2),
            ([long[:60], long[:59] + 'T'], 2),  # 60 bases: compared as a whole
            (['ACGT', 'acgt'], 1),
            (['A', 'AA', 'AAA'], 3),
            (['', ''], 0),  # nothing to compare
        ]
        for sequences, expected in table:
            found = parsed(b''.join(map(record, sequences)))
            self.assertEqual(len(found['sample']['sequences']), expected, sequences)

    def test_letters(self):
        found = parsed(record('ACGTUacgtuNnRYSWKMBDHV.-'))
        total = [sum(five[i] for five in found['composition']) for i in range(5)]
        self.assertEqual(total, [2, 2, 2, 4, 14])

    def test_old_qualities_are_pointed_out(self):
        self.assertIn(b'Phred+64', good(record('ACGT', 'Bhgh')))
        self.assertNotIn(b'Phred+64', good(record('ACGT', '#IIK')))


if __name__ == '__main__':
    fastq_qc.main()
