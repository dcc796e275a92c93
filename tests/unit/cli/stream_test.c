/* What emit --stream holds until it is answered: bodies, their numbers and lines, over sessions. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "cli/stream.h"

#define SEED 20240522u

static struct stream stream;
static struct arena arena;
static uint64_t noted[64], noted_count;

static void setup(void)
{
	arena_init(&arena, 0);
	noted_count = 0;
}

static void teardown(void)
{
	stream_fini(&stream);
	arena_fini(&arena);
}

TestSuite(stream, .init = setup, .fini = teardown);

static void on_note(void *arg, uint64_t line, const struct event_note *note)
{
	(void)arg;
	(void)note;
	noted[noted_count++ % 64] = line;
}

static int hear(enum message_type type, const void *body, enum stream_news *news, struct error *e)
{
	struct buf frame = {0};
	int rc;

	codec_union_encode(&message_union, type, body, &frame);
	rc = stream_take(&stream, buf_bytes(&frame), on_note, NULL, news, e);
	buf_fini(&frame);
	return rc;
}

static void welcome(uint64_t session, uint32_t events, uint64_t bytes)
{
	enum stream_news news;

	cr_assert_eq(hear(MESSAGE_PRODUCER_WELCOME,
			  &(struct producer_welcome){.wire = WIRE_VERSION,
						     .session = session,
						     .credit_events = events,
						     .credit_bytes = bytes},
			  &news, NULL),
		     0);
	cr_assert_eq(news, STREAM_ANSWERED);
}

static void add(uint64_t line)
{
	char text[40];

	snprintf(text, sizeof text, "{\"line\":%llu}", (unsigned long long)line);
	stream_add(&stream, bytes_of(text), line);
}

static const struct events *next_frame(void)
{
	static struct buf frame;
	struct bytes in;
	uint32_t type;
	void *body;

	buf_clear(&frame);
	if (!stream_frame(&stream, &frame))
		return NULL;
	in = buf_bytes(&frame);
	cr_assert_eq(codec_union_decode(&message_union, &in, &type, &body, &arena, NULL), 0);
	cr_assert_eq(type, MESSAGE_EVENTS);
	return body;
}

static struct events_answer answer(uint64_t session, uint64_t durable)
{
	return (struct events_answer){
	    .session = session, .durable = durable, .credit_events = 100, .credit_bytes = 1 * MIB};
}

Test(stream, nothing_is_sent_before_a_welcome_and_no_more_than_the_credit)
{
	const struct events *m;

	for (uint64_t line = 1; line <= 5; line++)
		add(line);
	cr_expect_null(next_frame());
	welcome(7, 3, 1 * MIB);
	m = next_frame();
	cr_assert_not_null(m);
	cr_expect_eq(m->session, 7);
	cr_expect_eq(m->first, 1);
	cr_expect_eq(m->bodies.count, 3);
	cr_expect(bytes_equal(m->bodies.items[2].body, BYTES_LIT("{\"line\":3}")));
	cr_expect_null(next_frame());
	cr_expect(stream_waits(&stream));
}

Test(stream, bytes_are_credit_too)
{
	for (uint64_t line = 1; line <= 5; line++)
		add(line);
	welcome(7, 100, 25);
	cr_expect_eq(next_frame()->bodies.count, 2);
	cr_expect_null(next_frame());
}

Test(stream, an_answer_lets_go_and_names_lines)
{
	struct event_note note = {.number = 2, .code = BYTES_LIT("invalid"), .why = BYTES_LIT("no event")};
	struct events_answer a = answer(7, 2);
	enum stream_news news;

	for (uint64_t line = 11; line <= 13; line++)
		add(line);
	welcome(7, 100, 1 * MIB);
	cr_assert_eq(next_frame()->bodies.count, 3);
	a.notes = (struct event_note_list){&note, 1};
	cr_assert_eq(hear(MESSAGE_EVENTS_ANSWER, &a, &news, NULL), 0);
	cr_expect_eq(noted_count, 1);
	cr_expect_eq(noted[0], 12);
	cr_expect_eq(stream.answered, 2);
	cr_expect_eq(stream.count, 1);
	cr_expect_eq(stream.refused, 1);
}

Test(stream, after_who_all_that_is_not_answered_is_sent_again)
{
	struct events_answer a = answer(7, 2);
	struct who who = {.session = 7};
	enum stream_news news;
	struct buf hello = {0};
	const struct events *m;

	for (uint64_t line = 1; line <= 5; line++)
		add(line);
	welcome(7, 100, 1 * MIB);
	cr_assert_eq(next_frame()->bodies.count, 5);
	cr_assert_eq(hear(MESSAGE_EVENTS_ANSWER, &a, &news, NULL), 0);
	cr_assert_eq(hear(MESSAGE_WHO, &who, &news, NULL), 0);
	cr_assert_eq(news, STREAM_AGAIN);
	stream_hello(&stream, &hello);
	cr_expect_null(next_frame());
	welcome(8, 100, 1 * MIB);
	a.durable = 4; /* late, of the session that is over */
	cr_assert_eq(hear(MESSAGE_EVENTS_ANSWER, &a, &news, NULL), 0);
	cr_assert_eq(news, STREAM_NOTHING);
	cr_assert_eq(hear(MESSAGE_WHO, &who, &news, NULL), 0);
	cr_assert_eq(news, STREAM_NOTHING);
	m = next_frame();
	cr_expect_eq(m->first, 3);
	cr_expect_eq(m->session, 8);
	cr_expect_eq(m->bodies.count, 3);
	cr_expect(bytes_equal(m->bodies.items[0].body, BYTES_LIT("{\"line\":3}")));
	buf_fini(&hello);
}

Test(stream, what_no_dispatcher_says_is_refused_in_words)
{
	struct event_note note = {.number = 9};
	struct events_answer far = answer(7, 2), strange = answer(7, 1);
	struct refused refused = {.why = BYTES_LIT("go away")};
	enum stream_news news;
	struct error e;

	add(1);
	welcome(7, 100, 1 * MIB);
	cr_assert_not_null(next_frame());
	strange.notes = (struct event_note_list){&note, 1};
	cr_expect_eq(hear(MESSAGE_EVENTS_ANSWER, &far, &news, &e), ERR_INVALID);
	cr_expect_eq(hear(MESSAGE_EVENTS_ANSWER, &strange, &news, &e), ERR_INVALID);
	cr_expect_eq(stream_take(&stream, BYTES_LIT("\xff"), on_note, NULL, &news, &e), ERR_INVALID);
	cr_expect_eq(hear(MESSAGE_DRAIN, &(struct drain){1}, &news, &e), ERR_INVALID);
	cr_expect_eq(hear(MESSAGE_REFUSED, &refused, &news, &e), ERR_DENIED);
	cr_expect(strstr(e.what, "go away") != NULL, "%s", e.what);
	cr_expect_eq(stream.count, 1);
}

/* Any order of lines, frames, answers and lost sessions: each line arrives, in order, and is let go once. */
Test(stream, each_line_arrives)
{
	uint64_t added = 0, durable = 0, session = 0, expected = 1;
	enum stream_news news;
	struct buf hello = {0};
	struct rng r;

	rng_seed(&r, SEED);
	while (durable < 5000) {
		const struct events *m;

		arena_reset(&arena);
		for (uint64_t n = rng_below(&r, 20); n > 0; n--)
			add(++added);
		if (session == 0 || rng_below(&r, 30) == 0) {
			stream_hello(&stream, &hello);
			welcome(++session, (uint32_t)rng_below(&r, 50), rng_below(&r, 2000));
			expected = durable + 1;
		}
		while ((m = next_frame()) != NULL) {
			cr_assert_eq(m->first, expected, "seed %u", SEED);
			for (uint32_t i = 0; i < m->bodies.count; i++, expected++) {
				char text[40];

				snprintf(text, sizeof text, "{\"line\":%llu}", (unsigned long long)expected);
				cr_assert(bytes_equal(m->bodies.items[i].body, bytes_of(text)), "seed %u",
					  SEED);
			}
		}
		durable += rng_below(&r, (uint32_t)(expected - durable));
		struct events_answer a = answer(session, durable);

		a.credit_events = (uint32_t)rng_below(&r, 50);
		cr_assert_eq(hear(MESSAGE_EVENTS_ANSWER, &a, &news, NULL), 0, "seed %u", SEED);
		cr_assert_eq(stream.count, added - durable);
	}
	buf_fini(&hello);
}
