/* A runner whose shards do nothing: what is left is the price of shardmill itself. Speaks the runner
 * protocol (worker/run/runner_protocol.h) in msgpack. */
#include <msgpack.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static msgpack_sbuffer answers; /* that wait until all that was read is worked through */

static void flush(void)
{
	for (size_t sent = 0; sent < answers.size;) {
		ssize_t n = write(1, answers.data + sent, answers.size - sent);

		if (n < 0)
			exit(1);
		sent += (size_t)n;
	}
	msgpack_sbuffer_clear(&answers);
}

static void send_map(const msgpack_sbuffer *b)
{
	uint32_t size = (uint32_t)b->size;
	char head[4] = {(char)(size >> 24), (char)(size >> 16), (char)(size >> 8), (char)size};

	msgpack_sbuffer_write(&answers, head, 4);
	msgpack_sbuffer_write(&answers, b->data, b->size);
}

static void key(msgpack_packer *pk, const char *name)
{
	msgpack_pack_str(pk, strlen(name));
	msgpack_pack_str_body(pk, name, strlen(name));
}

static void answer(const char *type, const char *a, uint64_t a_value, const char *b, uint64_t b_value)
{
	msgpack_sbuffer buf;
	msgpack_packer pk;

	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&pk, &buf, msgpack_sbuffer_write);
	msgpack_pack_map(&pk, b == NULL ? 2 : 3);
	key(&pk, "type");
	key(&pk, type);
	key(&pk, a);
	msgpack_pack_uint64(&pk, a_value);
	if (b != NULL) {
		key(&pk, b);
		msgpack_pack_uint64(&pk, b_value);
	}
	send_map(&buf);
	msgpack_sbuffer_destroy(&buf);
}

static const msgpack_object *member(const msgpack_object *map, const char *name)
{
	for (uint32_t i = 0; i < map->via.map.size; i++) {
		const msgpack_object *k = &map->via.map.ptr[i].key;

		if (k->type == MSGPACK_OBJECT_STR && k->via.str.size == strlen(name) &&
		    memcmp(k->via.str.ptr, name, k->via.str.size) == 0)
			return &map->via.map.ptr[i].val;
	}
	return NULL;
}

static void take(const msgpack_object *map)
{
	const msgpack_object *type = member(map, "type");

	if (type->via.str.size == 5 && memcmp(type->via.str.ptr, "hello", 5) == 0)
		answer("hello", "protocol", 2, "runs", 64);
	else if (type->via.str.size == 3 && memcmp(type->via.str.ptr, "run", 3) == 0)
		answer("done", "first", member(map, "first")->via.u64, "count",
		       member(map, "count")->via.u64);
}

/* Whole messages at the front of what was read; how much of it that is. */
static size_t take_all(const unsigned char *in, size_t size)
{
	size_t at = 0;

	while (size - at >= 4) {
		size_t body =
		    (size_t)in[at] << 24 | (size_t)in[at + 1] << 16 | (size_t)in[at + 2] << 8 | in[at + 3];
		msgpack_unpacked u;

		if (size - at - 4 < body)
			break;
		msgpack_unpacked_init(&u);
		if (msgpack_unpack_next(&u, (const char *)in + at + 4, body, NULL) !=
			MSGPACK_UNPACK_SUCCESS ||
		    u.data.type != MSGPACK_OBJECT_MAP)
			exit(1);
		take(&u.data);
		msgpack_unpacked_destroy(&u);
		at += 4 + body;
	}
	return at;
}

int main(void)
{
	static unsigned char in[1 << 20];
	size_t size = 0;

	msgpack_sbuffer_init(&answers);
	for (;;) {
		ssize_t got = read(0, in + size, sizeof in - size);
		size_t used;

		if (got <= 0)
			return got < 0; /* the worker closed stdin: the end */
		size += (size_t)got;
		used = take_all(in, size);
		memmove(in, in + used, size - used);
		size -= used;
		flush();
	}
}
