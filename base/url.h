/* What a URL names, as far as its scheme tells: an object, a file, a server. RFC 3986 and RFC 8089, of which
 * files have the form file:///path only: no host, and the path as it stands, without %XX. Pure. */
#pragma once

#include "base/buf.h"

enum url_scheme {
	URL_OTHER, /* no URL, or of a scheme that nobody here knows */
	URL_S3,
	URL_FILE, /* with an absolute path */
	URL_HTTP,
	URL_HTTPS,
};

struct url {
	enum url_scheme scheme;
	struct bytes rest; /* bucket/key; /path; host[:port]…; all of it if the scheme is another */
};

/* Borrowed from text. */
struct url url_of(struct bytes text);
static inline enum url_scheme url_scheme(struct bytes text)
{
	return url_of(text).scheme;
}
static inline bool url_is_http(struct bytes text)
{
	enum url_scheme scheme = url_scheme(text);

	return scheme == URL_HTTP || scheme == URL_HTTPS;
}
/* The path of file:///path, or the text as it is. Borrowed. */
const char *url_path_or(const char *text);
/* Appends a URL of this scheme. */
void url_append(struct buf *out, enum url_scheme scheme, struct bytes rest);
/* A segment of the path is `..`. */
bool url_climbs(struct bytes text);
