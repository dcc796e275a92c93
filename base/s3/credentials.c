#include "base/s3/credentials.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/s3/metadata.h"
#include "base/s3/profile.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define RENEW_BEFORE_US (300 * USEC_PER_SEC)
#define RENEW_AGAIN_US (10 * USEC_PER_SEC) /* while the old ones still serve */

struct s3_credentials {
	pthread_mutex_t lock;
	struct s3_keys keys;
	bool known;
	bool found_once;     /* if none are found now, an endpoint is away */
	usec_t try_after_us; /* wall */
};

struct s3_credentials *s3_credentials_create(void)
{
	struct s3_credentials *c = check_calloc(1, sizeof *c);

	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void s3_credentials_destroy(struct s3_credentials *c)
{
	if (c == NULL)
		return;
	pthread_mutex_destroy(&c->lock);
	explicit_bzero(&c->keys, sizeof c->keys);
	free(c);
}

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value != NULL ? value : "";
}

static const char *profile_name(void)
{
	const char *name = environment("AWS_PROFILE");

	return name[0] != '\0' ? name : "default";
}

/* The path that the variable gives, or the one below the home directory. */
static void file_path(const char *variable, const char *beside, char *ret, size_t size)
{
	if (environment(variable)[0] != '\0')
		snprintf(ret, size, "%s", environment(variable));
	else
		snprintf(ret, size, "%s/.aws/%s", environment("HOME"), beside);
}

static bool keep(char *to, size_t size, const struct buf *from)
{
	bool fits = from->size > 0 && from->size < size && memchr(from->data, '\0', from->size) == NULL;

	if (fits) {
		memcpy(to, from->data, from->size);
		to[from->size] = '\0';
	}
	return fits;
}

static bool from_environment(struct s3_keys *k)
{
	const char *id = environment("AWS_ACCESS_KEY_ID"), *secret = environment("AWS_SECRET_ACCESS_KEY");

	if (id[0] == '\0' || secret[0] == '\0' || strlen(id) >= sizeof k->id ||
	    strlen(secret) >= sizeof k->secret)
		return false;
	snprintf(k->id, sizeof k->id, "%s", id);
	snprintf(k->secret, sizeof k->secret, "%s", secret);
	snprintf(k->token, sizeof k->token, "%s", environment("AWS_SESSION_TOKEN"));
	return true;
}

/* 1: they are there; 0: not. */
static int from_file(const char *path, bool is_config, struct s3_keys *k, struct error *reterr)
{
	struct buf text = {0}, value = {0};
	bool id, secret;
	int rc = fs_read_file(path, FILE_BYTES_MAX, &text, reterr);

	if (rc == ERR_NOT_FOUND) {
		buf_fini(&text);
		return 0;
	}
	if (rc < 0)
		return rc;
	id = s3_profile_value(buf_bytes(&text), is_config, profile_name(), "aws_access_key_id", &value) &&
	     keep(k->id, sizeof k->id, &value);
	secret =
	    s3_profile_value(buf_bytes(&text), is_config, profile_name(), "aws_secret_access_key", &value) &&
	    keep(k->secret, sizeof k->secret, &value);
	if (s3_profile_value(buf_bytes(&text), is_config, profile_name(), "aws_session_token", &value))
		(void)keep(k->token, sizeof k->token, &value);
	explicit_bzero(text.data, text.size);
	buf_fini(&text);
	buf_fini(&value);
	if (id == secret)
		return id;
	error_set(reterr, ERR_INVALID, "the profile \"%.60s\" has %s and no %s", profile_name(),
		  id ? "aws_access_key_id" : "aws_secret_access_key",
		  id ? "aws_secret_access_key" : "aws_access_key_id");
	return error_where(reterr, "%.200s", path);
}

static int from_files(struct s3_keys *k, struct error *reterr)
{
	char path[4096];
	int rc;

	file_path("AWS_SHARED_CREDENTIALS_FILE", "credentials", path, sizeof path);
	rc = from_file(path, false, k, reterr);
	if (rc != 0)
		return rc;
	file_path("AWS_CONFIG_FILE", "config", path, sizeof path);
	return from_file(path, true, k, reterr);
}

bool s3_config_value(const char *name, struct buf *out)
{
	struct buf text = {0};
	char path[4096];
	bool found;

	file_path("AWS_CONFIG_FILE", "config", path, sizeof path);
	found = fs_read_file(path, FILE_BYTES_MAX, &text, NULL) == 0 &&
		s3_profile_value(buf_bytes(&text), true, profile_name(), name, out);
	buf_fini(&text);
	return found;
}

/* The answer of either endpoint. */
static int read_answer(const struct buf *answer, struct s3_keys *k, struct error *reterr)
{
	struct buf value = {0};
	struct bytes body = buf_bytes(answer);
	bool fine = s3_json_text(body, "AccessKeyId", &value) && keep(k->id, sizeof k->id, &value) &&
		    s3_json_text(body, "SecretAccessKey", &value) &&
		    keep(k->secret, sizeof k->secret, &value);

	if (fine && s3_json_text(body, "Token", &value))
		fine = keep(k->token, sizeof k->token, &value);
	if (fine && s3_json_text(body, "Expiration", &value))
		fine = s3_time_read(buf_bytes(&value), &k->expires_wall_us);
	buf_fini(&value);
	if (fine)
		return 1;
	return error_set(reterr, ERR_INVALID,
			 "the credentials' endpoint answered, but without AccessKeyId, SecretAccessKey and "
			 "Expiration that make sense");
}

static int from_endpoint(int (*fetch)(struct buf *, struct error *), struct s3_keys *k, struct error *reterr)
{
	struct buf answer = {0};
	int rc = fetch(&answer, reterr);

	if (rc > 0)
		rc = read_answer(&answer, k, reterr);
	if (answer.size > 0)
		explicit_bzero(answer.data, answer.size);
	buf_fini(&answer);
	return rc;
}

static int find(struct s3_keys *ret, struct error *reterr)
{
	struct s3_keys k = {.expires_wall_us = USEC_NEVER};
	int rc = from_environment(&k) ? 1 : from_files(&k, reterr);

	if (rc == 0)
		rc = from_endpoint(s3_container_credentials, &k, reterr);
	if (rc == 0)
		rc = from_endpoint(s3_instance_credentials, &k, reterr);
	if (rc > 0) {
		*ret = k;
		return 0;
	}
	if (rc < 0)
		return rc;
	error_set(
	    reterr, ERR_DENIED,
	    "no credentials for the object store: AWS_ACCESS_KEY_ID is not set, the profile \"%.60s\" is "
	    "not in ~/.aws, and there is no container's or instance's endpoint",
	    profile_name());
	error_help(reterr, "give them to the dispatcher and to its workers in one of these ways");
	return ERR_DENIED;
}

int s3_credentials_get(struct s3_credentials *c, struct s3_keys *ret, struct error *reterr)
{
	usec_t now = clock_wall_us();
	struct s3_keys fresh;
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	if (!c->known || (c->keys.expires_wall_us != USEC_NEVER && now >= c->try_after_us &&
			  now >= c->keys.expires_wall_us - RENEW_BEFORE_US)) {
		rc = find(&fresh, reterr);
		if (rc == 0) {
			c->keys = fresh;
			c->known = c->found_once = true;
		} else if (c->known && now < c->keys.expires_wall_us) {
			rc = 0;
		} else if (rc == ERR_DENIED && c->found_once) {
			rc = error_set(reterr, ERR_IO, "the credentials that there were cannot be renewed");
		}
		c->try_after_us = now + RENEW_AGAIN_US;
	}
	if (rc == 0)
		*ret = c->keys;
	pthread_mutex_unlock(&c->lock);
	return rc;
}

void s3_credentials_drop(struct s3_credentials *c, const struct s3_keys *stale)
{
	pthread_mutex_lock(&c->lock);
	if (strcmp(c->keys.id, stale->id) == 0 && strcmp(c->keys.token, stale->token) == 0)
		c->known = false;
	pthread_mutex_unlock(&c->lock);
}
