#include "jobs/library/finance/inputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/s3/s3.h"
#include "base/url.h"

#define PRICES_BESIDE "prices.csv"
#define PATIENCE_US (60 * USEC_PER_SEC)
#define READ_BYTES (1u << 20)
#define ITEM_BYTES_MAX_HERE (64u << 20) /* one tally, or one line of JSON */

static int take(void *arg, struct bytes piece)
{
	buf_append_bytes(arg, piece);
	return 0;
}

/* An object of an S3 server; endpoint and credentials are those of AWS's variables and files. */
static int read_object(const char *url, size_t max, struct buf *ret, struct error *reterr)
{
	struct s3_options options = {.patience_us = PATIENCE_US};
	struct s3_client *client = NULL;
	struct s3_name name;
	struct s3_head head;
	int rc = s3_name_parse(bytes_of(url), &name, reterr);

	if (rc == 0 && name.key[0] == '\0')
		rc = error_set(reterr, ERR_INVALID, "expected an object s3://bucket/key, found a bucket");
	if (rc == 0)
		rc = s3_client_create(&options, &client, reterr);
	if (rc == 0)
		rc = s3_head(client, &name, (struct s3_cancel){0}, &head, reterr);
	if (rc == 0 && head.size_bytes > max) {
		error_set(reterr, ERR_LIMIT, "the object has %llu bytes; at most %zu are taken",
			  (unsigned long long)head.size_bytes, max);
		rc = ERR_LIMIT;
	}
	if (rc == 0)
		rc = s3_get(
		    client,
		    &(struct s3_get){
			.name = &name, .etag = head.etag, .size = head.size_bytes, .take = take, .arg = ret},
		    reterr);
	s3_client_destroy(client);
	if (rc < 0 && reterr->where[0] == '\0')
		error_where(reterr, "%.200s", url);
	return rc;
}

static int read_input(const char *file, size_t max, struct buf *ret, struct error *reterr)
{
	return url_scheme(bytes_of(file)) == URL_S3 ? read_object(file, max, ret, reterr)
						    : fs_read_file(file, max, ret, reterr);
}

/* prices may be NULL. */
static void name_prices(const char *prices, const char *positions, struct buf *ret)
{
	const char *path = url_path_or(positions), *slash = strrchr(path, '/');

	if (prices != NULL)
		buf_printf(ret, "%s", url_path_or(prices));
	else
		buf_printf(ret, "%.*s" PRICES_BESIDE, slash == NULL ? 0 : (int)(slash - path) + 1, path);
}

static int read_prices(const char *file, struct price_table *ret, struct error *reterr)
{
	struct buf text = {0};
	int rc = read_input(file, PRICE_FILE_BYTES_MAX, &text, reterr);

	if (rc == 0)
		rc = price_table_parse(buf_bytes(&text), file, ret, reterr);
	buf_fini(&text);
	return rc;
}

int inputs_model(const char *prices, const char *positions, const struct model_parameters *parameters,
		 struct model **ret, struct error *reterr)
{
	struct price_table table;
	struct position_list list;
	struct buf file = {0}, text = {0};
	int rc = read_input(url_path_or(positions), POSITION_FILE_BYTES_MAX, &text, reterr);

	name_prices(prices, positions, &file);
	if (rc == 0)
		rc = read_prices(buf_text(&file), &table, reterr);
	buf_fini(&file);
	if (rc < 0) {
		buf_fini(&text);
		return rc;
	}
	rc = positions_parse(buf_bytes(&text), url_path_or(positions), &table, &list, reterr);
	buf_fini(&text);
	if (rc == 0) {
		rc = model_create(&table, &list, parameters, ret, reterr);
		if (rc < 0)
			error_where(reterr, "%s", url_path_or(positions));
		free(list.items);
	}
	price_table_fini(&table);
	return rc;
}

static int fail_io(const char *what, const char *name, struct error *reterr)
{
	error_set(reterr, ERR_IO, "cannot %s: %s", what, strerror(errno));
	error_where(reterr, "%s", name);
	return ERR_IO;
}

int inputs_merge(int fd, const char *name, struct tally *t, struct error *reterr)
{
	struct buf held = {0};
	uint64_t before = 0;
	bool ended = false;
	size_t used = 0;
	int rc = 0;

	while (rc == 0 && !ended) {
		ssize_t got = read(fd, buf_reserve(&held, READ_BYTES), READ_BYTES);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			rc = fail_io("read", name, reterr);
			break;
		}
		ended = got == 0;
		held.size += (size_t)got;
		rc = report_merge(t, buf_bytes(&held), ended, &used, reterr);
		if (rc == 0 && held.size - used > ITEM_BYTES_MAX_HERE)
			rc = error_set(reterr, ERR_LIMIT, "a tally of more than %u bytes",
				       ITEM_BYTES_MAX_HERE);
		before += used;
		if (rc < 0) {
			error_where(reterr, "%s: byte %llu", name, (unsigned long long)before);
			break;
		}
		memmove(held.data, held.data + used, held.size - used);
		held.size -= used;
	}
	buf_fini(&held);
	return rc;
}

int inputs_write(int fd, struct bytes b, struct error *reterr)
{
	while (b.size > 0) {
		ssize_t put = write(fd, b.data, b.size);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return fail_io("write", fd == STDOUT_FILENO ? "standard output" : "a pipe", reterr);
		b = BYTES(b.data + put, b.size - (size_t)put);
	}
	return 0;
}
