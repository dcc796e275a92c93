/* How long what has ended is kept. A part that looks at history every few seconds and
 *
 * - has jobs forgotten (INPUT_FORGET), those that ended first, as keep_jobs and keep_bytes say;
 * - removes segments of output whose jobs are all forgotten: they are doomed, their files go, then their rows
 *   (history.h). What is doomed at a start goes first.
 *
 * It reads history and removes files in a reader's thread, a bounded piece at a time; a start goes on where
 * the last one was cut off. What is kept is also what `status` shows. Thread: the loop's. */
#pragma once

#include "dispatcher/store/history_kept.h"

struct services;

/* False: history was not read yet. */
bool retention_kept(const struct services *s, struct history_kept *ret) MUST_CHECK;
/* Jobs that were forgotten in all, and segments that are to be removed. */
uint64_t retention_forgotten_count(const struct services *s);
uint32_t retention_unused_segments(const struct services *s);
/* As far as it is known. */
bool retention_has_forgotten(const struct services *s, uint64_t job);
/* Somebody has had these jobs forgotten, by INPUT_FORGET. */
void retention_note_forgotten(struct services *s, uint64_t first, uint64_t last);
