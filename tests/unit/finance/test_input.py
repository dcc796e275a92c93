"""What finance-var refuses, and in which words: file, line, what is wrong, what to do."""
import finance_var
from finance_var import Files, good, run, walk


def change(line, column, value):
    """The price file with one field changed; line 1 is the header."""
    rows = walk()
    rows[line - 1][column] = value
    return rows


def without(first, last):
    rows = walk()
    return rows[:first - 1] + rows[last:]


def swapped():
    rows = walk()
    rows[9], rows[10] = rows[10], rows[9]
    return rows


PRICES = [  # name, rows, line (None: the file), words, advice
    ('a hole', change(7, 2, ''), 7, 'A1 has no price on 1999-01-11', 'fill it in'),
    ('a hole named NA', change(7, 5, 'NA'), 7, 'A4 has no price on', 'fill it in'),
    ('days that are missing', without(20, 40), 20, 'a hole of', 'add the days'),
    ('unsorted', swapped(), 11, 'dates must grow', 'sort the price file by date'),
    ('a day twice', change(12, 0, walk()[10][0]), 12, 'is there twice', 'leave one'),
    ('no number', change(5, 1, '12,5 EUR'), 5, 'expected 6 fields as in the first line, found 7', 'comma'),
    ('a word', change(5, 1, 'twelve'), 5, 'A0: expected a price such as 43.38, found "twelve"', 'decimal'),
    ('hexadecimal', change(5, 1, '0x10'), 5, 'A0: expected a price', 'decimal'),
    ('infinity', change(5, 1, '1e999'), 5, 'A0: expected a price', 'decimal'),
    ('zero', change(5, 3, '0'), 5, 'A2: expected a price above 0, found "0"', 'ratios'),
    ('negative', change(5, 3, '-3'), 5, 'A2: expected a price above 0', 'ratios'),
    ('a quote', change(5, 3, '"3"'), 5, 'found a quote', 'without quotes'),
    ('no date', change(5, 0, '04.01.1999'), 5, 'expected a date YYYY-MM-DD', '2001-01-02'),
    ('no such day', change(5, 0, '1999-02-29'), 5, 'expected a date YYYY-MM-DD', '2001-01-02'),
    ('cut short', change(5, 0, '1999-01-07')[:4] + [['1999-01-07', '20.10']], 5, 'found 2', 'cut short'),
    ('no header', walk()[1:], 1, 'expected a first line `date,ASSET', 'names its columns'),
    ('a column without a name', change(1, 2, ''), 1, 'column 3: expected the name', 'name each'),
    ('a column twice', change(1, 2, 'A0'), 1, 'two columns are named "A0"', 'leave one'),
    ('too short a history', walk()[:30], None, 'at least 30 days, found 29', 'more of it'),
    ('nothing', [], 0, 'found nothing', 'begin the price file'),
]

POSITIONS = [
    ('no header', 'A0,100\n', 1, 'expected a first line `asset,quantity`', 'begin the positions file'),
    ('unknown asset', 'asset,quantity\nA0,1\nB1,2\n', 3, 'no prices of "B1"', 'did you mean A1?'),
    ('an asset twice', 'asset,quantity\nA0,1\nA0,2\n', 3, 'A0 is there twice', 'add the two up'),
    ('no number', 'asset,quantity\nA0,many\n', 2, 'A0: expected a quantity', 'plain number'),
    ('no quantity', 'asset,quantity\nA0,\n', 2, 'A0: expected a quantity', 'plain number'),
    ('separated thousands', 'asset,quantity\nA0,1,000\n', 2, 'expected 2 fields', 'separators'),
    ('none', 'asset,quantity\n', None, 'expected at least one position', 'add a line'),
    ('nothing', '', 0, 'found nothing', 'begin the positions file'),
    ('worth nothing', 'asset,quantity\nA0,0\n', None, 'less than 0.01', 'not 0'),
    ('worth too much', 'asset,quantity\nA0,1e12\nA1,1e12\n', None, 'worth more than', 'millions'),
]


class Input(Files):
    def refused(self, name, options, file, line, words, advice):
        with self.subTest(name):
            code, out, err = run(*options, '--scenarios', 10)
            self.assertEqual((code, out), (2, b''), err)
            place = f'{self.directory.name}/{file}' + ('' if line is None else f':{line}')
            self.assertIn(place + ': ', err)
            self.assertIn(words, err)
            self.assertIn(advice, err)
            self.assertEqual(err.count('\n'), 1)

    def test_bad_prices_are_told_by_line(self):
        for name, rows, line, words, advice in PRICES:
            self.refused(name, self.options(rows or [['']]), 'prices.csv', line or (1 if line == 0 else None),
                         words, advice)

    def test_bad_positions_are_told_by_line(self):
        for name, content, line, words, advice in POSITIONS:
            options = self.options(positions=content)
            self.refused(name, options, 'positions.csv', line, words, advice)

    def test_a_long_weekend_is_no_hole(self):
        rows = walk()
        good(*self.options(rows[:30] + rows[36:]), '--scenarios', 10)

    def test_a_file_that_is_not_there(self):
        options = self.options()
        code, out, err = run('--prices', '/nowhere/p.csv', *options[2:])
        self.assertEqual((code, out), (2, b''))
        self.assertIn('/nowhere/p.csv', err)

    def test_positions_may_be_named_as_events_name_them(self):
        options = self.options() + ['--scenarios', 100]
        expected = good(*options)
        options[3] = 'file://' + options[3]
        self.assertEqual(good(*options), expected)
        self.assertEqual(good(*options[2:]), expected)  # prices.csv beside them
        code, _, err = run('--positions', 's3://no-key')
        self.assertEqual(code, 2)
        self.assertIn('s3://no-key', err)

    def test_usage(self):
        options = self.options()
        for wrong in (['--scenarios', '0'], ['--scenarios', '-3'], ['--horizon', '251'], ['--decay', '1.5'],
                      ['--decay', 'x'], ['--threads', '0'], ['--first', '4294967294'], ['file.csv']):
            code, out, err = run(*options, *wrong)
            self.assertEqual((code, out), (1, b''), wrong)
            self.assertIn('finance-var: ', err)
        self.assertEqual(run('--prices', options[1])[0], 1)  # without positions


finance_var.main()
