/* What those share that read and make events. Pure, inside jobs/.
 *
 * Names that may not be UTF-8 (file names, percent-encoded keys) cannot stand in JSON, so such a name
 * stands twice: NAME for people and patterns, with U+FFFD for what is not text, and NAME-base64 with its
 * exact bytes. */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"

void event_set_bytes(json_t *object, const char *name, struct bytes value);
/* Appends the exact bytes; false, nothing appended, when there is no such text. */
bool event_get_bytes(const json_t *object, const char *name, struct buf *out) MUST_CHECK;
/* Does it have one? */
bool event_has_bytes(const json_t *object, const char *name);

/* Appends what %XX stands for; plus_is_space: as in a form. A '%' without two digits behind it stands for
 * itself. */
void event_percent_decode(struct bytes in, bool plus_is_space, struct buf *out);

/* Puts `path` in front of where: "Records[2].s3.object" + "key". Returns the code. */
int event_error_under(struct error *reterr, const char *path, ...) PRINTF_LIKE(2, 3);
/* object[name] = text; nothing when text is NULL or "". */
void event_set_text(json_t *object, const char *name, const char *text);
