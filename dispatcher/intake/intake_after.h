/* `after` of rules: their jobs wait for others. How those ended that the core does not have any more, history
 * says. A job whose `after` names no job has failed with that reason, in the same commit. Thread: the loop's.
 */
#pragma once

#include "dispatcher/services.h"

/* Hands the input to the core, at once if all jobs that are waited for are the core's or stand in in->ended,
 * and no file may have its key. Else it waits for history, and for a look into the files; since jobs end and
 * leave the core meanwhile, it asks again for those that did. in is borrowed until it returns. */
void intake_after_submit(struct services *s, struct input_accept *in, const struct ticket *ticket);
