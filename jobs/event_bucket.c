#include "jobs/event_bucket.h"

#include <stdio.h>

#include "base/check.h"
#include "jobs/event_parts.h"
#include "jobs/file_tag.h"
#include "jobs/ids.h"
#include "jobs/kinds.h"
#include "jobs/json.h"

static void set_number(json_t *object, const char *name, uint64_t value)
{
	CHECK(json_object_set_new(object, name,
				  json_integer(value > INT64_MAX ? INT64_MAX : (int64_t)value)) == 0);
}

/* A file is one fact as long as inode, size and time stay: a rescan finds the same id. */
static void set_file_id(json_t *envelope, const struct bucket_file *f, const char *tag)
{
	static const uint8_t no_secret[DEDUP_SECRET_BYTES];
	struct bytes parts[] = {bytes_of(f->bucket), f->key, bytes_of(tag)};
	struct dedup_key key = dedup_key_of("file", parts, ARRAY_LENGTH(parts), no_secret);
	char id[UUID_TEXT_BYTES];

	uuid_halves_text(key.hi, key.lo, id);
	event_set_text(envelope, "id", id);
}

int event_bucket_created(const struct bucket_file *f, struct event *ret, struct error *reterr)
{
	json_t *envelope = json_object(), *detail = json_object();
	json_t *bucket = json_object(), *object = json_object();
	char tag[FILE_TAG_BYTES_MAX], text[EVENT_TIME_BYTES_MAX], sequencer[24];
	int rc;

	file_tag(f->inode, f->size_bytes, f->mtime_ns, tag);
	snprintf(sequencer, sizeof sequencer, "%016llX", (unsigned long long)f->mtime_ns);
	set_file_id(envelope, f, tag);
	event_set_text(envelope, "source", EVENT_SOURCE_BUCKET);
	event_set_text(envelope, "detail-type", EVENT_OBJECT_CREATED);
	event_set_text(envelope, "time", event_time(f->wall_us, text));
	CHECK(json_object_set_new(envelope, "detail", detail) == 0);
	CHECK(json_object_set_new(detail, "bucket", bucket) == 0);
	event_set_bytes(bucket, "name", bytes_of(f->bucket));
	CHECK(json_object_set_new(detail, "object", object) == 0);
	event_set_bytes(object, "key", f->key);
	event_set_bytes(object, "path", f->path);
	set_number(object, "size", f->size_bytes);
	event_set_text(object, "etag", tag);
	event_set_text(object, "sequencer", sequencer);
	event_set_text(detail, "reason", "file");
	rc = event_from_json(envelope, f->wall_us, ret, reterr);
	json_decref(envelope);
	return rc;
}

static json_t *job_detail(const struct ended_job *j)
{
	json_t *detail = json_object(), *shards = json_object();

	set_number(detail, "job", j->job);
	event_set_bytes(detail, "name", j->name);
	event_set_bytes(detail, "definition", j->definition);
	event_set_text(detail, "state", job_state_name(j->state));
	event_set_bytes(detail, "why", j->why);
	set_number(shards, "done", j->done);
	set_number(shards, "dead", j->dead);
	set_number(shards, "dropped", j->dropped);
	CHECK(json_object_set_new(detail, "shards", shards) == 0);
	set_number(detail, "retries", j->retries);
	if (j->output.size > 0)
		event_set_bytes(detail, "output", j->output);
	set_number(detail, "depth", (uint64_t)j->depth + 1);
	return detail;
}

int event_job_ended(const struct ended_job *j, struct event *ret, struct error *reterr)
{
	json_t *envelope = json_object();
	char text[EVENT_TIME_BYTES_MAX], id[160], end[16] = "";
	int rc;

	if (j->reopens > 0)
		snprintf(end, sizeof end, "/%u", j->reopens);
	snprintf(id, sizeof id, "%.120s/job/%llu/ended%s", j->cluster, (unsigned long long)j->job, end);
	event_set_text(envelope, "id", id);
	event_set_text(envelope, "source", EVENT_SOURCE_SHARDMILL);
	event_set_text(envelope, "detail-type", j->state == JOB_SUCCEEDED ? "job.succeeded" : "job.failed");
	event_set_text(envelope, "time", event_time(j->wall_us, text));
	CHECK(json_object_set_new(envelope, "detail", job_detail(j)) == 0);
	rc = event_from_json(envelope, j->wall_us, ret, reterr);
	json_decref(envelope);
	return rc;
}
