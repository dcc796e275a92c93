/* The endpoints that hand out credentials inside a cloud. Blocking, bounded to a few seconds; no proxy.
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html */
#pragma once

#include "base/buf.h"
#include "base/error.h"

/* 1: the answer's JSON is in out; 0: there is no such endpoint here; ERR_IO, ERR_INVALID in words. */
int s3_container_credentials(struct buf *out, struct error *reterr) MUST_CHECK;
int s3_instance_credentials(struct buf *out, struct error *reterr) MUST_CHECK;
