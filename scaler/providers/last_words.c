#include "scaler/providers/last_words.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "jobs/json.h"

#define READ_BYTES 16384
#define TIME_MARK 'T' /* 2026-11-23T03:14:37.000000Z error a message error="why" */
#define TIME_MARK_AT 10
#define LEVEL_MARK "Z error "
#define FIELD_MARK " error="

static size_t read_tail(const char *path, off_t from, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
	ssize_t got = 0;

	if (from > end) /* it was put aside, and begun anew */
		from = 0;
	if (end - from > (off_t)size - 1)
		from = end - (off_t)size + 1;
	if (fd >= 0) {
		got = pread(fd, text, size - 1, from);
		close(fd);
	}
	text[got > 0 ? got : 0] = '\0';
	return got > 0 ? (size_t)got : 0;
}

static void take(char *out, size_t size, const char *message, const char *why)
{
	size_t end;

	snprintf(out, size, "%s%s%s", message, why[0] != '\0' ? ": " : "", why);
	end = strlen(out);
	if (end + 1 == size) /* cut: not through a character */
		while (end > 0 && ((unsigned char)out[end - 1] & 0x80) != 0)
			end--;
	out[end] = '\0';
}

static void take_json(const char *line, char *out, size_t size)
{
	json_t *value = json_read(bytes_of(line), READ_BYTES, 4, NULL);
	const char *level = json_string_value(json_object_get(value, "level")),
		   *message = json_string_value(json_object_get(value, "message")),
		   *why = json_string_value(json_object_get(value, "error"));

	if (level != NULL && strcmp(level, "error") == 0 && message != NULL)
		take(out, size, message, why != NULL ? why : "");
	json_decref(value);
}

/* line may be changed. */
static void take_line(char *line, char *out, size_t size)
{
	size_t length = strlen(line);
	char *message, *why;

	if (line[0] == '{') {
		take_json(line, out, size);
	} else if (!isdigit((unsigned char)line[0]) || length <= TIME_MARK_AT ||
		   line[TIME_MARK_AT] != TIME_MARK) {
		if (length > 0)
			take(out, size, line, "");
	} else if ((message = strstr(line, LEVEL_MARK)) != NULL) {
		message += strlen(LEVEL_MARK);
		why = strstr(message, FIELD_MARK);
		if (why != NULL) {
			*why = '\0';
			why += strlen(FIELD_MARK);
			if (*why == '"' && line[length - 1] == '"') {
				line[length - 1] = '\0';
				why++;
			}
		}
		take(out, size, message, why != NULL ? why : "");
	}
}

const char *last_words(const char *log_path, off_t from, char *out, size_t size)
{
	char text[READ_BYTES], *line = text, *end;

	out[0] = '\0';
	if (read_tail(log_path, from, text, sizeof text) == 0)
		return out;
	for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		*end = '\0';
		take_line(line, out, size);
	}
	return out;
}
