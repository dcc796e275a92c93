#include "jobs/schema.h"

#define STRUCT(name, text)                                                                                   \
	const struct codec *codec_##name(void)                                                               \
	{                                                                                                    \
		typedef struct name owner;                                                                   \
		static const struct codec_field fields[] = {
#define PLAIN(since_, field, doc_, kind_)                                                                    \
	{.name = #field, .doc = doc_, .offset = offsetof(owner, field), .kind = kind_, .since = since_},
#define NESTED(since_, type, field, doc_, kind_)                                                             \
	{.name = #field,                                                                                     \
	 .doc = doc_,                                                                                        \
	 .sub = codec_##type,                                                                                \
	 .offset = offsetof(owner, field),                                                                   \
	 .kind = kind_,                                                                                      \
	 .since = since_},
#define BOOL(since, field, doc) PLAIN(since, field, doc, CODEC_BOOL)
#define U8(since, field, doc) PLAIN(since, field, doc, CODEC_U8)
#define U32(since, field, doc) PLAIN(since, field, doc, CODEC_U32)
#define U64(since, field, doc) PLAIN(since, field, doc, CODEC_U64)
#define I64(since, field, doc) PLAIN(since, field, doc, CODEC_I64)
#define BIN(since, field, doc) PLAIN(since, field, doc, CODEC_BYTES)
#define TEXT(since, field, doc) PLAIN(since, field, doc, CODEC_TEXT)
#define SUB(since, type, field, doc) NESTED(since, type, field, doc, CODEC_SUB)
#define LIST(since, type, field, doc) NESTED(since, type, field, doc, CODEC_LIST)
#define END(name_)                                                                                           \
	}                                                                                                    \
	;                                                                                                    \
	static const struct codec c = {#name_, sizeof(owner), fields, ARRAY_LENGTH(fields)};                 \
	return &c;                                                                                           \
	}

const struct codec *codec_range(void)
{
	static const struct codec_field fields[] = {
	    {.name = "first",
	     .offset = offsetof(struct range, first),
	     .kind = CODEC_U32,
	     .since = 1,
	     .doc = ""},
	    {.name = "count",
	     .offset = offsetof(struct range, count),
	     .kind = CODEC_U32,
	     .since = 1,
	     .doc = ""},
	};
	static const struct codec c = {"range", sizeof(struct range), fields, ARRAY_LENGTH(fields)};

	return &c;
}

#include "jobs/parts.def"
#include "jobs/messages.def"
#include "jobs/records.def"
#include "jobs/inputs.def"

#define VARIANT(type_, number_, name_, doc_)                                                                 \
	{.type = number_, .name = #name_, .doc = doc_, .codec = codec_##name_},

static const struct codec_variant messages[] = {
#include "jobs/messages.tbl"
};
static const struct codec_variant records[] = {
#include "jobs/records.tbl"
};
static const struct codec_variant inputs[] = {
#include "jobs/inputs.tbl"
};

const struct codec_union message_union = {"message", messages, ARRAY_LENGTH(messages)};
const struct codec_union record_union = {"record", records, ARRAY_LENGTH(records)};
const struct codec_union input_union = {"input", inputs, ARRAY_LENGTH(inputs)};
