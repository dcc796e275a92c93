#include "jobs/event_plain.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/limits.h"
#include "jobs/json_scan.h"

#define VALUES_BYTES 4096u /* of members, at first; a longer event makes it grow */

/* In the order of the canonical text; the others are read over. */
enum member {
	MEMBER_ACCOUNT,
	MEMBER_DETAIL,
	MEMBER_DETAIL_TYPE,
	MEMBER_ID,
	MEMBER_REGION,
	MEMBER_RESOURCES,
	MEMBER_SOURCE,
	MEMBER_TIME,
	MEMBER_VERSION,
	MEMBER_COUNT,
};

static const struct {
	struct bytes name;
	struct bytes missing; /* what stands there instead; none: nothing does */
	uint8_t kind;	      /* its first byte; 0: any */
	bool required;	      /* and not "" */
} members[MEMBER_COUNT] = {
    [MEMBER_ACCOUNT] = {BYTES_LIT("account"), {0}, '"', false},
    [MEMBER_DETAIL] = {BYTES_LIT("detail"), BYTES_LIT("{}"), '{', false},
    [MEMBER_DETAIL_TYPE] = {BYTES_LIT("detail-type"), {0}, '"', true},
    [MEMBER_ID] = {BYTES_LIT("id"), {0}, '"', true},
    [MEMBER_REGION] = {BYTES_LIT("region"), {0}, '"', false},
    [MEMBER_RESOURCES] = {BYTES_LIT("resources"), BYTES_LIT("[]"), '[', false},
    [MEMBER_SOURCE] = {BYTES_LIT("source"), {0}, '"', true},
    [MEMBER_TIME] = {BYTES_LIT("time"), {0}, '"', false},
    [MEMBER_VERSION] = {BYTES_LIT("version"), {0}, 0, false},
};

/* An envelope on its way: the canonical text of each member, in any order. */
struct plain {
	struct json_scan scan;
	struct buf values; /* the scanner writes here */
	struct {
		size_t from, size; /* size 0: it is not there */
	} found[MEMBER_COUNT];
	usec_t now_wall_us;
};

static bool scan_resources(struct json_scan *s)
{
	uint32_t count = 0;

	buf_append(s->out, "[", 1);
	if (s->depth_left == 0 || !json_scan_take(s, '['))
		return false;
	while (count > 0 ? json_scan_take(s, ',') : json_scan_peek(s) != ']') {
		if (count > 0)
			buf_append(s->out, ",", 1);
		if (json_scan_peek(s) != '"' || count++ == EVENT_RESOURCES_MAX || !json_scan_value(s))
			return false;
	}
	buf_append(s->out, "]", 1);
	return json_scan_take(s, ']');
}

static bool scan_member(struct plain *p)
{
	struct bytes key;
	int m = 0;

	if (!json_scan_key(&p->scan, &key))
		return false;
	while (m < MEMBER_COUNT && !bytes_equal(key, members[m].name))
		m++;
	if (m == MEMBER_COUNT || p->found[m].size > 0)
		return false;
	if (members[m].kind != 0 && json_scan_peek(&p->scan) != members[m].kind)
		return false;
	p->found[m].from = p->values.size;
	if (m == MEMBER_RESOURCES ? !scan_resources(&p->scan) : !json_scan_value(&p->scan))
		return false;
	p->found[m].size = p->values.size - p->found[m].from;
	return true;
}

static bool scan_envelope(struct plain *p)
{
	struct json_scan *s = &p->scan;

	buf_clear(&p->values);
	memset(p->found, 0, sizeof(p->found));
	if (s->depth_left == 0 || !json_scan_take(s, '{'))
		return false;
	s->depth_left--;
	do
		if (!scan_member(p))
			return false;
	while (json_scan_take(s, ','));
	s->depth_left++;
	return json_scan_take(s, '}');
}

static struct bytes found(const struct plain *p, enum member m)
{
	if (p->found[m].size == 0)
		return members[m].missing;
	return BYTES(p->values.data + p->found[m].from, p->found[m].size);
}

/* Between the quotes of a text. */
static struct bytes unquoted(const struct plain *p, enum member m)
{
	struct bytes text = found(p, m);

	return BYTES(text.data + 1, text.size - 2);
}

static bool check_members(const struct plain *p)
{
	for (int m = 0; m < MEMBER_COUNT; m++) {
		struct bytes text = found(p, m);

		/* These are asked for without quotes and without escapes. */
		if (members[m].required && (text.size <= 2 || memchr(text.data, '\\', text.size) != NULL))
			return false;
	}
	/* The depth of these stands in their detail. */
	return !bytes_equal(unquoted(p, MEMBER_SOURCE), BYTES_LIT(EVENT_SOURCE_SHARDMILL));
}

static bool put_time(struct plain *p)
{
	char text[EVENT_TIME_BYTES_MAX];

	if (p->found[MEMBER_TIME].size > 0) {
		struct bytes given = unquoted(p, MEMBER_TIME);

		if (given.size >= sizeof(text))
			return false;
		memcpy(text, given.data, given.size);
		text[given.size] = '\0';
		return event_time_is(text);
	}
	p->found[MEMBER_TIME].from = p->values.size;
	buf_printf(&p->values, "\"%s\"", event_time(p->now_wall_us, text));
	p->found[MEMBER_TIME].size = p->values.size - p->found[MEMBER_TIME].from;
	return true;
}

static uint8_t *put(uint8_t *at, struct bytes text)
{
	memcpy(at, text.data, text.size);
	return at + text.size;
}

static const char *put_text(uint8_t **at, struct bytes text)
{
	const char *begun = (const char *)*at;

	*at = put(*at, text);
	*(*at)++ = '\0';
	return begun;
}

/* One block: the canonical text, and behind it the texts that are asked for most. */
static void make_event(const struct plain *p, struct event *ret)
{
	size_t size = p->values.size + 64;
	uint8_t *block, *at;

	for (int m = 0; m < MEMBER_VERSION; m++)
		size += members[m].name.size + 4 + (members[m].required ? p->found[m].size : 0);
	at = block = check_realloc(NULL, 1, size);
	for (int m = 0; m < MEMBER_VERSION; m++) {
		if (found(p, m).size == 0)
			continue;
		at = put(at, at == block ? BYTES_LIT("{\"") : BYTES_LIT(",\""));
		at = put(at, members[m].name);
		at = put(at, BYTES_LIT("\":"));
		at = put(at, found(p, m));
	}
	at = put(at, BYTES_LIT("}"));
	*ret = (struct event){.text = BYTES(block, (size_t)(at - block))};
	ret->id = put_text(&at, unquoted(p, MEMBER_ID));
	ret->source = put_text(&at, unquoted(p, MEMBER_SOURCE));
	ret->detail_type = put_text(&at, unquoted(p, MEMBER_DETAIL_TYPE));
}

static bool read_envelope(struct plain *p, struct event_list *list)
{
	struct event e;

	if (!scan_envelope(p) || !check_members(p) || !put_time(p))
		return false;
	make_event(p, &e);
	event_list_add(list, &e);
	return list->items[list->count - 1].text.size <= EVENT_BYTES_MAX;
}

static bool read_body(struct plain *p, struct event_list *list)
{
	struct json_scan *s = &p->scan;

	if (json_scan_peek(s) == '[') {
		if (s->depth_left == 0 || !json_scan_take(s, '['))
			return false;
		s->depth_left--;
		do
			if (!read_envelope(p, list))
				return false;
		while (json_scan_take(s, ','));
		if (!json_scan_take(s, ']'))
			return false;
	} else if (!read_envelope(p, list)) {
		return false;
	}
	return json_scan_peek(s) == 0 && s->at == s->end;
}

bool events_read_plain(struct bytes body, uint32_t max_depth, usec_t now_wall_us, struct event_list *list)
{
	struct plain p = {.now_wall_us = now_wall_us};
	uint32_t before = list->count;
	bool ok;

	json_scan_init(&p.scan, body, max_depth, &p.values);
	buf_reserve(&p.values, body.size < VALUES_BYTES ? body.size + 64 : VALUES_BYTES);
	ok = read_body(&p, list);
	if (!ok)
		events_cut(list, before);
	json_scan_fini(&p.scan);
	buf_fini(&p.values);
	return ok;
}
