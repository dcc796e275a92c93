#include "base/s3/sign.h"

#include <sodium.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/check.h"
#include "base/url.h"

#define HASH_BYTES crypto_hash_sha256_BYTES
#define HEX_BYTES (2 * HASH_BYTES + 1)
#define DATE_BYTES 8 /* of a time: 20130524 */

_Static_assert(crypto_auth_hmacsha256_BYTES == HASH_BYTES, "a key that is derived is as long as a hash");

void s3_signing_time(usec_t wall_us, char ret[S3_TIME_BYTES])
{
	time_t seconds = (time_t)(wall_us / USEC_PER_SEC);
	struct tm tm;

	CHECK(gmtime_r(&seconds, &tm) != NULL);
	CHECK(strftime(ret, S3_TIME_BYTES, "%Y%m%dT%H%M%SZ", &tm) == S3_TIME_BYTES - 1);
}

/* "host[:port]" of a URL, without the scheme and what follows. */
static struct bytes authority(const char *url)
{
	const char *host = strstr(url, "://");

	CHECK(host != NULL);
	return BYTES(host + 3, strcspn(host + 3, "/?"));
}

void s3_signing_host(struct buf *out, const char *url)
{
	struct bytes host = authority(url);
	struct bytes port = bytes_of(url_scheme(bytes_of(url)) == URL_HTTPS ? ":443" : ":80");

	if (host.size > port.size && memcmp(host.data + host.size - port.size, port.data, port.size) == 0)
		host.size -= port.size;
	buf_append_bytes(out, host);
}

/* Spaces at both ends go; several in a row become one. */
static void append_trimmed(struct buf *out, const char *value)
{
	while (*value != '\0') {
		size_t gap = strspn(value, " "), word = strcspn(value + gap, " ");

		if (gap > 0 && word > 0 && out->data[out->size - 1] != ':')
			buf_append(out, " ", 1);
		buf_append(out, value + gap, word);
		value += gap + word;
	}
}

static void append_lower(struct buf *out, const char *name)
{
	for (; *name != '\0'; name++)
		buf_printf(out, "%c", *name >= 'A' && *name <= 'Z' ? *name - 'A' + 'a' : *name);
}

static void append_signed_names(struct buf *out, const struct s3_signing *s)
{
	const char *last = "";

	for (size_t i = 0; i < s->header_count; i++) {
		if (s->headers[i].value[0] == '\0')
			continue;
		CHECK(strcasecmp(last, s->headers[i].name) < 0);
		if (last[0] != '\0')
			buf_append(out, ";", 1);
		append_lower(out, s->headers[i].name);
		last = s->headers[i].name;
	}
}

/* "lifecycle" alone stands in the canonical form as "lifecycle="; s3_url writes it so. */
static void append_canonical_request(struct buf *out, const struct s3_signing *s)
{
	struct bytes host = authority(s->url);
	const char *path = (const char *)host.data + host.size;
	size_t path_size = strcspn(path, "?");

	buf_printf(out, "%s\n", s->method);
	if (path_size == 0)
		buf_append(out, "/", 1);
	buf_append(out, path, path_size);
	buf_printf(out, "\n%s\n", path[path_size] == '?' ? path + path_size + 1 : "");
	for (size_t i = 0; i < s->header_count; i++) {
		if (s->headers[i].value[0] == '\0')
			continue;
		append_lower(out, s->headers[i].name);
		buf_append(out, ":", 1);
		append_trimmed(out, s->headers[i].value);
		buf_append(out, "\n", 1);
	}
	buf_append(out, "\n", 1);
	append_signed_names(out, s);
	buf_printf(out, "\n%s", s->body_sha256);
}

static void keyed_hash(const uint8_t *key, size_t key_size, struct bytes text, uint8_t ret[HASH_BYTES])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, key, key_size);
	crypto_auth_hmacsha256_update(&state, text.data, text.size);
	crypto_auth_hmacsha256_final(&state, ret);
	sodium_memzero(&state, sizeof state);
}

/* The secret signs the date, that the region, that the service; the last one signs requests. */
static void derive_key(const struct s3_signing *s, const struct s3_keys *keys, uint8_t ret[HASH_BYTES])
{
	const struct bytes steps[] = {bytes_of(s->region), BYTES_LIT("s3"), BYTES_LIT("aws4_request")};
	char secret[S3_KEY_BYTES_MAX + 4] = "AWS4";

	memcpy(secret + 4, keys->secret, strlen(keys->secret) + 1);
	keyed_hash((const uint8_t *)secret, strlen(secret), BYTES(s->time, DATE_BYTES), ret);
	for (size_t i = 0; i < ARRAY_LENGTH(steps); i++)
		keyed_hash(ret, HASH_BYTES, steps[i], ret);
	sodium_memzero(secret, sizeof secret);
}

void s3_sign(struct buf *out, const struct s3_signing *s, const struct s3_keys *keys)
{
	uint8_t hash[HASH_BYTES], key[HASH_BYTES];
	char hex[HEX_BYTES];
	struct buf text = {0};

	append_canonical_request(&text, s);
	crypto_hash_sha256(hash, text.data, text.size);
	sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
	buf_clear(&text);
	buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%.*s/%s/s3/aws4_request\n%s", s->time, DATE_BYTES, s->time,
		   s->region, hex);
	derive_key(s, keys, key);
	keyed_hash(key, sizeof key, buf_bytes(&text), hash);
	sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
	buf_printf(out, "AWS4-HMAC-SHA256 Credential=%s/%.*s/%s/s3/aws4_request, SignedHeaders=", keys->id,
		   DATE_BYTES, s->time, s->region);
	append_signed_names(out, s);
	buf_printf(out, ", Signature=%s", hex);
	sodium_memzero(key, sizeof key);
	buf_fini(&text);
}
