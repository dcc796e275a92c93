#include "jobs/library/finance/inputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"

#define PRICES_BESIDE "prices.csv"
#define READ_BYTES (1u << 20)
#define ITEM_BYTES_MAX_HERE (64u << 20) /* one tally, or one line of JSON */

static const char *path_of(const char *file)
{
	return strncmp(file, "file:///", 8) == 0 ? file + 7 : file;
}

/* prices may be NULL. */
static void name_prices(const char *prices, const char *positions, struct buf *ret)
{
	const char *path = path_of(positions), *slash = strrchr(path, '/');

	if (prices != NULL)
		buf_printf(ret, "%s", path_of(prices));
	else
		buf_printf(ret, "%.*s" PRICES_BESIDE, slash == NULL ? 0 : (int)(slash - path) + 1, path);
}

static int read_prices(const char *file, struct price_table *ret, struct error *reterr)
{
	struct buf text = {0};
	int rc = fs_read_file(file, PRICE_FILE_BYTES_MAX, &text, reterr);

	if (rc == 0)
		rc = price_table_parse(buf_bytes(&text), file, ret, reterr);
	buf_fini(&text);
	return rc;
}

static int read_positions(const char *file, const struct price_table *prices, struct position_list *ret,
			  struct error *reterr)
{
	struct buf text = {0};
	int rc = fs_read_file(path_of(file), POSITION_FILE_BYTES_MAX, &text, reterr);
	if (rc == 0)
		rc = positions_parse(buf_bytes(&text), path_of(file), prices, ret, reterr);
	buf_fini(&text);
	return rc;
}

int inputs_model(const char *prices, const char *positions, const struct model_parameters *parameters,
		 struct model **ret, struct error *reterr)
{
	struct price_table table;
	struct position_list list;
	struct buf file = {0};
	int rc;

	if (strncmp(positions, "s3://", 5) == 0) {
		error_set(reterr, ERR_INVALID, "%s: finance-var reads files only", positions);
		return error_help(reterr, "copy the object to a directory that all workers see");
	}
	name_prices(prices, positions, &file);
	rc = read_prices(buf_text(&file), &table, reterr);
	buf_fini(&file);
	if (rc < 0)
		return rc;
	rc = read_positions(positions, &table, &list, reterr);
	if (rc == 0) {
		rc = model_create(&table, &list, parameters, ret, reterr);
		if (rc < 0)
			error_where(reterr, "%s", path_of(positions));
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
