/* S3 notifications as AWS, MinIO and Ceph send them, made canonical: what EventBridge would have sent.
 * Pure.
 *
 * AWS and MinIO percent-encode keys ('+' is a space), Ceph (eventSource ceph:s3) does not. Sizes may
 * be strings; a versionId of "" or "null" is none.
 * Sources: S3 User Guide "Event message structure" and "EventBridge event message structure"; Ceph
 * "S3 Bucket Notifications Compatibility"; MinIO "Bucket notifications". */
#pragma once

#include "jobs/event.h"

/* One element of Records. Its id is a hash of what it says: delivered again, it is the same. */
int event_s3_read(const json_t *record, usec_t now_wall_us, struct event *ret,
		  struct error *reterr) MUST_CHECK;
