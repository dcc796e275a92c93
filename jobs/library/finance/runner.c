#include "jobs/library/finance/runner.h"

#include <errno.h>
#include <msgpack.h>
#include <string.h>
#include <unistd.h>

#define PROTOCOL 1
#define MESSAGE_BYTES_MAX (8u << 20) /* of what we are sent; and what we send is far less */
#define FAILURES_MAX 1000u	     /* of one answer */

struct runner {
	struct model *model;
	struct tally *tally;
	struct tally_key key;
	uint64_t scenario_count;
	uint64_t shard_count; /* of the job; 0 before it is told */
	const struct error *failure;
	int failure_code;
	struct buf in, out, encoded;
};

struct scenario_range runner_range(uint64_t scenario_count, uint64_t shard, uint64_t shard_count)
{
	uint64_t block = (scenario_count + shard_count - 1) / shard_count, first = shard * block, left;

	if (first >= scenario_count)
		return (struct scenario_range){0, 0};
	left = scenario_count - first;
	return (struct scenario_range){first, block < left ? block : left};
}

static void put_text(msgpack_packer *pk, const char *text)
{
	msgpack_pack_str(pk, strlen(text));
	msgpack_pack_str_body(pk, text, strlen(text));
}

/* Sends what is in out behind its length. */
static int send_message(struct runner *r, struct error *reterr)
{
	uint32_t size = (uint32_t)r->out.size - 4;
	uint8_t head[4] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size};

	memcpy(r->out.data, head, sizeof head);
	return inputs_write(STDOUT_FILENO, buf_bytes(&r->out), reterr);
}

static void begin_message(struct runner *r, msgpack_packer *pk, const char *type, uint32_t members)
{
	buf_clear(&r->out);
	buf_append_zeros(&r->out, 4);
	msgpack_packer_init(pk, &r->out, buf_msgpack_write);
	msgpack_pack_map(pk, members);
	put_text(pk, "type");
	put_text(pk, type);
}

static int say_hello(struct runner *r, struct error *reterr)
{
	msgpack_packer pk;

	begin_message(r, &pk, "hello", 2);
	put_text(&pk, "protocol");
	msgpack_pack_uint64(&pk, PROTOCOL);
	return send_message(r, reterr);
}

static void begin_done(struct runner *r, msgpack_packer *pk, uint64_t first, uint64_t count)
{
	begin_message(r, pk, "done", 4);
	put_text(pk, "first");
	msgpack_pack_uint64(pk, first);
	put_text(pk, "count");
	msgpack_pack_uint64(pk, count);
}

/* They failed, each of them, all with these words. */
static int say_failed(struct runner *r, uint64_t first, uint64_t count, int code, const struct error *why,
		      struct error *reterr)
{
	msgpack_packer pk;
	char text[1024];

	error_text(why, text, sizeof text);
	begin_done(r, &pk, first, count);
	put_text(&pk, "failed");
	msgpack_pack_array(&pk, count);
	for (uint64_t shard = first; shard < first + count; shard++) {
		msgpack_pack_array(&pk, 4);
		msgpack_pack_uint64(&pk, shard);
		put_text(&pk, "exit");
		msgpack_pack_int(&pk, code);
		put_text(&pk, text);
	}
	return send_message(r, reterr);
}

/* What is in the tally is the output of all of them together. */
static int say_done(struct runner *r, uint64_t first, uint64_t count, struct error *reterr)
{
	msgpack_packer pk;

	buf_clear(&r->encoded);
	tally_encode(r->tally, &r->encoded);
	begin_done(r, &pk, first, count);
	put_text(&pk, "result");
	msgpack_pack_bin(&pk, r->encoded.size);
	msgpack_pack_bin_body(&pk, r->encoded.data, r->encoded.size);
	return send_message(r, reterr);
}

/* The scenarios of all of the shards. */
static struct scenario_range run_range(const struct runner *r, uint64_t first, uint64_t count)
{
	struct scenario_range all = runner_range(r->scenario_count, first, r->shard_count),
			      last = runner_range(r->scenario_count, first + count - 1, r->shard_count);

	if (all.count > 0)
		all.count = (last.count > 0 ? last.first + last.count : r->scenario_count) - all.first;
	return all;
}

static int run(struct runner *r, uint64_t first, uint64_t count, struct error *reterr)
{
	const struct error *why = r->failure;
	int code = r->failure_code, rc = 0;
	struct error error;

	if (r->model != NULL) {
		tally_begin(r->tally, &r->key);
		if (tally_run(r->tally, r->model, run_range(r, first, count), &error) == 0)
			return say_done(r, first, count, reterr);
		why = &error;
		code = EXIT_CODE_DATA;
	}
	for (uint64_t left = count; left > 0 && rc == 0;) {
		uint64_t some = left < FAILURES_MAX ? left : FAILURES_MAX;

		rc = say_failed(r, first + count - left, some, code, why, reterr);
		left -= some;
	}
	return rc;
}

static const msgpack_object *member(const msgpack_object *map, const char *name)
{
	for (uint32_t i = 0; i < map->via.map.size; i++) {
		const msgpack_object *k = &map->via.map.ptr[i].key;

		if (k->type == MSGPACK_OBJECT_STR &&
		    bytes_equal(BYTES(k->via.str.ptr, k->via.str.size), bytes_of(name)))
			return &map->via.map.ptr[i].val;
	}
	return NULL;
}

static bool number(const msgpack_object *map, const char *name, uint64_t *ret)
{
	const msgpack_object *o = member(map, name);

	if (o == NULL || o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 > UINT32_MAX)
		return false;
	*ret = o->via.u64;
	return true;
}

static int take(struct runner *r, const msgpack_object *map, struct error *reterr)
{
	const msgpack_object *type = map->type == MSGPACK_OBJECT_MAP ? member(map, "type") : NULL;
	uint64_t first, count;
	struct bytes name = {NULL, 0};

	if (type != NULL && type->type == MSGPACK_OBJECT_STR)
		name = BYTES(type->via.str.ptr, type->via.str.size);
	if (bytes_equal(name, BYTES_LIT("hello"))) {
		const msgpack_object *whole = member(map, "whole");

		if (whole != NULL && whole->type == MSGPACK_OBJECT_BOOLEAN && whole->via.boolean)
			return say_hello(r, reterr);
		error_set(reterr, ERR_VERSION, "this worker does not take one output of many shards");
		return error_help(reterr, "use a worker of the same version as finance-var");
	}
	if (bytes_equal(name, BYTES_LIT("job")) && number(map, "shards", &count) && count > 0) {
		r->shard_count = count;
		return 0;
	}
	if (bytes_equal(name, BYTES_LIT("run")) && number(map, "first", &first) &&
	    number(map, "count", &count) && r->shard_count > 0 && first + count <= r->shard_count)
		return run(r, first, count, reterr);
	return error_set(reterr, ERR_INVALID, "expected hello, job or a run of the job's shards");
}

/* The next message's body is in r->in. 0: stdin was closed between two messages. */
static int read_message(struct runner *r, struct error *reterr)
{
	size_t want = 4;
	bool has_size = false;

	buf_clear(&r->in);
	while (r->in.size < want) {
		ssize_t got = read(STDIN_FILENO, buf_reserve(&r->in, want - r->in.size), want - r->in.size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set(reterr, ERR_IO, "cannot read: %s", strerror(errno));
		if (got == 0 && r->in.size == 0 && !has_size)
			return 0;
		if (got == 0)
			return error_set(reterr, ERR_INVALID, "a message is cut short");
		r->in.size += (size_t)got;
		if (has_size || r->in.size < 4)
			continue;
		want = (size_t)r->in.data[0] << 24 | (size_t)r->in.data[1] << 16 |
		       (size_t)r->in.data[2] << 8 | r->in.data[3];
		if (want == 0 || want > MESSAGE_BYTES_MAX) {
			error_set(reterr, ERR_INVALID, "expected messages in msgpack behind their length");
			return error_help(
			    reterr, "run.format is msgpack; finance-var --runner is started by a worker");
		}
		buf_clear(&r->in);
		has_size = true;
	}
	return 1;
}

static int serve(struct runner *r, struct error *reterr)
{
	int rc = read_message(r, reterr);

	while (rc > 0) {
		msgpack_unpacked u;

		msgpack_unpacked_init(&u);
		if (msgpack_unpack_next(&u, (const char *)r->in.data, r->in.size, NULL) !=
		    MSGPACK_UNPACK_SUCCESS)
			rc = error_set(reterr, ERR_INVALID, "expected a message in msgpack");
		else
			rc = take(r, &u.data, reterr);
		msgpack_unpacked_destroy(&u);
		if (rc == 0)
			rc = read_message(r, reterr);
	}
	return rc;
}

int runner_serve(struct model *m, uint64_t scenario_count, const struct error *failure, int failure_code,
		 struct error *reterr)
{
	struct runner r = {.model = m,
			   .tally = tally_create(),
			   .scenario_count = scenario_count,
			   .failure = failure,
			   .failure_code = failure_code};
	int rc;

	if (m != NULL)
		tally_key_of(m, &r.key);
	rc = serve(&r, reterr);
	tally_destroy(r.tally);
	buf_fini(&r.in);
	buf_fini(&r.out);
	buf_fini(&r.encoded);
	return rc;
}
