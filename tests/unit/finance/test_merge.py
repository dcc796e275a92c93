"""Parts of the scenarios, merged: byte for byte the report of all."""
import random

import finance_var
from finance_var import Files, good, run

SCENARIOS = 3000


class Merge(Files):
    def setUp(self):
        super().setUp()
        self.inputs = self.options()

    def part(self, first, count, form='--tally'):
        return good(*self.inputs, '--first', first, '--scenarios', count, form)

    def parts(self, sizes, form=None):
        first, out = 0, []
        for n, size in enumerate(sizes):
            out.append(self.part(first, size, form or ('--json' if n % 3 == 0 else '--tally')))
            first += size
        return out

    def test_any_parts_in_any_order_make_the_whole(self):
        whole = self.part(0, SCENARIOS, '--json')
        text = good(*self.inputs, '--scenarios', SCENARIOS)
        for sizes in ([SCENARIOS], [1, SCENARIOS - 1], [999, 1, 1000, 1000], [300] * 10):
            parts = self.parts(sizes)
            random.Random(len(sizes)).shuffle(parts)
            with self.subTest(sizes):
                self.assertEqual(good('--merge', '--json', data=b''.join(parts)), whole)
                self.assertEqual(good('--merge', data=b''.join(parts)), text)

    def test_merging_merged_parts_is_the_same(self):
        parts = self.parts([500] * 6)
        middle = [good('--merge', '--tally', data=b''.join(parts[i:i + 2])) for i in (0, 2)]
        middle.append(good('--merge', '--json', data=b''.join(parts[4:])))
        self.assertEqual(good('--merge', '--json', data=b''.join(middle)), self.part(0, SCENARIOS, '--json'))

    def test_threads_say_nothing(self):
        for threads in (2, 3, 16):
            self.assertEqual(good(*self.inputs, '--scenarios', SCENARIOS, '--threads', threads, '--json'),
                             self.part(0, SCENARIOS, '--json'))

    def test_parts_in_files(self):
        names = []
        for n, part in enumerate(self.parts([100, 200])):
            names.append(f'{self.directory.name}/{n}')
            with open(names[-1], 'wb') as f:
                f.write(part)
        self.assertEqual(good('--merge', '--json', *names), self.part(0, 300, '--json'))

    def test_scenarios_that_are_missing_are_told(self):
        parts = self.parts([100, 200, 300])
        report = good('--merge', data=parts[0] + parts[2]).decode()
        self.assertIn('200 scenarios are missing', report)
        self.assertNotIn('missing', good('--merge', data=b''.join(parts)).decode())

    def test_what_does_not_add_up_is_refused(self):
        a, b = self.parts([100, 100])
        other = good(*self.inputs, '--first', 100, '--scenarios', 100, '--seed', 2, '--tally')
        changed = self.options(positions='asset,quantity\nA0,101\n')
        positions = good(*changed, '--first', 100, '--scenarios', 100, '--tally')
        for name, data, words in (
                ('twice', a + b + a, 'scenario 0 is there twice'),
                ('another seed', a + other, 'different seeds'),
                ('other positions', a + positions, 'positions'),
                ('cut short', a + b[:-1], 'cut short'),
                ('json cut short', a[:-20], 'expected JSON'),
                ('no tally', a + b'hello', 'expected a tally'),
                ('nothing', b'', 'found none')):
            with self.subTest(name):
                code, out, err = run('--merge', data=data)
                self.assertEqual((code, out), (2, b''), err)
                self.assertIn(words, err)


finance_var.main()
