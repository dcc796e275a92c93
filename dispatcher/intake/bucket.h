/* What the files of a watched directory's intake share.
 *
 * All calls that may wait for the directory's file system are made by one thread of the directory's own, in
 * the order in which the loop asks for them (bucket_ask). The loop knows which files were taken, and offers.
 * What a directory lent to the thread (its descriptors, its path, its list) is closed by that thread, behind
 * all that uses it; what comes of an earlier directory is dropped (bucket_work_counts). */
#pragma once

#include <dirent.h>
#include <sys/stat.h>
#include <uthash.h>

#include "base/buf.h"
#include "dispatcher/intake/bucket_taken.h"
#include "dispatcher/intake/buckets.h"
#include "dispatcher/readers.h"
#include "dispatcher/services.h"

#define BUCKET_OFFERS_MAX 1024 /* files in the core's hands; a scan asks for no more above */
#define BUCKET_TOLD_MAX 4096   /* files that inotify told of and that were not looked at yet */
#define BUCKET_LIST_MAX 256    /* names that the thread lists at a time */
#define BUCKET_LOOK_MAX 64     /* files that it looks at */
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

/* A name in the directory, and what the thread saw of it. */
struct bucket_entry {
	char *path;    /* below the bucket; owned */
	uint32_t mask; /* of inotify; 0: a scan found it */
	struct stat st;
	int number; /* errno; 0: st is what it is */
	bool is_written;
};

struct bucket_entries {
	struct bucket_entry *items;
	size_t count, capacity;
};

/* Something that the thread does. Memory of its own, which `done` frees. */
struct bucket_work {
	struct reading reading;
	struct bucket *bucket;
	uint32_t attached; /* as the bucket was */
	bool ran;
	void (*run)(struct bucket_work *w);  /* in the thread */
	void (*done)(struct bucket_work *w); /* in the loop, also when it never ran */
};

/* A folder's next names. */
struct bucket_list {
	struct bucket_work work;
	struct bucket_dir *dir;
	int dir_fd, notify_fd;
	const char *root;
	bool watches;  /* before it is read: what comes meanwhile is told */
	int wd;	       /* -1: it could not be watched, */
	int wd_number; /* for this errno */
	bool opened;   /* now */
	bool over;     /* all of it was listed, or no more of it can be */
	int number;    /* why not; 0: all of it was */
	struct bucket_entries entries;
	void *arg; /* of who asked */
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
	bool looking; /* whether it is still this one, or another is being opened */
	bool doubted; /* meanwhile */

	struct readers *readers; /* one thread */
	size_t works;		 /* asked of it */
	bool slow;		 /* it does not answer; told */
	struct loop_timer slow_timer;

	int notify_fd;
	struct loop_watch watch;
	struct bucket_watch *watches;
	bool watches_full; /* the system has no more: scans have to do */
	size_t watching;   /* folders of which the thread is about to tell the number */
	struct buf early;  /* what inotify told of numbers that are not known yet */
	struct bucket_entries told;
	bool told_is_looked_at, notify_stopped;

	struct taken *taken;
	usec_t
	    taken_before_us; /* the list of these is not whole: what changed before counts as taken; 0 = no */
	struct loop_task flush_task;
	bool flush_told;
	bool writing;

	struct bucket_dir *dirs;	  /* of the scan, a stack */
	bool stepping;			  /* the thread lists a folder, or looks at candidates */
	struct bucket_entries candidates; /* files that were not taken yet, as it seems */
	int finishing;			  /* writes until the list is on the disk: then the scan is over */
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
/* The thread has looked: r is 0, ERR_NOT_FOUND when nothing can be watched there, or ERR_EXISTS when another
 * directory stands there. */
void bucket_looked(struct bucket *b, int r, const struct error *e);
/* And it was opened, or not. */
void bucket_attached(struct bucket *b, int r, const struct error *e);
/* It may have been replaced: look soon. */
void bucket_doubt_root(struct bucket *b);

/* bucket_work.c */
int bucket_work_open(struct bucket *b, struct error *reterr) MUST_CHECK;
/* Ends what runs; all that was asked is done. */
void bucket_work_close(struct bucket *b);
void bucket_ask(struct bucket *b, struct bucket_work *w);
/* It ran, and the directory that it was asked of is still the one that is watched. */
bool bucket_work_counts(const struct bucket_work *w);
struct bucket_entry *bucket_entries_add(struct bucket_entries *e, const char *path);
/* The first `count` go. */
void bucket_entries_drop(struct bucket_entries *e, size_t count);
void bucket_entries_fini(struct bucket_entries *e);
/* Stat of each, and whether it is being written; in the thread. always: not only of those that were created.
 */
void bucket_look_at(int dir_fd, struct bucket_entry *e, bool always);

/* bucket_root.c */
/* Opens what stands at b->given, in the loop; on failure b is as it was. */
int bucket_attach(struct bucket *b, struct error *reterr) MUST_CHECK;
void bucket_detach(struct bucket *b);
/* Asks the thread whether it is still what is watched, and takes up what stands there. */
void bucket_look(struct bucket *b);
/* The position of its watermark, as text. */
void bucket_position(const struct bucket *b, char *buf, size_t size);

/* bucket_offer.c */
enum bucket_left bucket_leaves_name(const char *name);
/* Counts it, and tells the first of its kind. path is below the bucket. */
void bucket_leave_out(struct bucket *b, enum bucket_left why, const char *path);
usec_t bucket_changed_us(const struct stat *st);
/* Who brings its events. */
struct principal bucket_principal(const struct bucket *b);
/* Which file it is (buckets.h). */
uint64_t bucket_key(const struct bucket *b, const char *path, const struct stat *st);
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
/* As that; false: there is nothing to write. */
bool bucket_flush(struct bucket *b);

/* bucket_notify.c */
int bucket_notify_open(struct bucket *b, struct error *reterr) MUST_CHECK;
void bucket_notify_close(struct bucket *b);
/* What the thread told of a folder's watch. */
void bucket_note_watch(struct bucket *b, const struct bucket_list *l);

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
/* The list of files that were taken was written, or could not be. */
void bucket_scan_note_written(struct bucket *b, bool whole);
void bucket_scan_fini(struct bucket *b);

/* bucket_walk.c: a stack of folders, for scans and applies */
/* false: it lies too deep. */
bool bucket_dirs_push(struct bucket_dir **dirs, const char *path);
void bucket_dirs_pop(struct bucket_dir **dirs); /* for the thread, unless it was never opened */
/* In the thread: closing may wait, too. */
void bucket_dirs_close(struct bucket *b, struct bucket_dir **dirs);
/* Takes the topmost off the stack; to be asked for its next names. */
struct bucket_list *bucket_list_create(struct bucket *b, struct bucket_dir **dirs);
/* There is more of it: it is the topmost again. */
void bucket_list_put_back(struct bucket_list *l, struct bucket_dir **dirs);
/* Frees it, and the folder that was not put back. */
void bucket_list_end(struct bucket_list *l);

/* bucket_apply.c */
/* The file was offered to all rules just now. */
void bucket_applies_note(struct bucket *b, struct dedup_key key);
/* The directory is gone. */
void bucket_applies_stop(struct bucket *b, const char *why);
void bucket_applies_fini(struct bucket *b);
