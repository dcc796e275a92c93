/* A head that says two things about where its body ends, or something that we do not understand, is refused:
 * a proxy in front may have believed the other one, and would take the rest for somebody else's request (RFC
 * 9112, 6.3). libmicrohttpd takes the first of what comes twice, and has all of it. */
#include <string.h>

#include "dispatcher/api/door.h"

struct head {
	int lengths, encodings;
	bool strange; /* a name or a value that others may read otherwise */
	bool chunked;
};

/* RFC 9110, 5.6.2 */
static bool is_token(const char *name, size_t size)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < size; i++) {
		char c = name[i];

		if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
		      (c != '\0' && strchr(others, c) != NULL)))
			return false;
	}
	return size > 0;
}

static bool is_number(const char *value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (value[i] < '0' || value[i] > '9')
			return false;
	return size > 0;
}

static enum MHD_Result look(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_size,
			    const char *value, size_t value_size)
{
	struct head *h = arg;

	(void)kind;
	if (value == NULL)
		value = "";
	if (!is_token(name, name_size)) {
		h->strange = true;
	} else if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
		h->lengths++;
		h->strange = h->strange || !is_number(value, value_size);
	} else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
		h->encodings++;
		h->chunked = value_size == 7 && strcasecmp(value, "chunked") == 0;
	}
	return MHD_YES;
}

bool door_head_is_clear(struct request *r)
{
	struct head h = {0};
	struct error e = {0};

	(void)MHD_get_connection_values_n(r->connection, MHD_HEADER_KIND, look, &h);
	if (!h.strange && h.lengths + h.encodings <= 1 && (h.encodings == 0 || h.chunked))
		return true;
	error_set(&e, ERR_INVALID, "expected one Content-Length, or Transfer-Encoding: chunked, found %s",
		  h.lengths + h.encodings > 1 ? "two lengths"
		  : h.strange		      ? "a header that is none"
					      : "another encoding");
	error_where(&e, "headers");
	request_refuse(r, MHD_HTTP_BAD_REQUEST, &e);
	return false;
}
