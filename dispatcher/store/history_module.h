/* History as SQL sees it: the tables jobs, ranges, efforts, failures and events are virtual, of the modules
 * shardmill_history and shardmill_events. Each joins rows (job_rows, …) and what blocks hold
 * (history_block.h), so that the views (job_list, done_ranges, dead_shards, attempts) and anybody's queries
 * see both. They are read only.
 *
 * The writer and readers of ours register them. Others load the extension `shardmill_history`
 * (README.md), which is the same code.
 *
 * What is fast: jobs by id, or an interval of ids; the other tables by job, or an interval; jobs of a rare
 * state or name, or that ended in a time (ended_us); events by event, id, object_key, object_key_base64, a
 * rare source, or a time (wall_us). Hidden columns: of jobs, states is a set of states to be looked for (bit
 * 1 << state). Of events, first_job and jobs are the jobs that an event in a block made. */
#pragma once

#include "dispatcher/store/history_find.h"

/* The second of the two files of the module, for the first. */
extern const sqlite3_module history_events_module;
void history_result_id(sqlite3_context *context, struct bytes id);

/* The views that the module and its caller share live as long as the connection; ret may be NULL. SQLite's
 * code. */
int history_module_register(sqlite3 *db, struct history_views **ret) MUST_CHECK;

/* Filters hold texts as they are: NOCASE and its kin are looked for by SQLite alone. */
bool history_is_exact(sqlite3_index_info *info, int constraint);
