/* What the files of a watched directory's intake share. */
#pragma once

#include <dirent.h>
#include <sys/stat.h>
#include <uthash.h>

#include "dispatcher/intake/bucket_taken.h"
#include "dispatcher/intake/buckets.h"
#include "dispatcher/services.h"

#define BUCKET_OFFERS_MAX 1024 /* files in the core's hands; a scan pauses above */
#define BUCKET_MARGIN_US (300 * USEC_PER_SEC)
#define BUCKET_PATH_MAX 8192

/* A directory that inotify watches; path is below the bucket, "" the bucket itself. */
struct bucket_watch {
	int wd;
	char *path;
	UT_hash_handle hh;
};

/* A directory that a walk has open, or has still to open. */
struct bucket_dir {
	struct bucket_dir *next;
	DIR *dir; /* NULL: not yet */
	char path[];
};

/* A file in the core's hands. */
struct bucket_offer {
	struct bucket_offer *prev, *next;
	struct bucket *bucket;
	uint32_t attached; /* as the bucket's was */
	uint64_t key;
	usec_t changed_us;
};

/* Which directory it is, whatever its name is. */
struct bucket_root {
	dev_t device; /* of this mount: says nothing after a restart */
	uint64_t inode;
	usec_t born_us; /* 0: the file system does not say */
};

enum bucket_left {
	LEFT_NOTHING,
	LEFT_HIDDEN,
	LEFT_UNFINISHED,
	LEFT_LINK,
	LEFT_SPECIAL,
	LEFT_UNREADABLE,
	LEFT_COUNT,
};

struct bucket {
	struct bucket *next;
	struct services *services;
	char *given;		   /* absolute, as it was told */
	char *path;		   /* absolute, without links; NULL while it is gone */
	char gone[ERROR_LINE_MAX]; /* why it cannot be watched now; "" = it is watched */
	const char *name;
	char *intake; /* of the watermark: "bucket:/path" */
	int dir_fd;
	struct bucket_root root;
	bool inodes_last;  /* over mounts: they may say which file it is */
	uint32_t attached; /* how often */
	struct loop_timer root_timer;

	int notify_fd;
	struct loop_watch watch;
	struct bucket_watch *watches;
	bool watches_full; /* the system has no more: scans have to do */

	struct taken *taken;
	usec_t
	    taken_before_us; /* the list of these is not whole: what changed before counts as taken; 0 = no */
	struct loop_task flush_task;
	bool flush_told;

	struct bucket_dir *dirs; /* of the scan, a stack */
	struct loop_task scan_task;
	struct loop_timer timer; /* next scan, or a paused one goes on */
	bool paused;		 /* nothing is offered */
	bool scanning;		 /* a full scan is under way */
	bool scanned;		 /* one was finished */
	bool scan_whole;	 /* it could read all folders */
	bool again;		 /* and another is due behind it */
	usec_t scan_started_us;	 /* wall */
	usec_t low_us;		 /* the oldest change that could not be taken yet; USEC_NEVER = none */
	usec_t watermark_us;	 /* all older changes were taken; 0 = from the beginning */
	usec_t written_us;	 /* the watermark that is in the journal */
	uint64_t offered;	 /* since it was written */

	struct bucket_offer *offers;
	size_t offer_count;

	uint64_t left[LEFT_COUNT]; /* as the last scan counted them */
	uint64_t left_counting[LEFT_COUNT];
	bool left_told[LEFT_COUNT];

	struct bucket_apply *applies;
};

struct buckets {
	struct bucket *first;
};

/* buckets.c */
/* It may have been replaced: look soon. */
void bucket_doubt_root(struct bucket *b);

/* bucket_root.c */
/* Opens what stands at b->given; on failure b is as it was. */
int bucket_attach(struct bucket *b, struct error *reterr) MUST_CHECK;
void bucket_detach(struct bucket *b);
/* Is it still what is watched? ERR_NOT_FOUND: nothing can be watched there; ERR_EXISTS: another one. */
int bucket_look(const struct bucket *b, struct error *reterr) MUST_CHECK;
/* The position of its watermark, as text. */
void bucket_position(const struct bucket *b, char *buf, size_t size);

/* bucket_offer.c */
enum bucket_left bucket_leaves_name(const char *name);
/* Counts it, and tells the first of its kind. path is below the bucket. */
void bucket_leave_out(struct bucket *b, enum bucket_left why, const char *path);
usec_t bucket_changed_us(const struct stat *st);
/* Which file it is (buckets.h). */
/* Who brings its events. */
struct principal bucket_principal(const struct bucket *b);
uint64_t bucket_key(const struct bucket *b, const char *path, const struct stat *st);
/* Does somebody have it open for writing? If not, *st is what the file is now. */
bool bucket_is_being_written(const struct bucket *b, const char *path, struct stat *st);
/* Is there room for an event, and can all rules be read? */
bool bucket_may_offer(const struct bucket *b);
/* A file that is whole, as far as we know, and that was not taken yet. false: nothing can be taken now. */
bool bucket_offer_file(struct bucket *b, const char *path, const struct stat *st, uint64_t key);
/* The event that the file is; what it is offered with. */
int bucket_event(const struct bucket *b, const char *path, const struct stat *st, const char *key_space,
		 const char *rule, struct event *ret, struct dedup_key *ret_key,
		 struct error *reterr) MUST_CHECK;
/* It has to be looked at again: the watermark stays below it. */
void bucket_keep_below(struct bucket *b, usec_t changed_us);
void bucket_offers_fini(struct bucket *b);
loop_fn bucket_on_flush; /* of flush_task: writes which files were taken */

/* bucket_notify.c */
int bucket_notify_open(struct bucket *b, struct error *reterr) MUST_CHECK;
void bucket_notify_close(struct bucket *b);
void bucket_watch_dir(struct bucket *b, const char *path);

/* bucket_scan.c */
void bucket_scan_init(struct bucket *b);
/* A full scan, now or behind the one that is under way. */
void bucket_scan(struct bucket *b);
/* The next one is due in a second at most. */
void bucket_scan_soon(struct bucket *b);
/* It is paused no more. */
void bucket_go_on(struct bucket *b);
/* All of a folder that just came. */
void bucket_scan_below(struct bucket *b, const char *path);
/* An offer was answered: what waits for that may go on. */
void bucket_scan_go_on(struct bucket *b);
void bucket_scan_fini(struct bucket *b);

/* bucket_walk.c: a stack of folders, for scans and applies */
/* false: it lies too deep. */
bool bucket_dirs_push(struct bucket_dir **dirs, const char *path);
void bucket_dirs_pop(struct bucket_dir **dirs);
/* Opens the topmost; false: it cannot be read, errno says why. */
bool bucket_dirs_open(const struct bucket *b, struct bucket_dir *d);
void bucket_dirs_join(const struct bucket_dir *d, const char *name, char path[static BUCKET_PATH_MAX]);

/* bucket_apply.c */
/* The file was offered to all rules just now. */
void bucket_applies_note(struct bucket *b, struct dedup_key key);
/* The directory is gone. */
void bucket_applies_stop(struct bucket *b, const char *why);
void bucket_applies_fini(struct bucket *b);
