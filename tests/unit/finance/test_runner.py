"""finance-var as a resident runner: the messages of worker/run/runner_protocol.h, spoken from the other side."""
import finance_var
from finance_var import Files, good, message, messages, run

SCENARIOS = 1003


class Runner(Files):
    def talk(self, *sent, options=None):
        code, out, err = run(*(options or self.options()), '--scenarios', SCENARIOS, '--runner',
                             data=message(type='hello', protocol=1, whole=True) + b''.join(sent))
        return code, list(messages(out)), err

    def test_a_job_of_shards_is_the_report_of_all_scenarios(self):
        for shards in (1, 10, 400, 1003, 2000):  # of the last, many have no scenario left
            runs = [message(type='run', token='1-2', first=first, count=min(250, shards - first))
                    for first in range(0, shards, 250)]
            code, answers, err = self.talk(message(type='job', job=1, shards=shards), *runs)
            self.assertEqual(code, 0, err)
            self.assertEqual(answers[0], {'type': 'hello', 'protocol': 1})
            self.assertEqual([(a['first'], a['count']) for a in answers[1:]],
                             [(first, min(250, shards - first)) for first in range(0, shards, 250)])
            self.assertEqual(good('--merge', '--json', data=b''.join(a['result'] for a in answers[1:])),
                             good(*self.options(), '--scenarios', SCENARIOS, '--json'))

    def test_bad_data_fails_each_shard_with_its_words(self):
        options = self.options(positions='asset,quantity\nXX,1\n')
        code, answers, _ = self.talk(message(type='job', job=1, shards=3),
                                     message(type='run', token='1-2', first=0, count=3), options=options)
        self.assertEqual(code, 0)
        failed = answers[1]['failed']
        self.assertEqual([f[:3] for f in failed], [[n, 'exit', 2] for n in range(3)])
        self.assertIn('positions.csv:2: no prices of "XX"', failed[0][3])

    def test_many_failures_are_told_in_pieces(self):
        code, answers, _ = self.talk(message(type='job', job=1, shards=10000),
                                     message(type='run', token='1-2', first=500, count=2500),
                                     options=self.options(positions='asset,quantity\nXX,1\n'))
        self.assertEqual(code, 0)
        self.assertEqual([(a['first'], a['count'], len(a['failed'])) for a in answers[1:]],
                         [(500, 1000, 1000), (1500, 1000, 1000), (2500, 500, 500)])

    def test_it_serves_job_after_job(self):
        code, answers, _ = self.talk(message(type='job', job=1, shards=2),
                                     message(type='run', token='1-2', first=1, count=1),
                                     message(type='job', job=2, shards=4),
                                     message(type='run', token='1-3', first=0, count=1))
        self.assertEqual(code, 0)
        for answer, first, count in ((answers[1], 502, 501), (answers[2], 0, 251)):
            self.assertEqual(answer['result'],
                             good(*self.options(), '--first', first, '--scenarios', count, '--tally'))

    def test_what_is_no_message_ends_it_in_words(self):
        for data, words in ((b'{"type":"hello"}\n', 'run.format is msgpack'), (b'\0\0', 'cut short'),
                            (message(type='run', first=0, count=1), 'expected hello, job or a run'),
                            (message(type='hello', protocol=1), 'use a worker of the same version')):
            code, _, err = run(*self.options(), '--runner', data=data)
            self.assertEqual(code, 2)
            self.assertIn(words, err)


finance_var.main()
