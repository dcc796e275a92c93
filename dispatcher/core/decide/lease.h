/* What an outcome does, by the age of its token, its kind, and where the shard stands. Pure.
 *
 *   The token is of the job's phase in work, and      shard is: free¹    held by    held by    done    dead
 *                                                                      the token  another
 *   done      current: in the reporter's session           done²    done       done³      dup⁴    done⁵
 *             foreign: held by another worker              done²    -          done³      dup⁴    done⁵
 *             gone: in no table (expired, closed)          done²    -          done³      dup⁴    done⁵
 *   failed    current                                      late     failed⁶    late       dup⁴    late
 *             foreign, gone                                late     late⁷      late       dup⁴    late
 *   returned  current                                      late     pending⁸   late       dup⁴    late
 *             foreign, gone                                late     late⁷      late       dup⁴    late
 *
 *   done, of a whole (outcome.whole: one output of all shards of a range): when one of them is done
 *   already, the range counts for nothing: what is done is dup, what the token holds is as returned, the
 *   rest late. Else as above: none of it is half of an output.
 *
 *   The job ended, its phase is over, or there is none: late, whatever the rest. So is what a token of
 *   before the job was reopened says of a gather; of shards a late success counts.
 *   A token that was never granted, as far as is known: strange, whatever the rest.
 *   Shards that the phase does not have: strange; nothing else is believed of that range.
 *
 *   ¹ pending, delayed or special.  ² a late success counts: the work is done.  ³ and the other lease
 *   holds it no more; its own outcome for it will be a duplicate.  ⁴ counted as duplicate, dropped: the
 *   first valid completion wins.  ⁵ while the job runs.  ⁶ delayed, or dead when no attempt is left;
 *   kinds that are not the shard's own (lost, drained, …) are as returned.  ⁷ only the token that holds
 *   a shard may say that it failed or give it back.  ⁸ special again, if it was leased as that. */
#pragma once

#include "dispatcher/core/volatile/state.h"

enum token_age {
	TOKEN_CURRENT, /* in the table, of the worker that reports */
	TOKEN_FOREIGN, /* in the table, of another worker or another phase */
	TOKEN_GONE,
};

enum token_age token_age_of(const struct dispatcher_core *core, const struct worker *worker,
			    const struct outcome *o, struct lease_entry **ret);

/* Decides one outcome of a report and applies it; appended to the list are the outcome_taken records
 * that say so (none when nothing changed, more than one when other leases lost what they held). */
void outcome_take(struct dispatcher_core *core, struct session *s, const struct outcome *o,
		  struct outcome_taken_list *taken);
