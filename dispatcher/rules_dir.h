/* The directory of rules: watched by inotify, looked at each second, read by a thread of its own
 * (rules_read.h), so that a directory that does not answer keeps that thread and delays nothing else. Only
 * the first look is in the loop: no door opens before the rules were read. The end of the dispatcher waits
 * for a look under way. Thread: the loop's. */
#pragma once

#include "base/loop.h"
#include "dispatcher/rules_read.h"

struct rules_dir;

struct rules_dir_ops {
	/* Sets what is known of the look. */
	void (*tell_known)(void *arg, struct rules_look *look);
	/* The files that are there now; adds which copies are to be changed. */
	void (*take_files)(void *arg, struct rules_look *look, struct rule_changes *changes);
	bool (*is_rule)(void *arg, const char *file);
	void *arg;
};

/* *ret is to be closed also when it fails. */
int rules_dir_open(struct rules_dir **ret, struct loop *loop, const char *path, const char *copies,
		   const struct rules_dir_ops *ops, struct error *reterr) MUST_CHECK;
void rules_dir_close(struct rules_dir *d); /* NULL is fine */
/* A look that begins after the call reads the files; the log says when it has. */
void rules_dir_reload(struct rules_dir *d);
/* A look is under way, or changes of its copies are. */
bool rules_dir_is_busy(const struct rules_dir *d);
