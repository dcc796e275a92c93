/* What rules, templates and deduplication want to know of an event. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/url.h"
#include "jobs/event.h"
#include "jobs/event_parts.h"
#include "jobs/json.h"

#define STEP_BYTES_MAX 200

/* One step of a path, NUL-terminated into name; moves *path behind it. */
static bool take_step(struct bytes *path, char name[STEP_BYTES_MAX])
{
	const uint8_t *dot = path->size == 0 ? NULL : memchr(path->data, '.', path->size);
	size_t size = dot == NULL ? path->size : (size_t)(dot - path->data);

	if (size == 0 || size >= STEP_BYTES_MAX)
		return false;
	memcpy(name, path->data, size);
	name[size] = '\0';
	size += dot != NULL;
	*path = BYTES(path->data + size, path->size - size);
	return true;
}

static const json_t *step_into(const json_t *value, const char *name)
{
	size_t index = 0;

	if (!json_is_array(value))
		return json_object_get(value, name);
	for (const char *c = name; *c != '\0'; c++) {
		if (*c < '0' || *c > '9' || index > EVENT_BYTES_MAX)
			return NULL;
		index = index * 10 + (size_t)(*c - '0');
	}
	return json_array_get(value, index);
}

/* *parent_ret: where the last step was looked for; name: that step. */
static const json_t *walk(const struct event *e, struct bytes path, const json_t **parent_ret,
			  char name[STEP_BYTES_MAX])
{
	const json_t *value = event_dom(e);

	if (!take_step(&path, name) || strcmp(name, "event") != 0)
		return NULL;
	while (path.size > 0) {
		*parent_ret = value;
		if (!take_step(&path, name))
			return NULL;
		value = step_into(value, name);
		if (value == NULL)
			return NULL;
	}
	return value;
}

const json_t *event_lookup(const struct event *e, struct bytes path)
{
	const json_t *parent = NULL;
	char name[STEP_BYTES_MAX];

	return walk(e, path, &parent, name);
}

int event_value(const struct event *e, struct bytes path, struct buf *out, struct error *reterr)
{
	const json_t *parent = NULL, *value;
	char name[STEP_BYTES_MAX], quoted[200];

	if (bytes_equal(path, BYTES_LIT("event.object")))
		return event_object_url(e, out, reterr);
	value = walk(e, path, &parent, name);
	if (value == NULL) {
		error_set(reterr, ERR_NOT_FOUND, "the event has no %s",
			  text_quote(quoted, sizeof quoted, path));
		error_help(reterr, "let the rule's pattern name it, so that only events that have it match");
		return ERR_NOT_FOUND;
	}
	if (json_is_object(parent) && event_get_bytes(parent, name, out))
		return 0;
	if (json_is_string(value))
		buf_append_bytes(out, json_bytes(value));
	else
		json_write(out, value);
	return 0;
}

int event_object_url(const struct event *e, struct buf *out, struct error *reterr)
{
	const json_t *bucket = json_object_get(event_detail(e), "bucket");
	const json_t *object = json_object_get(event_detail(e), "object");
	size_t before = out->size;

	if (strcmp(e->source, EVENT_SOURCE_BUCKET) == 0 && event_has_bytes(object, "path")) {
		url_append(out, URL_FILE, (struct bytes){0});
		if (event_get_bytes(object, "path", out) && out->size > before + 7 &&
		    out->data[before + 7] == '/')
			return 0;
	} else if (event_has_bytes(bucket, "name") && event_has_bytes(object, "key")) {
		size_t key;

		url_append(out, URL_S3, (struct bytes){0});
		CHECK(event_get_bytes(bucket, "name", out));
		key = out->size + 1;
		buf_append(out, "/", 1);
		CHECK(event_get_bytes(object, "key", out));
		if (key > before + 6 && out->size > key)
			return 0;
	}
	out->size = before;
	error_set(reterr, ERR_NOT_FOUND, "the event is about no object");
	error_help(reterr,
		   "{{event.object}} needs detail.bucket.name and detail.object.key, as S3 events have "
		   "them");
	return ERR_NOT_FOUND;
}

int event_object(const struct event *e, struct arena *arena, struct event_object *ret, struct error *reterr)
{
	const json_t *object = json_object_get(event_detail(e), "object");
	const json_t *size = json_object_get(object, "size"), *etag = json_object_get(object, "etag");
	struct event_object o = {0};
	struct buf url = {0};
	int rc = event_object_url(e, &url, reterr);

	if (rc == 0) {
		o.url = arena_copy(arena, buf_bytes(&url));
		o.etag = arena_copy(arena, json_bytes(etag));
		o.size_known = json_is_integer(size) && json_integer_value(size) >= 0;
		if (o.size_known)
			o.size_bytes = (uint64_t)json_integer_value(size);
		if (o.url.data == NULL || o.etag.data == NULL)
			rc = error_set(reterr, ERR_LIMIT, "an event's object needs too much room");
		else
			*ret = o;
	}
	buf_fini(&url);
	return rc;
}

struct dedup_key dedup_key_of(const char *space, const struct bytes parts[], size_t part_count,
			      const uint8_t secret[DEDUP_SECRET_BYTES])
{
	struct buf text = {0};
	struct dedup_key key;
	uint8_t hash[crypto_shorthash_siphashx24_BYTES];

	buf_append(&text, space, strlen(space) + 1);
	for (size_t i = 0; i < part_count; i++) {
		uint64_t size = parts[i].size;
		uint8_t prefix[8];

		for (size_t k = 0; k < sizeof prefix; k++) /* little-endian on every host */
			prefix[k] = (uint8_t)(size >> 8 * k);
		buf_append(&text, prefix, sizeof prefix);
		buf_append_bytes(&text, parts[i]);
	}
	crypto_shorthash_siphashx24(hash, text.data, text.size, secret);
	buf_fini(&text);
	key = (struct dedup_key){0, 0};
	for (size_t k = 0; k < 8; k++) {
		key.hi = key.hi << 8 | hash[k];
		key.lo = key.lo << 8 | hash[8 + k];
	}
	if (key.hi == 0 && key.lo == 0) /* 0,0 means none */
		key.lo = 1;
	return key;
}

/* "" and "null" are how unversioned buckets say that there is none. */
static struct bytes object_version(const json_t *object)
{
	struct bytes version = json_bytes(json_object_get(object, "version-id"));

	if (version.size > 0 && !bytes_equal(version, BYTES_LIT("null")))
		return version;
	return json_bytes(json_object_get(object, "etag"));
}

struct dedup_key event_dedup_key(const struct event *e, const uint8_t secret[DEDUP_SECRET_BYTES])
{
	bool s3 = strcmp(e->source, EVENT_SOURCE_S3) == 0 || strcmp(e->source, EVENT_SOURCE_BUCKET) == 0;
	const json_t *detail = s3 ? event_detail(e) : NULL; /* the others need no tree */
	const json_t *bucket = json_object_get(detail, "bucket");
	const json_t *object = json_object_get(detail, "object");
	struct bytes sequencer = json_bytes(json_object_get(object, "sequencer"));
	struct buf key = {0};
	struct dedup_key hash;

	if (!s3 || !event_has_bytes(bucket, "name") || !event_get_bytes(object, "key", &key)) {
		struct bytes parts[] = {bytes_of(e->source), bytes_of(e->id)};

		return dedup_key_of("event", parts, ARRAY_LENGTH(parts), secret);
	}
	/* Who sends no sequencer (some S3 work-alikes) writes the same bytes again at another time. */
	if (sequencer.size == 0)
		sequencer = json_bytes(json_object_get(event_dom(e), "time"));
	hash = dedup_key_of("object",
			    (struct bytes[]){bytes_of(e->source), json_bytes(json_object_get(bucket, "name")),
					     buf_bytes(&key), object_version(object), sequencer,
					     bytes_of(e->detail_type)},
			    6, secret);
	buf_fini(&key);
	return hash;
}
