#include "jobs/result.h"

#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/url.h"
#include "jobs/kinds.h"

#define GATHER BYTES_LIT("gather")
#define SHARDS BYTES_LIT("shards")

bool result_is_gathered(const struct run_definition *d)
{
	for (uint32_t i = 0; i < d->phases.count; i++)
		if (bytes_equal(d->phases.items[i].name, GATHER))
			return true;
	return false;
}

bool result_is_made(const struct run_definition *d, const struct phase_run *phase, const struct plan *plan)
{
	if (d->output.size == 0)
		return false;
	if (bytes_equal(phase->name, GATHER))
		return plan->shard_count == 1;
	return bytes_equal(phase->name, SHARDS) && !result_is_gathered(d);
}

/* The prefix, with its slash. */
static int expand(struct bytes output, const struct text_item_list *value_names,
		  const struct template_values *v, struct buf *out, struct error *reterr)
{
	size_t before = out->size;
	struct template t;
	struct arena arena;
	struct bytes url;
	char quoted[200];
	int rc;

	arena_init(&arena, 0);
	rc = template_compile(output, TEMPLATE_EVENT | TEMPLATE_JOB, &arena, &t, NULL, reterr);
	if (rc == 0)
		rc = template_resolve(&t, value_names, reterr);
	if (rc == 0)
		rc = template_expand(&t, v, out, reterr);
	arena_fini(&arena);
	if (rc < 0)
		return rc;
	url = BYTES(out->data + before, out->size - before);
	/* `..` from an event's text would climb out of the directory that a definition names. */
	if (url_scheme(url) == URL_FILE && url_climbs(url)) {
		error_set(reterr, ERR_INVALID, "expected an output that does not climb by .., found %s",
			  text_quote(quoted, sizeof quoted, url));
		out->size = before;
		return ERR_INVALID;
	}
	if (url.size > URL_BYTES_MAX - 32) {
		out->size = before;
		return error_set(reterr, ERR_LIMIT, "an output's URL of %zu bytes; at most %d are taken",
				 url.size, URL_BYTES_MAX - 32);
	}
	if (url.size == 0 || url.data[url.size - 1] != '/')
		buf_append(out, "/", 1);
	return 0;
}

int result_url(struct bytes output, const struct text_item_list *value_names, const struct template_values *v,
	       bool gathered, uint32_t shard, struct buf *out, struct error *reterr)
{
	int rc = expand(output, value_names, v, out, reterr);

	if (rc == 0 && gathered)
		buf_printf(out, "result");
	else if (rc == 0)
		buf_printf(out, "shard-%010u", shard);
	return rc;
}

int result_urls(struct bytes output, const struct text_item_list *value_names,
		const struct template_values *v, bool gathered, struct buf *out, struct error *reterr)
{
	int rc = expand(output, value_names, v, out, reterr);

	if (rc == 0)
		buf_printf(out, gathered ? "result" : "shard-*");
	return rc;
}
