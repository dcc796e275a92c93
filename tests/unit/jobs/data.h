/* Files below tests/data; tests run in the root of the sources. */
#pragma once

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/buf.h"

/* Appends the file; NUL-terminated by buf_text. */
static inline struct bytes data_read(struct buf *out, const char *name)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof path, "tests/data/%s", name);
	f = fopen(path, "rb");
	cr_assert_not_null(f, "%s", path);
	buf_clear(out);
	for (;;) {
		size_t got = fread(buf_reserve(out, 65536), 1, 65536, f);

		if (got == 0)
			break;
		out->size += got;
	}
	fclose(f);
	buf_text(out);
	return buf_bytes(out);
}
