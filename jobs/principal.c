#include "jobs/principal.h"

#include <inttypes.h>
#include <string.h>

#include "base/limits.h"
#include "jobs/kinds.h"

void principal_words(const struct principal *p, struct buf *out)
{
	bool is_numbered = p->kind == BY_UID || p->kind == BY_JOB;

	if (p->kind == 0)
		return;
	if (p->kind == BY_DISPATCHER) {
		buf_printf(out, "the dispatcher");
		return;
	}
	buf_printf(out, "%s", p->kind == BY_UID ? "user" : principal_kind_name(p->kind));
	if (!is_numbered || (p->kind == BY_UID && p->name.size > 0)) {
		buf_printf(out, " %.*s", (int)p->name.size, (const char *)p->name.data);
		if (is_numbered)
			buf_printf(out, " (%" PRIu64 ")", p->number);
		return;
	}
	buf_printf(out, " %" PRIu64, p->number);
	if (p->name.size > 0)
		buf_printf(out, " (%.*s)", (int)p->name.size, (const char *)p->name.data);
}

int principal_check(const struct principal *p, struct error *reterr)
{
	if (p->kind != 0 && strcmp(principal_kind_name(p->kind), "unknown") == 0)
		return error_set(reterr, ERR_INVALID, "expected %s as who asks, found kind %u",
				 principal_kind_names(), p->kind);
	if (p->name.size > KEY_BYTES_MAX)
		return error_set(reterr, ERR_INVALID, "expected a name of at most %d bytes for who asks",
				 KEY_BYTES_MAX);
	return 0;
}
