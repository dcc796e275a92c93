/* The files that AWS's tools share, and the JSON that credential endpoints answer with. Pure.
 * https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html */
#pragma once

#include "base/buf.h"
#include "base/types.h"

/* The value of `name = value` in a section of a credentials or config file, appended to out in place of its
 * content. In a config file sections are [default] and [profile NAME] (is_config), in a credentials file
 * [NAME]. false: it is not there. Lines that begin with # or ; are comments; nested values are skipped. */
bool s3_profile_value(struct bytes file, bool is_config, const char *profile, const char *name,
		      struct buf *out);

/* The string of `"name": "…"` at the top of a JSON object, in place of out's content; false when there is
 * none. For answers of credential endpoints, which are flat. */
bool s3_json_text(struct bytes body, const char *name, struct buf *out);

/* "2024-05-01T12:00:00Z" (RFC 3339, UTC, fractions dropped) in microseconds since 1970; false: it is none. */
bool s3_time_read(struct bytes text, usec_t *ret_wall_us);
