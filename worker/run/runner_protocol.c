#include "worker/run/runner_protocol.h"

#include <msgpack.h>
#include <string.h>

#include "base/limits.h"
#include "jobs/kinds.h"
#include "jobs/ids.h"
#include "jobs/plan.h"
#include "worker/run/transcode.h"

#define LENGTH_BYTES 4 /* before each message in msgpack */

/* Encoding: always msgpack first; JSON is made from that. */

static void key(msgpack_packer *pk, const char *name)
{
	msgpack_pack_str(pk, strlen(name));
	msgpack_pack_str_body(pk, name, strlen(name));
}

static void text(msgpack_packer *pk, const char *name, struct bytes value)
{
	key(pk, name);
	msgpack_pack_str(pk, value.size);
	msgpack_pack_str_body(pk, value.data, value.size);
}

static void number(msgpack_packer *pk, const char *name, uint64_t value)
{
	key(pk, name);
	msgpack_pack_uint64(pk, value);
}

/* One message: in msgpack it is written where it goes, behind room for its length. */
struct message {
	msgpack_packer pk;
	struct buf *out;
	struct buf own; /* what JSON is made from */
	size_t begin;
};

static msgpack_packer *begin(struct message *m, uint8_t format, uint32_t members, struct buf *out)
{
	*m = (struct message){.out = out, .begin = out->size};
	if (format != FORMAT_JSON)
		buf_append_zeros(out, LENGTH_BYTES);
	msgpack_packer_init(&m->pk, format == FORMAT_JSON ? &m->own : out, buf_msgpack_write);
	msgpack_pack_map(&m->pk, members);
	return &m->pk;
}

static void end(struct message *m, uint8_t format)
{
	uint32_t size = (uint32_t)(m->out->size - m->begin - LENGTH_BYTES);
	uint8_t *head = m->out->data + m->begin;

	if (format == FORMAT_JSON) {
		CHECK(msgpack_to_json(buf_bytes(&m->own), m->out, NULL) == 0);
		buf_append(m->out, "\n", 1);
		buf_fini(&m->own);
		return;
	}
	for (int i = LENGTH_BYTES - 1; i >= 0; i--, size >>= 8)
		head[i] = (uint8_t)size;
}

void runner_encode_hello(const struct uuid *worker, uint32_t slot, uint8_t format, struct buf *out)
{
	struct message m;
	msgpack_packer *pk;
	char id[UUID_TEXT_BYTES];

	uuid_text(worker, id);
	pk = begin(&m, format, 7, out);
	text(pk, "type", bytes_of("hello"));
	number(pk, "protocol", RUNNER_PROTOCOL_MIN);
	number(pk, "protocol_max", RUNNER_PROTOCOL_MAX);
	text(pk, "format", bytes_of(runner_format_name(format)));
	text(pk, "worker", bytes_of(id));
	number(pk, "slot", slot);
	key(pk, "whole");
	msgpack_pack_true(pk);
	end(&m, format);
}

static void encode_plan(msgpack_packer *pk, const struct plan *p)
{
	const struct plan_row *row = plan_row(p->kind);
	struct plan_facts facts = {.count = 0};

	if (row->runner != NULL)
		row->runner(p, &facts);
	key(pk, "plan");
	msgpack_pack_map(pk, facts.count + 1);
	text(pk, "kind", bytes_of(plan_kind_name(p->kind)));
	for (uint32_t i = 0; i < facts.count; i++) {
		const struct plan_fact *fact = &facts.items[i];

		if (fact->form == FACT_TEXT) {
			text(pk, fact->name, fact->text);
		} else if (fact->form == FACT_SIZE) {
			number(pk, fact->name, fact->size);
		} else {
			key(pk, fact->name);
			msgpack_pack_int64(pk, fact->number);
		}
	}
}

void runner_encode_job(const struct worker_arm *arm, uint8_t format, struct buf *out)
{
	const struct text_item_list *names = &arm->definition->value_names,
				    *values = &arm->parameters->values;
	uint32_t count = names->count < values->count ? names->count : values->count;
	struct message m;
	msgpack_packer *pk;

	pk = begin(&m, format, 7, out);
	text(pk, "type", bytes_of("job"));
	number(pk, "job", arm->job);
	text(pk, "name", arm->parameters->name);
	text(pk, "phase", arm->run->name);
	number(pk, "shards", arm->parameters->plan.shard_count);
	encode_plan(pk, &arm->parameters->plan);
	key(pk, "values");
	msgpack_pack_map(pk, count);
	for (uint32_t i = 0; i < count; i++) {
		struct bytes name = names->items[i].text, value = values->items[i].text;

		msgpack_pack_str(pk, name.size);
		msgpack_pack_str_body(pk, name.data, name.size);
		msgpack_pack_str(pk, value.size);
		msgpack_pack_str_body(pk, value.data, value.size);
	}
	end(&m, format);
}

static struct bytes item_of(const struct worker_arm *arm, const struct slice *slice, uint32_t shard)
{
	const struct text_item_list *inlined = &arm->parameters->plan.items;
	uint32_t place = shard - arm->slice_first;

	if (place < slice->items.count)
		return slice->items.items[place].text;
	return shard < inlined->count ? inlined->items[shard].text : BYTES(NULL, 0);
}

void runner_encode_run(const struct worker_arm *arm, const struct slice *slice, struct range run,
		       uint8_t format, struct buf *out)
{
	bool items = plan_row(arm->parameters->plan.kind)->input == PLAN_INPUT_ITEM;
	char token[TOKEN_TEXT_BYTES];
	struct message m;
	msgpack_packer *pk;

	token_text(arm->token, token);
	pk = begin(&m, format, items ? 5 : 4, out);
	text(pk, "type", bytes_of("run"));
	text(pk, "token", bytes_of(token));
	number(pk, "first", run.first);
	number(pk, "count", run.count);
	if (items) {
		key(pk, "items");
		msgpack_pack_array(pk, run.count);
		for (uint32_t i = 0; i < run.count; i++) {
			struct bytes item = item_of(arm, slice, run.first + i);

			msgpack_pack_str(pk, item.size);
			msgpack_pack_str_body(pk, item.data, item.size);
		}
	}
	end(&m, format);
}

/* Decoding */

static int refuse(struct error *reterr, const char *what)
{
	return error_set(reterr, ERR_INVALID, "the runner's message has no usable %s", what);
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

static bool as_u32(const msgpack_object *o, uint32_t *ret)
{
	if (o == NULL || o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 > UINT32_MAX)
		return false;
	*ret = (uint32_t)o->via.u64;
	return true;
}

static bool as_bytes(const msgpack_object *o, struct bytes *ret)
{
	if (o->type != MSGPACK_OBJECT_STR && o->type != MSGPACK_OBJECT_BIN)
		return false;
	*ret = o->type == MSGPACK_OBJECT_STR ? BYTES(o->via.str.ptr, o->via.str.size)
					     : BYTES(o->via.bin.ptr, o->via.bin.size);
	return true;
}

static bool decode_failure(const msgpack_object *o, struct range done, struct arena *arena,
			   struct failure *ret)
{
	struct failure f = {.count = 1, .kind = FAILURE_RUNNER};
	const msgpack_object *p = o->via.array.ptr;
	struct bytes name;

	if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size == 0 || !as_u32(&p[0], &f.first) ||
	    !range_contains(done, f.first))
		return false;
	if (o->via.array.size > 1) {
		if (!as_bytes(&p[1], &name))
			return false;
		f.kind = bytes_equal(name, bytes_of("exit")) ? FAILURE_EXIT : FAILURE_RUNNER;
	}
	if (o->via.array.size > 2) {
		if (p[2].type != MSGPACK_OBJECT_POSITIVE_INTEGER &&
		    p[2].type != MSGPACK_OBJECT_NEGATIVE_INTEGER)
			return false;
		f.code = p[2].via.i64;
	}
	if (o->via.array.size > 3) {
		if (!as_bytes(&p[3], &f.why))
			return false;
		f.why.size = f.why.size > 400 ? 400 : f.why.size;
		f.why = arena_copy(arena, f.why);
	}
	*ret = f;
	return true;
}

static int decode_failures(const msgpack_object *o, struct arena *arena, struct runner_message *m,
			   struct error *reterr)
{
	if (o == NULL || (o->type == MSGPACK_OBJECT_ARRAY && o->via.array.size == 0))
		return 0;
	if (o->type != MSGPACK_OBJECT_ARRAY)
		return refuse(reterr, "`failed`: expected [[shard, kind, code, why], …]");
	m->failed.items = arena_alloc(arena, o->via.array.size * sizeof *m->failed.items);
	for (uint32_t i = 0; i < o->via.array.size; i++)
		if (!decode_failure(&o->via.array.ptr[i], m->done, arena,
				    &m->failed.items[m->failed.count++]))
			return refuse(
			    reterr,
			    "`failed`: expected [[shard, kind, code, why], …] with shards of first..count");
	return 0;
}

static int decode_results(const msgpack_object *o, struct arena *arena, struct runner_message *m,
			  struct error *reterr)
{
	if (o == NULL || (o->type == MSGPACK_OBJECT_ARRAY && o->via.array.size == 0))
		return 0;
	if (o->type != MSGPACK_OBJECT_ARRAY)
		return refuse(reterr, "`results`: expected [[shard, output], …]");
	m->results = arena_alloc(arena, o->via.array.size * sizeof *m->results);
	for (uint32_t i = 0; i < o->via.array.size; i++) {
		const msgpack_object *r = &o->via.array.ptr[i];
		struct runner_result *to = &m->results[m->result_count++];

		if (r->type != MSGPACK_OBJECT_ARRAY || r->via.array.size != 2 ||
		    !as_u32(&r->via.array.ptr[0], &to->shard) || !range_contains(m->done, to->shard) ||
		    !as_bytes(&r->via.array.ptr[1], &to->output))
			return refuse(reterr,
				      "`results`: expected [[shard, output], …] with shards of first..count");
		to->output = arena_copy(arena, to->output);
	}
	return 0;
}

/* What the shards wrote together: then none of them has anything of its own. */
static int decode_result(const msgpack_object *o, struct arena *arena, struct runner_message *m,
			 struct error *reterr)
{
	if (o == NULL)
		return 0;
	if (!as_bytes(o, &m->result))
		return refuse(reterr, "`result`: expected the output of all shards together");
	if (m->failed.count > 0 || m->result_count > 0)
		return refuse(reterr, "`result`: it stands alone, answer what failed, or has an output of "
				      "its own, in another message");
	m->result = arena_copy(arena, m->result);
	return 0;
}

static int decode_hello(const msgpack_object *o, struct runner_message *m, struct error *reterr)
{
	const msgpack_object *protocol = member(o, "protocol"), *runs = member(o, "runs");

	if (protocol == NULL || protocol->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		return refuse(reterr, "`protocol`");
	if (protocol->via.u64 < RUNNER_PROTOCOL_MIN || protocol->via.u64 > RUNNER_PROTOCOL_MAX)
		return error_set(reterr, ERR_VERSION, "the runner speaks protocol %llu, we speak %d to %d",
				 (unsigned long long)protocol->via.u64, RUNNER_PROTOCOL_MIN,
				 RUNNER_PROTOCOL_MAX);
	m->runs = 2;
	if (protocol->via.u64 == 1 || runs == NULL)
		return 0;
	if (!as_u32(runs, &m->runs) || m->runs < 2)
		return refuse(reterr, "`runs`: expected how many runs it takes at a time, 2 or more");
	m->runs = m->runs < RUNNER_RUNS_MAX ? m->runs : RUNNER_RUNS_MAX;
	return 0;
}

static int decode_map(const msgpack_object *o, struct arena *arena, struct runner_message *ret,
		      struct error *reterr)
{
	struct runner_message m = {0};
	const msgpack_object *type = o->type == MSGPACK_OBJECT_MAP ? member(o, "type") : NULL;
	struct bytes name = {NULL, 0};
	int rc;

	if (type == NULL || !as_bytes(type, &name))
		return refuse(reterr, "`type`");
	if (bytes_equal(name, bytes_of("hello"))) {
		m.type = RUNNER_HELLO;
		rc = decode_hello(o, &m, reterr);
		*ret = m;
		return rc;
	}
	if (!bytes_equal(name, bytes_of("done")))
		return refuse(reterr, "`type`: expected hello or done");
	m.type = RUNNER_DONE;
	if (!as_u32(member(o, "first"), &m.done.first) || !as_u32(member(o, "count"), &m.done.count) ||
	    !range_is_valid(m.done, SHARDS_MAX))
		return refuse(reterr, "`first` and `count`");
	rc = decode_failures(member(o, "failed"), arena, &m, reterr);
	if (rc == 0)
		rc = decode_results(member(o, "results"), arena, &m, reterr);
	if (rc == 0)
		rc = decode_result(member(o, "result"), arena, &m, reterr);
	if (rc == 0)
		*ret = m;
	return rc;
}

/* The body of the first message, 1; or 0 when it is not whole. */
static int cut_message(struct bytes in, uint8_t format, struct bytes *body, size_t *used,
		       struct error *reterr)
{
	const uint8_t *newline;
	uint32_t size;

	if (format == FORMAT_JSON) {
		newline = in.size > 0 ? memchr(in.data, '\n', in.size) : NULL;
		if (newline == NULL && in.size <= FRAME_BYTES_MAX)
			return 0;
		size = newline == NULL ? UINT32_MAX : (uint32_t)(newline - in.data);
		*body = BYTES(in.data, size);
		*used = (size_t)size + 1;
	} else {
		if (in.size < 4)
			return 0;
		size = (uint32_t)in.data[0] << 24 | (uint32_t)in.data[1] << 16 | (uint32_t)in.data[2] << 8 |
		       in.data[3];
		*body = BYTES(in.data + 4, size);
		*used = (size_t)size + 4;
	}
	if (size > FRAME_BYTES_MAX)
		return error_set(reterr, ERR_LIMIT, "the runner sends a message longer than %llu bytes",
				 FRAME_BYTES_MAX);
	return in.size >= *used;
}

int runner_decode(struct bytes in, uint8_t format, struct arena *arena, struct runner_message *ret,
		  size_t *used_ret, struct error *reterr)
{
	struct buf packed = {0};
	struct bytes body;
	msgpack_unpacked u;
	size_t offset = 0;
	int rc = cut_message(in, format, &body, used_ret, reterr);

	if (rc <= 0)
		return rc;
	if (format == FORMAT_JSON) {
		rc = json_to_msgpack(body, &packed, reterr);
		body = buf_bytes(&packed);
	}
	msgpack_unpacked_init(&u);
	if (rc >= 0 && codec_value_size(body, reterr) != (int64_t)body.size)
		rc = refuse(reterr, "msgpack in it");
	if (rc >= 0 &&
	    msgpack_unpack_next(&u, (const char *)body.data, body.size, &offset) != MSGPACK_UNPACK_SUCCESS)
		rc = refuse(reterr, "msgpack in it");
	if (rc >= 0)
		rc = decode_map(&u.data, arena, ret, reterr);
	msgpack_unpacked_destroy(&u);
	buf_fini(&packed);
	return rc < 0 ? rc : 1;
}
