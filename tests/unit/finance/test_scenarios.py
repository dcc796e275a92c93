"""Each scenario's profit, to the cent, against the same arithmetic in Python."""
import json

import finance_var
from finance_var import Files, cells, good, profits, walk

HOLDINGS = {'A0': 100, 'A1': -30.5, 'A3': 7}
CASES = [  # horizon, decay, seed, first scenario
    (10, '0.94', 1, 0),
    (1, '0.94', 1, 0),
    (10, '1', 1, 0),
    (5, '0.5', 2 ** 64 - 1, 0),
    (13, '0.97', 7, 4294967000),
]


class Scenarios(Files):
    def test_profits_are_those_of_the_same_arithmetic_in_python(self):
        rows = walk()
        options = self.options(rows)
        for horizon, decay, seed, first in CASES:
            with self.subTest(horizon=horizon, decay=decay, seed=seed, first=first):
                report = json.loads(good(*options, '--scenarios', 200, '--horizon', horizon, '--decay',
                                         decay, '--seed', seed, '--first', first, '--json'))
                numbers = profits(rows, HOLDINGS, range(first, first + 200), horizon, float(decay), seed)
                self.assertEqual(report['worst_cents'], min(numbers))
                self.assertEqual(report['best_cents'], max(numbers))
                width, expected = report['bin_cents'], {}
                for cents in numbers:
                    floor = cents // width * width
                    count, rest = expected.get(floor, (0, 0))
                    expected[floor] = (count + 1, rest + cents - floor)
                self.assertEqual(cells(report), [(f, *expected[f]) for f in sorted(expected)])

    def test_one_scenario_by_itself_is_the_same(self):
        options = self.options() + ['--json']
        alone = [json.loads(good(*options, '--first', n, '--scenarios', 1)) for n in (0, 1, 77)]
        rows = walk()
        expected = profits(rows, HOLDINGS, (0, 1, 77), 10, 0.94, 1)
        self.assertEqual([a['worst_cents'] for a in alone], expected)

    def test_the_order_of_positions_says_nothing(self):
        a = self.options() + ['--scenarios', 500, '--json']
        first = good(*a)
        b = self.options(positions='# reversed\nasset,quantity\r\nA3, 7\r\n\r\nA1,-30.5\r\nA0 ,100')
        self.assertEqual(good(*b, '--scenarios', 500, '--json'), first)

    def test_a_price_that_never_moves_is_no_risk(self):
        rows = [row[:2] + ['50'] + row[3:] if n else row for n, row in enumerate(walk())]
        options = self.options(rows, 'asset,quantity\nA1,10\n')
        report = json.loads(good(*options, '--scenarios', 100, '--json'))
        self.assertEqual((report['worst_cents'], report['best_cents']), (0, 0))

    def test_a_short_position_is_the_mirror_of_a_long_one(self):
        long = json.loads(good(*self.options(positions='asset,quantity\nA2,10\n'), '--scenarios', 300,
                               '--json'))
        short = json.loads(good(*self.options(positions='asset,quantity\nA2,-10\n'), '--scenarios', 300,
                                '--json'))
        self.assertEqual(short['worst_cents'], -long['best_cents'])
        self.assertEqual(short['best_cents'], -long['worst_cents'])


finance_var.main()
