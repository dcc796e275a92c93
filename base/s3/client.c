#include "base/s3/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/url.h"

/* The first that says anything: what we were told, the environment, the profile. */
static char *setting(const char *told, const char *const *variables, const char *config,
		     const char *otherwise)
{
	struct buf value = {0};
	char *ret;

	if (told != NULL && told[0] != '\0')
		return strdup(told);
	for (size_t i = 0; variables[i] != NULL; i++)
		if (getenv(variables[i]) != NULL && getenv(variables[i])[0] != '\0')
			return strdup(getenv(variables[i]));
	ret = strdup(s3_config_value(config, &value) ? buf_text(&value) : otherwise);
	buf_fini(&value);
	return ret;
}

static int check_endpoint(char *endpoint, struct error *reterr)
{
	size_t size = strlen(endpoint);
	const char *host = strstr(endpoint, "://");

	if (size == 0)
		return 0;
	if (endpoint[size - 1] == '/')
		endpoint[--size] = '\0';
	if (url_is_http(bytes_of(endpoint)) && host[3] != '\0' && strpbrk(host + 3, "/?#@ ") == NULL)
		return 0;
	error_set(reterr, ERR_INVALID,
		  "expected an object store's address http(s)://host[:port], found %.200s", endpoint);
	error_where(reterr, "s3_endpoint");
	return ERR_INVALID;
}

static bool region_is_fine(const char *region)
{
	return region[0] != '\0' && strlen(region) < 64 &&
	       region[strspn(region, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] ==
		   '\0';
}

int s3_client_create(const struct s3_options *o, struct s3_client **ret, struct error *reterr)
{
	static const char *const endpoints[] = {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", NULL};
	static const char *const regions[] = {"AWS_REGION", "AWS_DEFAULT_REGION", NULL};
	static const char *const bundles[] = {"AWS_CA_BUNDLE", NULL};
	struct s3_client *c = check_calloc(1, sizeof *c);
	uint64_t seed;
	int rc;

	CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
	c->endpoint = setting(o->endpoint, endpoints, "endpoint_url", "");
	c->region = setting(o->region, regions, "region", "us-east-1");
	c->ca_file = setting(o->ca_file, bundles, "ca_bundle", "");
	CHECK(c->endpoint != NULL && c->region != NULL && c->ca_file != NULL);
	c->path_style = o->style == S3_STYLE_PATH || (o->style == S3_STYLE_AUTO && c->endpoint[0] != '\0');
	c->patience_us = o->patience_us;
	c->credentials = s3_credentials_create();
	pthread_mutex_init(&c->lock, NULL);
	if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
		seed = (uint64_t)clock_mono_us();
	rng_seed(&c->rng, seed);
	rc = check_endpoint(c->endpoint, reterr);
	if (rc == 0 && !region_is_fine(c->region)) {
		rc = error_set(reterr, ERR_INVALID, "expected a region's name, found %.100s", c->region);
		error_where(reterr, "s3_region");
	}
	if (rc < 0) {
		s3_client_destroy(c);
		return rc;
	}
	*ret = c;
	return 0;
}

void s3_client_destroy(struct s3_client *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->idle_count; i++)
		curl_easy_cleanup(c->idle[i]);
	s3_credentials_destroy(c->credentials);
	pthread_mutex_destroy(&c->lock);
	free(c->endpoint);
	free(c->region);
	free(c->ca_file);
	free(c);
	curl_global_cleanup();
}

CURL *s3_client_take(struct s3_client *c)
{
	CURL *curl = NULL;

	pthread_mutex_lock(&c->lock);
	if (c->idle_count > 0)
		curl = c->idle[--c->idle_count];
	pthread_mutex_unlock(&c->lock);
	if (curl == NULL)
		curl = curl_easy_init();
	CHECK(curl != NULL);
	curl_easy_reset(curl); /* keeps the connection */
	return curl;
}

void s3_client_give(struct s3_client *c, CURL *curl)
{
	pthread_mutex_lock(&c->lock);
	if (c->idle_count < S3_IDLE_MAX) {
		c->idle[c->idle_count++] = curl;
		curl = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	if (curl != NULL)
		curl_easy_cleanup(curl);
}
