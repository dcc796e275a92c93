/* CloudEvents in HTTP's binary mode: attributes in headers, the body is the data. */
#include <criterion/criterion.h>
#include <string.h>

#include "jobs/event_binary.h"
#include "jobs/json.h"

#define NOW 1700000000000000

#define REQUIRED "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t"
#define HEADERS_MAX 12

struct sample {
	const char *headers[2 * HEADERS_MAX]; /* name, value, …, NULL */
	struct bytes body;
	const char *expected; /* the canonical text of the event, or what is said of the error */
	const char *where;    /* of the error; NULL: it is an event */
};

static uint32_t headers_of(const struct sample *s, struct event_header *ret)
{
	uint32_t count = 0;

	while (count < HEADERS_MAX && s->headers[2 * count] != NULL) {
		ret[count] = (struct event_header){bytes_of(s->headers[2 * count]),
						   bytes_of(s->headers[2 * count + 1])};
		count++;
	}
	return count;
}

#define EVENT(detail, rest)                                                                                  \
	"{\"detail\":" detail ",\"detail-type\":\"t\"," rest                                                 \
	"\"id\":\"1\",\"resources\":[],\"source\":\"/s\",\"time\":\"2023-11-14T22:13:20.000000Z\"}"

static const struct sample samples[] = {
    {{REQUIRED, "Content-Type", "application/json"}, BYTES_LIT("{\"a\":1}"), EVENT("{\"a\":1}", ""), NULL},
    {{"CE-SpecVersion", "1.0", "Ce-Id", "1", "ce-source", "/s", "CE-TYPE", "t", "content-type",
      "application/vnd.x+JSON ; charset=utf-8"},
     BYTES_LIT("[1]"),
     EVENT("{\"data\":[1]}", ""),
     NULL},
    {{REQUIRED, "Content-Type", "text/plain"}, BYTES_LIT("hello"), EVENT("{\"data\":\"hello\"}", ""), NULL},
    {{REQUIRED, "Content-Type", "text/plain"},
     BYTES_LIT("\xff"),
     EVENT("{\"data_base64\":\"/w==\"}", ""),
     NULL},
    {{REQUIRED}, BYTES_LIT("{}"), EVENT("{\"data_base64\":\"e30=\"}", ""), NULL},
    {{REQUIRED, "Content-Type", "application/json"}, BYTES_LIT(""), EVENT("{}", ""), NULL},
    {{REQUIRED, "ce-mine", "\"Euro \\\"%E2%82%AC\\\" 100%\"", "Content-Type", "application/json"},
     BYTES_LIT("{}"),
     EVENT("{}", "\"extensions\":{\"mine\":\"Euro \\\"\xe2\x82\xac\\\" 100%\"},"),
     NULL},
    {{"ce-id", "1", "ce-source", "/s", "ce-type", "t"}, BYTES_LIT(""), "found nothing", "ce-specversion"},
    {{"ce-specversion", "1.0", "ce-source", "/s", "ce-type", "t"},
     BYTES_LIT(""),
     "expected a string, found nothing",
     "ce-id"},
    {{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s"},
     BYTES_LIT(""),
     "expected a string, found nothing",
     "ce-type"},
    {{REQUIRED, "ce-time", "noon"}, BYTES_LIT(""), "expected a time", "ce-time"},
    {{REQUIRED, "ce-ID", "2"}, BYTES_LIT(""), "given twice", "ce-ID"},
    {{REQUIRED, "ce-data", "x"}, BYTES_LIT(""), "name of an attribute", "ce-data"},
    {{REQUIRED, "ce-", "x"}, BYTES_LIT(""), "name of an attribute", "ce-"},
    {{REQUIRED, "ce-a_b", "x"}, BYTES_LIT(""), "name of an attribute", "ce-a_b"},
    {{REQUIRED, "ce-bad", "%FF"}, BYTES_LIT(""), "UTF-8", "ce-bad"},
    {{REQUIRED, "ce-bad", "a%00b"}, BYTES_LIT(""), "NUL", "ce-bad"},
    {{REQUIRED, "Content-Type", "application/json"},
     BYTES_LIT("{"),
     "expected JSON",
     "data, line 1, column 1"},
};

Test(event_binary, each_is_an_event_or_is_refused_in_words)
{
	for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
		const struct sample *s = &samples[i];
		struct event_header headers[HEADERS_MAX];
		uint32_t count = headers_of(s, headers);
		struct event_list list = {0};
		struct buf text = {0};
		struct error e = {0};

		cr_assert(event_binary_is(headers, count), "sample %zu", i);
		if (s->where == NULL) {
			cr_assert_eq(event_binary_read(headers, count, s->body, NOW, &list, &e), 0,
				     "sample %zu: %s", i, e.what);
			cr_assert_eq(list.count, 1);
			json_write(&text, event_dom(&list.items[0]));
			cr_expect_str_eq(buf_text(&text), s->expected, "sample %zu: %s", i, buf_text(&text));
		} else {
			cr_assert_lt(event_binary_read(headers, count, s->body, NOW, &list, &e), 0,
				     "sample %zu", i);
			cr_expect_not_null(strstr(e.what, s->expected), "sample %zu: %s", i, e.what);
			cr_expect_str_eq(e.where, s->where, "sample %zu", i);
			cr_expect_not_null(strstr(e.help, "binary mode"), "sample %zu: %s", i, e.help);
			cr_expect_eq(list.count, 0);
		}
		buf_fini(&text);
		events_fini(&list);
	}
}

Test(event_binary, other_modes_have_all_of_the_event_in_the_body)
{
	static const struct sample others[] = {
	    {{"Content-Type", "application/json", "Centre", "x"}, {0}, NULL, NULL},
	    {{REQUIRED, "Content-Type", "application/cloudevents+json; charset=utf-8"}, {0}, NULL, NULL},
	    {{REQUIRED, "content-type", "APPLICATION/cloudevents-batch+json"}, {0}, NULL, NULL},
	    {{NULL}, {0}, NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
		struct event_header headers[HEADERS_MAX];

		cr_expect_not(event_binary_is(headers, headers_of(&others[i], headers)), "sample %zu", i);
	}
}
