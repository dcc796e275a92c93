/* One encoder and decoder for everything that is written or sent: messages, records, inputs,
 * plans, policies. Pure.
 *
 * A struct is described once, in a .def table (parts.def, messages.def, records.def, inputs.def);
 * from it come the C struct, the descriptor below, the documentation and the fuzz target.
 * On the wire a struct is a msgpack array of its fields, in order. Fields are only ever added at
 * the end, with the version that brought them: a decoder zeroes what an older writer did not know
 * and skips what a newer one added. Fields of version 4 and later that are zero are not written when nothing
 * behind them is: what nobody uses costs no bytes.
 *
 * A list is an array of its items. Or, since version 7 of the messages and 4 of the records, it begins with a
 * whole number, how many items there are. Then an item may be a map instead: the item is the one before it,
 * but for the fields whose numbers (from 1) are in the map, with by how much a number grew (modulo its
 * width), a map of the same kind for a nested struct, and the new value of a text or a list. Key 0 says how
 * many items in a row differ so from the one before, when they are more than one. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

enum codec_kind {
	CODEC_BOOL,
	CODEC_U8,
	CODEC_U32,
	CODEC_U64,
	CODEC_I64,
	CODEC_BYTES, /* struct bytes, msgpack bin: may hold anything */
	CODEC_TEXT,  /* struct bytes, msgpack str: data is followed by a NUL after decoding */
	CODEC_SUB,   /* a nested struct */
	CODEC_LIST,  /* struct { T *items; uint32_t count; } */
	/* uint32_t, thousandths of what once was a whole number. Two fields with the same member: the first
	 * is the whole number, rounded up, which every version reads (more than fit are as many as fit); the
	 * second, of a later version, is the thousandths, or zero when the first says it all. */
	CODEC_WHOLE,
	CODEC_MILLI,
};

struct codec {
	const char *name;
	size_t size; /* of the C struct */
	const struct codec_field *fields;
	size_t field_count;
};

struct codec_field {
	const char *name;
	const char *doc;
	const struct codec *(*sub)(void); /* of SUB and LIST */
	size_t offset;
	enum codec_kind kind;
	uint32_t since; /* the version of the format that brought it */
};

/* Any list's shape, for code that does not know its type. */
struct codec_list {
	void *items;
	uint32_t count;
};

void codec_encode(const struct codec *c, const void *value, struct buf *out);

/* Decode all of `in` into *value (zeroed first). Lists and NUL-terminated texts go to `arena`, bytes
 * stay where they are in `in`: *value lives as long as both. Every length and the nesting are
 * checked against what is left of `in` before anything is allocated.
 * ERR_INVALID with the field's path in where; ERR_LIMIT when the arena's bound is passed. */
int codec_decode(const struct codec *c, struct bytes in, void *value, struct arena *arena,
		 struct error *reterr) MUST_CHECK;

/* The fields from `first` to `last` only (by their names), of bytes that this process has encoded itself; the
 * others are left zero. *value lives as long as `in` and the arena. */
void codec_decode_part(const struct codec *c, struct bytes in, const char *first, const char *last,
		       void *value, struct arena *arena);

/* A tagged union on the wire is [type, struct]: `type` first, then one of a table of codecs. */
struct codec_variant {
	uint32_t type;
	const char *name;
	const char *doc;
	const struct codec *(*codec)(void);
};

struct codec_union {
	const char *name; /* "message", "record", "input": for errors */
	const struct codec_variant *variants;
	size_t variant_count;
};

const struct codec_variant *codec_union_find(const struct codec_union *u, uint32_t type);
void codec_union_encode(const struct codec_union *u, uint32_t type, const void *value, struct buf *out);
/* The same, with lists of items that are alike in their short form. */
void codec_union_encode_deltas(const struct codec_union *u, uint32_t type, const void *value,
			       struct buf *out);
/* Decodes one [type, struct] from the front of *in and moves *in behind it. *value_ret is
 * allocated from the arena. ERR_VERSION for a type that this build does not know. */
int codec_union_decode(const struct codec_union *u, struct bytes *in, uint32_t *type_ret, void **value_ret,
		       struct arena *arena, struct error *reterr) MUST_CHECK;

/* The size of the one msgpack value at the front of `in`, all its lengths and its nesting
 * (FRAME_DEPTH_MAX) being within `in`; else a negative error. */
int64_t codec_value_size(struct bytes in, struct error *reterr) MUST_CHECK;

/* No less than what codec_encode writes of it, and little more. */
size_t codec_size_max(const struct codec *c, const void *value);

/* A deep copy into the arena; false when its bound is passed. */
bool codec_copy(const struct codec *c, const void *from, void *to, struct arena *arena) MUST_CHECK;
bool codec_equal(const struct codec *c, const void *a, const void *b);

/* One line a field ("name kind since doc"), markdown table rows. */
void codec_document(const struct codec *c, struct buf *out);
/* {name: value, …} as JSON text, for traces and `shardmill decode`. Bytes in hex. */
void codec_print(const struct codec *c, const void *value, struct buf *out);
