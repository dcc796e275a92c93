"""Reports of the parts of a file, merged, are byte for byte the report of the whole."""
import random
import unittest

import fastq_qc
from fastq_qc import QUICK, merge, real, records, report

SEED = 20240611
SIZES = {  # reads a shard; a quick test leaves out the smallest shards, for each is a process
    'reads_1': [97, 500, 1024, 3333, 9999],
    'longreads': [61, 250, 1000, 2999, 5999],
}


def cut(items, at):
    """The items in parts that end at the given places."""
    bounds = [0, *sorted(at), len(items)]
    return [items[a:b] for a, b in zip(bounds, bounds[1:])]


def reports_of(parts):
    return [report(b''.join(part)) for part in parts]


class Merge(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(SEED)
        print(f'seed {SEED}')

    def cut_evenly(self, name):
        items = records(real(name))
        whole = report(b''.join(items))
        for size in SIZES[name][1 if QUICK else 0:]:
            with self.subTest(name=name, reads_per_shard=size):
                parts = cut(items, range(size, len(items), size))
                self.assertEqual(merge(reports_of(parts)), whole)

    def test_short_reads_in_shards_of_all_sizes(self):
        self.cut_evenly('reads_1')

    def test_long_reads_in_shards_of_all_sizes(self):
        self.cut_evenly('longreads')

    def test_one_read_a_shard(self):
        # 2048 sequences fit the sample: with 2200 its level rises while the parts come in. Most of them are in
        # the first shard.
        for name, count, first in ('reads_1', 2200, 2000 if QUICK else 1500), ('longreads', 200, 150 if QUICK else 1):
            items = records(real(name))[:count]
            parts = cut(items, range(first, len(items)))
            self.assertEqual(merge(reports_of(parts)), report(b''.join(items)))

    def test_random_cuts_and_empty_shards(self):
        for name in 'reads_1', 'reads_2', 'longreads':
            items = records(real(name))
            whole = report(b''.join(items))
            for count in (1, 2, 9) if QUICK else (1, 2, 7, 40):
                with self.subTest(name=name, cuts=count):
                    at = [self.random.randrange(len(items) + 1) for _ in range(count)]
                    parts = cut(items, [0, *at, at[0], len(items)])
                    self.assertIn([], parts)
                    self.assertEqual(merge(reports_of(parts)), whole)

    def test_order_and_grouping_make_no_difference(self):
        items = records(real('reads_1')) + records(real('longreads'))
        whole = report(b''.join(items))
        at = [self.random.randrange(len(items)) for _ in range(30)]
        parts = reports_of(cut(items, at))
        for _ in range(2 if QUICK else 5):
            self.random.shuffle(parts)
            self.assertEqual(merge(parts), whole)
            # Two levels, as a tree of gathers would do it.
            at = [self.random.randrange(len(parts)) for _ in range(6)]
            groups = [merge(group) for group in cut(parts, at)]
            self.assertEqual(merge(groups), whole)

    def test_order_of_reads_makes_no_difference(self):
        items = records(real('reads_2'))
        whole = report(b''.join(items))
        self.random.shuffle(items)
        self.assertEqual(report(b''.join(items)), whole)

    def test_different_reads_give_different_reports(self):
        # The comparisons above would hold for a tool that always says the same.
        items = records(real('reads_1'))
        whole = report(b''.join(items))
        self.assertNotEqual(report(b''.join(items[1:])), whole)
        self.assertNotEqual(merge(reports_of([items[:5000], items[5001:]])), whole)

    def test_merging_one_or_none(self):
        one = report(real('reads_1'))
        self.assertEqual(merge([one]), one)
        self.assertEqual(merge([]), report(b''))
        self.assertEqual(merge([report(b''), one, b'\n', report(b'')]), one)

    def test_text_of_a_merged_report_is_the_text_of_the_whole(self):
        items = records(real('reads_1'))
        parts = reports_of(cut(items, [10, 4000]))
        text = fastq_qc.good(b''.join(items))
        self.assertEqual(fastq_qc.good(b''.join(parts), '--merge'), text)
        self.assertIn(b'10000 reads, 1088399 bases', text)
        for title in (b'Quality by position', b'Reads by mean quality', b'Reads by G+C percent',
                      b'Reads by length', b'Bases by position', b'Adapters',
                      b'Reads by how often'):
            self.assertIn(title, text)

    def test_reports_stay_compact(self):
        self.assertLess(len(report(real('reads_1'))), 100_000)
        self.assertLess(len(report(real('longreads'))), 150_000)


if __name__ == '__main__':
    fastq_qc.main()
