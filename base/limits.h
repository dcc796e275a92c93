/* Bounds on everything that comes from outside. One place; errors quote these. Pure.
 * What an operator may change is a parameter (base/params.h), not here. */
#pragma once

#define KIB (1024ull)
#define MIB (1024ull * KIB)
#define GIB (1024ull * MIB)

#define SHARDS_MAX 4294967295ull       /* shards of one phase: numbers 0..N-1 fit in u32 */
#define FRAME_BYTES_MAX (8 * MIB)      /* one frame for a worker, one journal commit's payload */
#define WIRE_FRAME_BYTES_MAX (1 * MIB) /* one frame for the dispatcher: before it knows who sends it */
#define TAIL_BYTES_MAX (256 * KIB)     /* of what an attempt writes, in one answer */
#define FRAME_DEPTH_MAX 16	       /* nesting of msgpack in a frame */
#define FRAME_ALIKE_BYTES_MAX                                                                                \
	(16 * MIB) /* in memory, of the items of a frame that are written as what differs */
#define HTTP_BODY_BYTES_MAX (4 * MIB)
#define DESCRIPTORS_MIN 192  /* that a dispatcher needs */
#define DESCRIPTORS_SPARE 64 /* kept free of connections: for the journal, history, outputs, plans */
#define BACKLOG_MIN 16	     /* workers' connections that the system keeps till they are taken */
#define BACKLOG_MAX 512
#define DEFINITION_BYTES_MAX (256 * KIB)
#define STDIN_BYTES_MAX (64 * KIB) /* what a definition itself gives its commands on stdin */
#define DEFINITION_ITEMS_MAX 10000 /* items written out in a definition */
#define EVENT_BYTES_MAX (1 * MIB)
#define EVENT_DEPTH_MAX 64
#define EVENT_RESOURCES_MAX 64
#define EVENT_ATTRIBUTE_BYTES_MAX 64 /* of the name of a CloudEvents attribute in a header */
#define PATTERN_DEPTH_MAX 32
#define PATTERN_VALUES_MAX 4096
#define PATTERN_PATH_BYTES_MAX 1024 /* keys joined with dots */
#define PATTERN_FIELDS_MAX 256	    /* of one way through $or */
#define PATTERN_RULES_MAX 1000	    /* ways through the $or of one pattern */
#define PATTERN_STARS_MAX 64	    /* in one wildcard */
#define PATTERN_STEPS_MAX 4000000   /* values that one pattern looks at in one event */
#define RULES_MAX 10000
#define NAME_BYTES_MAX 128 /* names of definitions, queues, pools, resources */
#define KEY_BYTES_MAX 1024 /* object keys (S3's bound) and deduplication ids */
#define URL_BYTES_MAX 4096
#define ARGV_COUNT_MAX 1024
#define ARG_BYTES_MAX (128 * KIB) /* Linux: MAX_ARG_STRLEN */
#define ENV_COUNT_MAX 256
#define ITEM_BYTES_MAX (64 * KIB)	/* one item of an items plan */
#define RECORD_BYTES_MAX (1 * MIB)	/* record_max: how far a record border is searched */
#define JOB_STATE_BYTES_MAX (256 * MIB) /* a phase whose sets pass this pauses its job */
#define JOBS_LIVE_MAX 67108864		/* not ended, waiting ones too: 17 GB of rows */
#define CHAIN_DEPTH_MAX 16		/* jobs started by jobs started by … */
#define ATTEMPTS_MAX 100
#define CRASHES_MAX 5 /* workers a shard may take with it before it is dead */
#define WORKERS_MAX 100000
#define POOLS_MAX 64		 /* of which scalers tell, or workers say that they are */
#define POOL_TEXT_BYTES_MAX 1024 /* a scaler's sentence; the reason of a failed start */
#define SLOTS_PER_WORKER_MAX 4096
#define NAMED_RESOURCES_MAX 8	  /* beside cpu, memory, gpus */
#define NAMED_TEXT_BYTES_MAX 1152 /* all of them with their amounts, as --named has them */
#define TOKENS_PER_WORKER_MAX 16384
#define LEASES_PER_SLOT_MAX 1024 /* that a worker holds on average: one-shard jobs of microseconds */
#define SHARD_WAITERS_MAX 1000	 /* jobs that wait for the shards of one */
#define ENDED_BLOCK_MAX 4096	 /* ends in one record */
#define FORGET_JOBS_MAX 4096	 /* jobs that are forgotten by one record */
#define WINDOW_MEMBERS_MAX 10000 /* events that wait in one open window */
#define AFTER_JOBS_MAX 1000	 /* that one job waits for */
#define QUEUE_WEIGHT_MAX 10000
#define QUEUE_WHY_BYTES_MAX 400
#define QUEUE_ROWS_MAX 10000	   /* queues with settings of their own */
#define QUEUE_SUBMITTERS_MAX 1000  /* who may submit to one */
#define QUEUE_KEY_WEIGHTS_MAX 1000 /* fairness keys of one that have a weight of their own */
#define POOL_LABELS_MAX 16	   /* that one job asks for */
#define TRACE_BYTES_MAX 512	   /* of tracestate (W3C Trace Context, section 3.3.1.5) */
#define RANGES_PER_REPORT_MAX 65536
#define EFFORTS_APART_MAX 10000	    /* the first shards of a phase, whose attempts are told one by one */
#define EFFORTS_PER_OUTCOME_MAX 256 /* beyond that they are added up, too */
#define EFFORTS_ADDED_MAX 1000	    /* ranges of a job that history keeps sums of; beyond that they grow */
#define EFFORTS_KEPT_MAX                                                                                     \
	2000000 /* rows of efforts in history, of all jobs; beyond that the oldest jobs' go */
