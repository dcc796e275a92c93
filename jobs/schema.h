/* The structs that parts.def, messages.def, records.def and inputs.def describe.
 *
 * Each table is included twice: here, to declare `struct NAME` and `struct NAME_list`, and in
 * schema.c, to define `codec_NAME()`. A row is STRUCT(name, doc) … fields … END(name); a field is
 * KIND(since, name, doc) or SUB/LIST(since, type, name, doc). WHOLE and MILLI are two forms of one member
 * (codec.h). TOTALS(n) are fields of totals.def: TOTALS(1)
 * is where the first of them stand, and all of them in the C struct. Pure. */
#pragma once

#include "base/types.h"
#include "jobs/codec.h"
#include "jobs/range.h"
#include "jobs/totals.h"

/* Of the messages between worker and dispatcher. Version 2 adds outcome.whole: a peer that speaks version 1
 * would accept part of such a range, so it must not see one. Version 3 adds LOOK, RUNNING, TAIL and
 * TAIL_BYTES: a dispatcher sends LOOK and TAIL only to workers that speak it. Version 4 adds
 * resources.gpu_milli (an older peer sees whole gpus, rounded up) and job_parameters.traceparent. Version 5
 * adds lease.rank: an older worker runs leases in the order in which they came; and outcome.efforts, which an
 * older dispatcher does not look at. Version 6 adds running_attempt.start_wall_us; and run_spec.stdin_bytes
 * and stdin_file, which an older worker would not give its commands, so it gets no leases of them. Version 7
 * writes items of a list that are alike as what differs (codec.h), to peers that speak it, and adds the
 * messages of producers, which begin with it. A dispatcher speaks with workers of WIRE_VERSION_MIN and later,
 * a worker with dispatchers of WIRE_VERSION_WORKER_MIN and later. */
#define WIRE_VERSION 7
#define WIRE_VERSION_MIN 1
#define WIRE_VERSION_WORKER_MIN 2
#define WIRE_VERSION_TAIL 3
#define WIRE_VERSION_RANK 5
#define WIRE_VERSION_STDIN 6
#define WIRE_VERSION_DELTAS 7
#define WIRE_VERSION_EVENTS 7

#define STRUCT(name, doc)                                                                                    \
	struct name;                                                                                         \
	const struct codec *codec_##name(void);                                                              \
	struct name##_list {                                                                                 \
		struct name *items;                                                                          \
		uint32_t count;                                                                              \
	};                                                                                                   \
	struct name {
#define BOOL(since, field, doc) bool field;
#define U8(since, field, doc) uint8_t field;
#define U32(since, field, doc) uint32_t field;
#define U64(since, field, doc) uint64_t field;
#define I64(since, field, doc) int64_t field;
#define BIN(since, field, doc) struct bytes field;
#define TEXT(since, field, doc) struct bytes field;
#define SUB(since, type, field, doc) struct type field;
#define LIST(since, type, field, doc) struct type##_list field;
#define WHOLE(since, field, doc) uint32_t field;
#define MILLI(since, field, doc)
#define TOTALS(group) TOTALS_MEMBER_##group
#define TOTALS_MEMBER_1 struct totals totals;
#define TOTALS_MEMBER_2
#define TOTALS_MEMBER_LATER
#define END(name)                                                                                            \
	}                                                                                                    \
	;

/* The totals of TOTALS_LATER alone, in a struct totals. */
const struct codec *codec_later_totals(void);
/* struct range stands in range.h; its list and codec belong here. */
const struct codec *codec_range(void);
struct range_list {
	struct range *items;
	uint32_t count;
};

#include "jobs/parts.def"
#include "jobs/messages.def"
#include "jobs/records.def"
#include "jobs/inputs.def"

#undef STRUCT
#undef BOOL
#undef U8
#undef U32
#undef U64
#undef I64
#undef BIN
#undef TEXT
#undef SUB
#undef LIST
#undef WHOLE
#undef MILLI
#undef TOTALS
#undef END

/* [type, struct] unions. The enum values are the numbers on the wire: never reused. */
#define VARIANT(type, number, name, doc) type = number,
enum message_type {
#include "jobs/messages.tbl"
};
enum record_type {
#include "jobs/records.tbl"
};
enum input_type {
#include "jobs/inputs.tbl"
};
#undef VARIANT

/* A message for a peer that speaks this version; 0: which one it speaks is not known yet. */
void message_encode(uint32_t wire, enum message_type type, const void *body, struct buf *out);

extern const struct codec_union message_union;
extern const struct codec_union record_union;
extern const struct codec_union input_union;
