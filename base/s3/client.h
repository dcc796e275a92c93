/* What a client holds. */
#pragma once

#include <curl/curl.h>
#include <pthread.h>

#include "base/rng.h"
#include "base/s3/credentials.h"
#include "base/s3/s3.h"

#define S3_IDLE_MAX 64

struct s3_client {
	char *endpoint, *region, *ca_file;
	bool path_style;
	usec_t patience_us;
	struct s3_credentials *credentials;
	pthread_mutex_t lock;	 /* of all below */
	CURL *idle[S3_IDLE_MAX]; /* with their connections */
	size_t idle_count;
	struct rng rng;
};

/* A handle, reset; give it back, or clean it up when its connection is in doubt. */
CURL *s3_client_take(struct s3_client *c);
void s3_client_give(struct s3_client *c, CURL *curl);
