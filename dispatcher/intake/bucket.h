/* What the files of a watched directory's intake share. */
#pragma once

#include <dirent.h>
#include <sys/stat.h>
#include <uthash.h>

#include "dispatcher/intake/buckets.h"
#include "dispatcher/server/server.h"

#define BUCKET_OFFERS_MAX 1024 /* files in the core's hands; a scan pauses above */
#define BUCKET_MARGIN_US (300 * USEC_PER_SEC)

/* A directory that inotify watches; path is below the bucket, "" the bucket itself. */
struct bucket_watch {
	int wd;
	char *path;
	UT_hash_handle hh;
};

/* A directory that a scan has open, or has still to open. */
struct bucket_dir {
	struct bucket_dir *next;
	DIR *dir; /* NULL: not yet */
	usec_t since_us;
	char path[];
};

/* A file in the core's hands. */
struct bucket_offer {
	struct bucket_offer *prev, *next;
	struct bucket *bucket;
	usec_t changed_us;
};

struct bucket {
	struct bucket *next;
	struct server *server;
	char *path; /* absolute */
	const char *name;
	char *intake; /* of the watermark: "bucket:/path" */
	int dir_fd;
	int notify_fd;
	struct loop_watch watch;
	struct bucket_watch *watches;
	bool watches_full; /* the system has no more: scans have to do */

	struct bucket_dir *dirs; /* of the scan, a stack */
	struct loop_task scan_task;
	struct loop_timer timer; /* next scan, or a paused one goes on */
	bool scanning;		 /* a full scan is under way */
	bool again;		 /* and another is due behind it */
	usec_t scan_started_us;	 /* wall */
	usec_t low_us;		 /* the oldest change that could not be taken yet; USEC_NEVER = none */
	usec_t watermark_us;	 /* all older changes were taken; 0 = from the beginning */
	usec_t written_us;	 /* the watermark that is in the journal */
	uint64_t offered;	 /* since it was written */

	struct bucket_offer *offers;
	size_t offer_count;
};

struct buckets {
	struct bucket *first;
};

/* bucket_offer.c */
bool bucket_ignores(const char *name);
/* A file that is whole, as far as we know. false: nothing can be taken now. */
bool bucket_offer_file(struct bucket *b, const char *path, const struct stat *st);
usec_t bucket_changed_us(const struct stat *st);
/* It has to be looked at again: the watermark stays below it. */
void bucket_keep_below(struct bucket *b, usec_t changed_us);
void bucket_offers_fini(struct bucket *b);

/* bucket_notify.c */
int bucket_notify_open(struct bucket *b, struct error *reterr) MUST_CHECK;
void bucket_notify_close(struct bucket *b);
void bucket_watch_dir(struct bucket *b, const char *path);

/* bucket_scan.c */
void bucket_scan_init(struct bucket *b);
/* A full scan, now or behind the one that is under way. */
void bucket_scan(struct bucket *b);
/* All of a folder that just came, whatever the age of what is in it. */
void bucket_scan_below(struct bucket *b, const char *path);
/* An offer was answered: what waits for that may go on. */
void bucket_scan_go_on(struct bucket *b);
void bucket_scan_fini(struct bucket *b);
