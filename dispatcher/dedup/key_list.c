#include "dispatcher/dedup/key_list.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/fs.h"
#include "base/limits.h"

#define LIST "list"
#define LIST_BYTES_MAX (16 * MIB)

static char *path_in(const char *dir, const char *name)
{
	size_t size = strlen(dir) + strlen(name) + 2;
	char *path = check_calloc(1, size);

	snprintf(path, size, "%s/%s", dir, name);
	return path;
}

/* The text is followed by its checksum. */
static bool is_whole(const struct buf *text, size_t body)
{
	uint32_t crc;

	return sscanf((const char *)text->data + body, "crc %8" SCNx32, &crc) == 1 &&
	       crc == crc32c(0, text->data, body);
}

static int parse(struct buf *text, struct key_list *ret, struct error *reterr)
{
	const char *line = buf_text(text), *end = strstr(line, "crc ");
	int length = 0;
	uint32_t room = 0;

	if (end == NULL || !is_whole(text, (size_t)(end - line)))
		return error_set(reterr, ERR_CORRUPT, "the list of the files of keys is damaged");
	if (sscanf(line, "1 %" SCNd64 "\n%n", &ret->sealed_us, &length) != 1)
		return error_set(reterr, ERR_VERSION, "the list of the files of keys is of another version");
	for (line += length; line < end; line += length) {
		struct key_row row;

		if (sscanf(line, "%" SCNx32 " %" SCNd64 " %" SCNu64 "\n%n", &row.number, &row.last_us,
			   &row.keys, &length) != 3)
			return error_set(reterr, ERR_CORRUPT, "the list of the files of keys is damaged");
		if (ret->count == room)
			ret->rows =
			    check_realloc(ret->rows, room = room > 0 ? 2 * room : 16, sizeof(*ret->rows));
		ret->rows[ret->count++] = row;
	}
	return 0;
}

int key_list_read(const char *dir, struct key_list *ret, struct error *reterr)
{
	char *path = path_in(dir, LIST);
	struct key_list list = {0};
	struct buf text = {0};
	int rc = fs_read_file(path, LIST_BYTES_MAX, &text, reterr);

	if (rc == 0) {
		rc = parse(&text, &list, reterr);
		if (rc < 0)
			(void)error_where(reterr, "%s", path);
	}
	if (rc == 0)
		*ret = list;
	else
		key_list_fini(&list);
	buf_fini(&text);
	free(path);
	return rc;
}

int key_list_write(const char *dir, const struct key_list *list, struct error *reterr)
{
	char *path = path_in(dir, LIST);
	struct buf text = {0};
	int rc;

	buf_printf(&text, "1 %" PRId64 "\n", list->sealed_us);
	for (uint32_t i = 0; i < list->count; i++)
		buf_printf(&text, "%08" PRIx32 " %" PRId64 " %" PRIu64 "\n", list->rows[i].number,
			   list->rows[i].last_us, list->rows[i].keys);
	buf_printf(&text, "crc %08" PRIx32 "\n", crc32c(0, text.data, text.size));
	rc = fs_write_file(path, buf_bytes(&text), 0600, reterr);
	buf_fini(&text);
	free(path);
	return rc;
}

void key_list_fini(struct key_list *list)
{
	free(list->rows);
	*list = (struct key_list){0};
}

static bool is_named(const struct key_list *list, const char *name)
{
	uint32_t number;
	int length = 0;

	if (sscanf(name, "%8" SCNx32 ".keys%n", &number, &length) != 1 || name[length] != '\0' || length == 0)
		return true; /* none of these */
	for (uint32_t i = 0; i < list->count; i++)
		if (list->rows[i].number == number)
			return true;
	return false;
}

uint32_t key_list_sweep(const char *dir, const struct key_list *list)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;
	uint32_t swept = 0;

	while (d != NULL && (entry = readdir(d)) != NULL) {
		if (!is_named(list, entry->d_name) && unlinkat(dirfd(d), entry->d_name, 0) == 0)
			swept++;
	}
	if (d != NULL)
		closedir(d);
	return swept;
}
