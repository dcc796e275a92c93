#include "base/url.h"

#include <string.h>

static const struct {
	struct bytes prefix;
	size_t keep; /* of the prefix: a part of what is named */
} schemes[] = {
    [URL_S3] = {BYTES_LIT("s3://"), 0},
    [URL_FILE] = {BYTES_LIT("file:///"), 1},
    [URL_HTTP] = {BYTES_LIT("http://"), 0},
    [URL_HTTPS] = {BYTES_LIT("https://"), 0},
};

struct url url_of(struct bytes text)
{
	for (size_t i = URL_S3; i < ARRAY_LENGTH(schemes); i++) {
		struct bytes prefix = schemes[i].prefix;
		size_t skip = prefix.size - schemes[i].keep;

		if (text.size >= prefix.size && memcmp(text.data, prefix.data, prefix.size) == 0)
			return (struct url){(enum url_scheme)i, BYTES(text.data + skip, text.size - skip)};
	}
	return (struct url){URL_OTHER, text};
}

const char *url_path_or(const char *text)
{
	struct url u = url_of(bytes_of(text));

	return u.scheme == URL_FILE ? (const char *)u.rest.data : text;
}

void url_append(struct buf *out, enum url_scheme scheme, struct bytes rest)
{
	if (scheme != URL_OTHER)
		buf_append(out, schemes[scheme].prefix.data,
			   schemes[scheme].prefix.size - schemes[scheme].keep);
	buf_append_bytes(out, rest);
}

bool url_climbs(struct bytes text)
{
	size_t start = 0;

	for (size_t i = 0; i <= text.size; i++) {
		if (i < text.size && text.data[i] != '/')
			continue;
		if (i - start == 2 && text.data[start] == '.' && text.data[start + 1] == '.')
			return true;
		start = i + 1;
	}
	return false;
}
