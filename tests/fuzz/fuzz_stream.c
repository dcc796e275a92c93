/* What somebody answers who takes events: a frame of any bytes, in the midst of a session. Refused in words,
 * or taken; nothing that has no answer is lost, and all of it is sent again in a new session. */
#include "base/check.h"
#include "cli/stream.h"
#include "tests/fuzz/fuzz.h"

#define EVENTS 20u

static void on_note(void *arg, uint64_t line, const struct event_note *note)
{
	(void)arg;
	(void)note;
	CHECK(line >= 101 && line <= 100 + EVENTS);
}

static void begin(struct stream *s)
{
	const struct producer_welcome welcome = {
	    .wire = WIRE_VERSION, .session = 1, .credit_events = EVENTS - 5, .credit_bytes = 1000};
	struct buf frame = {0};
	enum stream_news news;

	for (uint32_t i = 1; i <= EVENTS; i++)
		stream_add(s, BYTES_LIT("{}"), 100 + i);
	codec_union_encode(&message_union, MESSAGE_PRODUCER_WELCOME, &welcome, &frame);
	CHECK(stream_take(s, buf_bytes(&frame), on_note, NULL, &news, NULL) == 0 && news == STREAM_ANSWERED);
	buf_clear(&frame);
	CHECK(stream_frame(s, &frame));
	buf_fini(&frame);
}

static void check_rest(struct stream *s)
{
	uint64_t answered = s->answered;
	struct buf out = {0};
	size_t frames = 0;

	CHECK(answered + s->count == EVENTS && s->sent <= s->count);
	stream_hello(s, &out);
	s->session = 2;
	s->credit_events = 2 * EVENTS;
	s->credit_bytes = 1000;
	buf_clear(&out);
	while (stream_frame(s, &out))
		frames++;
	CHECK(frames == (answered < EVENTS) && s->sent == s->count);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream s = {0};
	struct error e = {0};
	enum stream_news news;

	begin(&s);
	if (stream_take(&s, BYTES(data, size), on_note, NULL, &news, &e) < 0)
		CHECK(e.code < 0 && e.what[0] != '\0');
	check_rest(&s);
	stream_fini(&s);
	return 0;
}
