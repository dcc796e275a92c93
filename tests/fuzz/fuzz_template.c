/* Any text, as a template and as a value: escaped, it expands to itself; as a template it is refused or
 * expands, and the bytes of a value come through unchanged. */
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "jobs/kinds.h"
#include "jobs/template.h"
#include "tests/fuzz/fuzz.h"

static void check_escape(struct bytes text, struct arena *arena)
{
	struct buf escaped = {0}, out = {0};
	struct template t;
	struct template_values v = {0};

	template_escape(&escaped, text);
	CHECK(template_compile(buf_bytes(&escaped), TEMPLATE_JOB, arena, &t, NULL, NULL) == 0);
	CHECK(template_is_literal(&t));
	if (text.size > 0 && memchr(text.data, '\0', text.size) != NULL) {
		CHECK(template_expand(&t, &v, &out, NULL) == ERR_INVALID);
	} else if (text.size < ARG_BYTES_MAX) {
		CHECK(template_expand(&t, &v, &out, NULL) == 0);
		CHECK(bytes_equal(buf_bytes(&out), text));
	}
	buf_fini(&escaped);
	buf_fini(&out);
}

static void check_value(struct bytes text, struct arena *arena)
{
	struct text_item name = {BYTES_LIT("event.id")}, value = {text};
	struct text_item_list names = {&name, 1}, values = {&value, 1};
	struct template_values v = {.values = &values};
	struct template t;
	struct buf out = {0};

	CHECK(template_compile(BYTES_LIT("<{{event.id}}>"), TEMPLATE_EVENT, arena, &t, NULL, NULL) == 0);
	CHECK(template_resolve(&t, &names, NULL) == 0);
	if (template_expand(&t, &v, &out, NULL) == 0) {
		CHECK(out.size == text.size + 2);
		CHECK(bytes_equal(BYTES(out.data + 1, text.size), text));
	} else {
		CHECK(out.size == 0);
	}
	buf_fini(&out);
}

static void check_template(struct bytes text, struct arena *arena)
{
	struct plan p = {.kind = PLAN_BYTES, .shard_count = 2, .size_bytes = 15, .step_bytes = 10};
	struct text_item_list values = {NULL, 0};
	struct template_values v = {.values = &values, .plan = &p, .shard = 1};
	struct template t;
	struct error e = {0};
	struct buf out = {0};
	size_t offset = 0;

	if (template_compile(text, ~0u, arena, &t, &offset, &e) < 0) {
		CHECK(offset < text.size && text.data[offset] == '{');
		CHECK(e.what[0] != '\0');
		return;
	}
	for (uint32_t i = 0; i < t.part_count; i++)
		t.parts[i].value = 0; /* a value that the job does not have */
	if (template_expand(&t, &v, &out, NULL) < 0)
		CHECK(out.size == 0);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;

	arena_init(&arena, 0);
	check_escape(BYTES(data, size), &arena);
	check_value(BYTES(data, size), &arena);
	check_template(BYTES(data, size), &arena);
	arena_fini(&arena);
	return 0;
}
