#include "jobs/result.h"

#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/url.h"
#include "jobs/kinds.h"

#define OUT "out "
#define ERR "err "
#define GATHER BYTES_LIT("gather")
#define SHARDS BYTES_LIT("shards")

/* "out TEMPLATE" */
static bool read_line(struct bytes line, const char *name, struct bytes *ret)
{
	size_t size = strlen(name);

	if (line.size <= size || memcmp(line.data, name, size) != 0)
		return false;
	*ret = BYTES(line.data + size, line.size - size);
	return true;
}

bool result_streams_read(struct bytes output, struct result_streams *ret)
{
	const uint8_t *newline = output.size > 0 ? memchr(output.data, '\n', output.size) : NULL;
	size_t size = newline != NULL ? (size_t)(newline - output.data) : output.size;
	struct bytes first = BYTES(output.data, size);

	*ret = (struct result_streams){.out = {0}};
	if (newline == NULL)
		return read_line(first, OUT, &ret->out) || read_line(first, ERR, &ret->err);
	return read_line(first, OUT, &ret->out) &&
	       read_line(BYTES(newline + 1, output.size - size - 1), ERR, &ret->err);
}

void result_streams_write(const struct result_streams *s, struct buf *out)
{
	if (s->out.size > 0)
		buf_printf(out, OUT "%.*s", (int)s->out.size, (const char *)s->out.data);
	if (s->err.size > 0)
		buf_printf(out, "%s" ERR "%.*s", s->out.size > 0 ? "\n" : "", (int)s->err.size,
			   (const char *)s->err.data);
}

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

static int expand(struct bytes output, unsigned scope, const struct text_item_list *value_names,
		  const struct template_values *v, struct buf *out, struct error *reterr)
{
	size_t before = out->size;
	struct template t;
	struct arena arena;
	struct bytes url;
	char quoted[200];
	int rc;

	arena_init(&arena, 0);
	rc = template_compile(output, scope, &arena, &t, NULL, reterr);
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
	return 0;
}

/* The prefix, with its slash. */
static int expand_prefix(struct bytes output, const struct text_item_list *value_names,
			 const struct template_values *v, struct buf *out, struct error *reterr)
{
	int rc = expand(output, TEMPLATE_EVENT | TEMPLATE_JOB, value_names, v, out, reterr);

	if (rc == 0 && (out->size == 0 || out->data[out->size - 1] != '/'))
		buf_append(out, "/", 1);
	return rc;
}

int result_url(struct bytes output, const struct text_item_list *value_names, const struct template_values *v,
	       bool gathered, uint32_t shard, struct buf *out, struct error *reterr)
{
	int rc = expand_prefix(output, value_names, v, out, reterr);

	if (rc == 0 && gathered)
		buf_printf(out, "result");
	else if (rc == 0)
		buf_printf(out, "shard-%010u", shard);
	return rc;
}

int result_urls(struct bytes output, const struct text_item_list *value_names,
		const struct template_values *v, bool gathered, struct buf *out, struct error *reterr)
{
	struct result_streams streams;
	int rc;

	if (result_streams_read(output, &streams)) {
		buf_append_bytes(out, streams.out.size > 0 ? streams.out : streams.err);
		return 0;
	}
	rc = expand_prefix(output, value_names, v, out, reterr);

	if (rc == 0)
		buf_printf(out, gathered ? "result" : "shard-*");
	return rc;
}

int result_stream_url(struct bytes stream, const struct text_item_list *value_names,
		      const struct template_values *v, struct buf *out, struct error *reterr)
{
	size_t before = out->size;
	int rc = expand(stream, TEMPLATE_ALL, value_names, v, out, reterr);

	if (rc == 0 && (out->size == before || out->data[out->size - 1] == '/'))
		return error_set(reterr, ERR_INVALID, "expected the name of a file, found %.200s",
				 buf_text(out));
	return rc;
}
