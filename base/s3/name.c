#include "base/s3/name.h"

#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "base/url.h"

bool s3_bucket_is_fine(struct bytes bucket)
{
	if (bucket.size == 0 || bucket.size > S3_BUCKET_BYTES_MAX || bucket.data[0] == '.')
		return false;
	for (size_t i = 0; i < bucket.size; i++) {
		uint8_t c = bucket.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      (c != '\0' && strchr("-._", c) != NULL)))
			return false;
	}
	return true;
}

int s3_name_parse(struct bytes url, struct s3_name *ret, struct error *reterr)
{
	struct url named = url_of(url);
	struct bytes bucket = named.rest, key;
	const uint8_t *slash;
	char quoted[200];

	if (named.scheme != URL_S3 || bucket.size == 0)
		return error_set(reterr, ERR_INVALID, "expected s3://bucket/key, found %s",
				 text_quote(quoted, sizeof quoted, url));
	slash = memchr(bucket.data, '/', bucket.size);
	key = slash == NULL ? BYTES(NULL, 0)
			    : BYTES(slash + 1, bucket.size - (size_t)(slash - bucket.data) - 1);
	bucket.size = slash == NULL ? bucket.size : (size_t)(slash - bucket.data);
	if (!s3_bucket_is_fine(bucket))
		return error_set(reterr, ERR_INVALID,
				 "expected a bucket's name of letters, digits, '-', '_' and '.' in %s",
				 text_quote(quoted, sizeof quoted, url));
	if (key.size > KEY_BYTES_MAX)
		return error_set(reterr, ERR_LIMIT, "a key has at most %d bytes, found %zu in %s",
				 KEY_BYTES_MAX, key.size, text_quote(quoted, sizeof quoted, url));
	if (key.size > 0 && memchr(key.data, '\0', key.size) != NULL)
		return error_set(reterr, ERR_INVALID, "expected a key without NUL bytes in %s",
				 text_quote(quoted, sizeof quoted, url));
	*ret = (struct s3_name){0};
	memcpy(ret->bucket, bucket.data, bucket.size);
	if (key.size > 0)
		memcpy(ret->key, key.data, key.size);
	return 0;
}

void s3_encode(struct buf *out, struct bytes text, bool keep_slash)
{
	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = text.data[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
		    c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash))
			buf_append(out, &c, 1);
		else
			buf_printf(out, "%%%02X", c);
	}
}

/* scheme://bucket.host */
static void append_host(struct buf *out, const char *endpoint, const char *bucket)
{
	const char *host = strstr(endpoint, "://");
	size_t scheme = host != NULL ? (size_t)(host - endpoint) + 3 : 0;

	buf_append(out, endpoint, scheme);
	buf_printf(out, "%s.%s", bucket, endpoint + scheme);
}

void s3_url(struct buf *out, const struct s3_place *place, const struct s3_name *name,
	    const struct s3_query *query, size_t count)
{
	struct buf base = {0};

	if (place->endpoint[0] != '\0')
		buf_printf(&base, "%s", place->endpoint);
	else
		buf_printf(&base, "https://s3.%s.amazonaws.com%s", place->region,
			   strncmp(place->region, "cn-", 3) == 0 ? ".cn" : "");
	/* A wildcard certificate does not cover a name with dots in it. */
	if (place->path_style || strchr(name->bucket, '.') != NULL)
		buf_printf(out, "%s/%s", buf_text(&base), name->bucket);
	else
		append_host(out, buf_text(&base), name->bucket);
	buf_fini(&base);
	if (name->key[0] != '\0' || !place->path_style)
		buf_printf(out, "/");
	s3_encode(out, bytes_of(name->key), true);
	for (size_t i = 0; i < count; i++) {
		CHECK(i == 0 || strcmp(query[i - 1].name, query[i].name) < 0);
		buf_printf(out, "%c%s=", i == 0 ? '?' : '&', query[i].name);
		s3_encode(out, query[i].value, false);
	}
}

void s3_etag_bare(struct bytes header, char *ret, size_t size)
{
	ret[0] = '\0';
	while (header.size > 0 && (header.data[0] == ' ' || header.data[0] == '"'))
		header = BYTES(header.data + 1, header.size - 1);
	while (header.size > 0 && strchr("\" \r\n", header.data[header.size - 1]) != NULL)
		header.size--;
	if (header.size >= size)
		return;
	if (header.size > 0)
		memcpy(ret, header.data, header.size);
	ret[header.size] = '\0';
}
