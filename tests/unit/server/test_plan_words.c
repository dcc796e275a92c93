/* What a plan comes to, in a sentence. */
#include <criterion/criterion.h>
#include <string.h>

#include "dispatcher/plan_words.h"
#include "jobs/kinds.h"

static const struct {
	struct plan plan;
	uint8_t items_planner;
	uint32_t phases;
	bool at_least;
	const char *sentence;
} cases[] = {
    {{.kind = PLAN_COUNT, .shard_count = 1, .step = 1},
     0,
     1,
     false,
     "one shard, as nothing says how to cut it"},
    {{.kind = PLAN_COUNT, .shard_count = 3, .step = 1, .start = 5},
     0,
     2,
     false,
     "3 shards, with the numbers 5 to 7; what they write is gathered"},
    {{.kind = PLAN_COUNT, .shard_count = 500, .step = 2, .start = 1},
     0,
     1,
     false,
     "500 shards, with the numbers 1 to 999 in steps of 2"},
    {{.kind = PLAN_BYTES, .shard_count = 1, .step_bytes = 64 * MIB},
     0,
     1,
     false,
     "one shard, as the object is empty"},
    {{.kind = PLAN_BYTES, .shard_count = 1, .step_bytes = 64 * MIB, .size_bytes = 12},
     0,
     1,
     false,
     "one shard, as the object has 12 bytes and a shard takes 64MiB"},
    {{.kind = PLAN_BYTES,
      .shard_count = 4,
      .step_bytes = 64 * MIB,
      .size_bytes = 200 * MIB,
      .align = ALIGN_FASTQ},
     0,
     1,
     false,
     "4 shards of 64MiB, the last one of 8MiB; each begins at the first record (fastq) that begins "
     "in its "
     "bytes"},
    {{.kind = PLAN_BYTES, .shard_count = 2, .step_bytes = 1536, .size_bytes = 3072, .align = ALIGN_NONE},
     0,
     1,
     false,
     "2 shards of 1.5KiB, cut at exactly these bytes"},
    {{.kind = PLAN_ITEMS, .shard_count = 0}, 0, 1, false, "no shards, as the list has no items"},
    {{.kind = PLAN_ITEMS, .shard_count = 1}, 0, 1, false, "one shard, as the list has one item"},
    {{.kind = PLAN_ITEMS, .shard_count = 9}, 0, 1, false, "9 shards, one for each item"},
    {{.kind = PLAN_ITEMS, .shard_count = 9}, 0, 1, true, "at least 9 shards, one for each item"},
    {{.kind = PLAN_COUNT, .shard_count = 1, .step = 1},
     PLANNER_LINES,
     3,
     false,
     "one shard makes the list of items; how many shards come of it is known when it has run; what "
     "they "
     "write is gathered"},
};

Test(plan_words, each_kind_has_its_sentence)
{
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct definition d = {0};
		struct buf out = {0};

		d.body.items_planner = cases[i].items_planner;
		d.body.phases.count = cases[i].phases;
		plan_sentence(&d, &cases[i].plan, cases[i].at_least, &out);
		cr_expect_str_eq(buf_text(&out), cases[i].sentence);
		buf_fini(&out);
	}
}
