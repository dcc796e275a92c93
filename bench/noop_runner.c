/* A runner whose shards do nothing: what is left is the price of shardmill itself. Speaks the runner
 * protocol (worker/run/runner_protocol.h) in msgpack. */
#include <msgpack.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void read_all(void *to, size_t size)
{
	for (char *at = to; size > 0;) {
		ssize_t got = read(0, at, size);

		if (got <= 0)
			exit(got < 0); /* the worker closed stdin: the end */
		at += got;
		size -= (size_t)got;
	}
}

static void send_map(const msgpack_sbuffer *b)
{
	uint32_t size = (uint32_t)b->size;
	unsigned char head[4] = {(unsigned char)(size >> 24), (unsigned char)(size >> 16),
				 (unsigned char)(size >> 8), (unsigned char)size};

	if (write(1, head, 4) != 4 || write(1, b->data, b->size) != (ssize_t)b->size)
		exit(1);
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
		answer("hello", "protocol", 1, NULL, 0);
	else if (type->via.str.size == 3 && memcmp(type->via.str.ptr, "run", 3) == 0)
		answer("done", "first", member(map, "first")->via.u64, "count",
		       member(map, "count")->via.u64);
}

int main(void)
{
	for (;;) {
		unsigned char head[4];
		msgpack_unpacked u;
		uint32_t size;
		char *body;

		read_all(head, sizeof head);
		size = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
		body = malloc(size);
		if (body == NULL)
			return 1;
		read_all(body, size);
		msgpack_unpacked_init(&u);
		if (msgpack_unpack_next(&u, body, size, NULL) != MSGPACK_UNPACK_SUCCESS ||
		    u.data.type != MSGPACK_OBJECT_MAP)
			return 1;
		take(&u.data);
		msgpack_unpacked_destroy(&u);
		free(body);
	}
}
