#include "cli/each_line.h"

#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/submission.h"

/* ERR_LIMIT: more than a definition takes. */
static int read_items(struct bytes text, json_t *items, struct error *reterr)
{
	size_t encoded = 0;

	for (uint64_t line = 1; text.size > 0; line++) {
		const uint8_t *newline = memchr(text.data, '\n', text.size);
		size_t size = newline != NULL ? (size_t)(newline - text.data) : text.size;
		struct bytes item =
		    BYTES(text.data, size > 0 && text.data[size - 1] == '\r' ? size - 1 : size);

		text = BYTES(text.data + size + (newline != NULL), text.size - size - (newline != NULL));
		if (item.size == 0)
			continue;
		if (!text_is_utf8(item) || memchr(item.data, '\0', item.size) != NULL)
			return error_set(reterr, ERR_INVALID, "expected text in UTF-8 in line %llu",
					 (unsigned long long)line);
		encoded += item.size + 3;
		for (size_t i = 0; i < item.size; i++)
			encoded += item.data[i] < 0x20 ? 5 : item.data[i] == '"' || item.data[i] == '\\';
		if (encoded > EACH_LINE_BYTES_MAX || json_array_size(items) == DEFINITION_ITEMS_MAX)
			return ERR_LIMIT;
		json_array_append_new(items, json_stringn((const char *)item.data, item.size));
	}
	return 0;
}

static int set_url(struct api_command *command, const char *path, const char *directory, struct error *reterr)
{
	struct buf url = {0};
	int r = submission_add_url(&url, path, directory, reterr);

	if (r == 0) {
		command->lines = json_string(buf_text(&url));
		CHECK(command->lines != NULL);
	}
	buf_fini(&url);
	return r;
}

int each_line(const char *path, const char *directory, struct api_command *command, struct error *reterr)
{
	json_t *items = json_array();
	struct buf text = {0};
	struct stat st;
	bool regular = strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
	bool large = regular && (uint64_t)st.st_size > HTTP_BODY_BYTES_MAX;
	int r = large ? ERR_LIMIT : cli_read_input(path, HTTP_BODY_BYTES_MAX, &text, reterr);

	if (r == 0)
		r = read_items(buf_bytes(&text), items, reterr);
	buf_fini(&text);
	if (r == 0 && json_array_size(items) > 0) {
		command->items = items;
		return 0;
	}
	json_decref(items);
	if (r == ERR_LIMIT && regular && text_is_utf8(bytes_of(path)) && strstr(path, "{{") == NULL) {
		r = set_url(command, path, directory, reterr);
		if (r == 0)
			return 0;
	} else if (r == 0) {
		r = error_set(reterr, ERR_INVALID, "expected lines, found none");
	} else if (r == ERR_LIMIT) {
		error_set(reterr, r, "expected at most %d lines of %u KiB in all", DEFINITION_ITEMS_MAX,
			  EACH_LINE_BYTES_MAX / 1024);
		error_help(reterr,
			   "write them to a file that the dispatcher can read, and name it by its path");
	}
	options_where("each-line", path, reterr);
	return r;
}
