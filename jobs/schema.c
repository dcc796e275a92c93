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
#define WHOLE(since, field, doc) PLAIN(since, field, doc, CODEC_WHOLE)
#define MILLI(since, field, doc) PLAIN(since, field, doc, CODEC_MILLI)
#define TOTALS(group) TOTALS_FIELDS_##group
#define TOTALS_FIELDS_1 TOTALS_1(TOTAL_OF_1)
#define TOTALS_FIELDS_2 TOTALS_2(TOTAL_OF_2)
#define TOTALS_FIELDS_LATER                                                                                  \
	{.name = "later_totals",                                                                             \
	 .doc = "",                                                                                          \
	 .sub = codec_later_totals,                                                                          \
	 .offset = offsetof(owner, totals),                                                                  \
	 .kind = CODEC_SUB,                                                                                  \
	 .since = LATER_SINCE},
#define TOTAL_OF_1(name_, add, json, form, doc_) TOTAL(1, name_, doc_)
#define TOTAL_OF_2(name_, add, json, form, doc_) TOTAL(2, name_, doc_)
#define TOTAL(since_, name_, doc_)                                                                           \
	{.name = #name_,                                                                                     \
	 .doc = doc_,                                                                                        \
	 .offset = offsetof(owner, totals) + offsetof(struct totals, name_),                                 \
	 .kind = CODEC_U64,                                                                                  \
	 .since = since_},
#define END(name_)                                                                                           \
	}                                                                                                    \
	;                                                                                                    \
	static const struct codec c = {#name_, sizeof(owner), fields, ARRAY_LENGTH(fields)};                 \
	return &c;                                                                                           \
	}

#define LATER_SINCE 4
const struct codec *codec_later_totals(void)
{
#define TOTAL_LATER(name_, add, json, form, doc_)                                                            \
	{.name = #name_,                                                                                     \
	 .doc = doc_,                                                                                        \
	 .offset = offsetof(struct totals, name_),                                                           \
	 .kind = CODEC_U64,                                                                                  \
	 .since = LATER_SINCE},
	/* With an end, so that there may be none. */
	static const struct codec_field fields[] = {TOTALS_LATER(TOTAL_LATER){0}};
	static const struct codec c = {"later_totals", sizeof(struct totals), fields,
				       ARRAY_LENGTH(fields) - 1};

	return &c;
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

void message_encode(uint32_t wire, enum message_type type, const void *body, struct buf *out)
{
	if (wire >= WIRE_VERSION_DELTAS)
		codec_union_encode_deltas(&message_union, type, body, out);
	else
		codec_union_encode(&message_union, type, body, out);
}
