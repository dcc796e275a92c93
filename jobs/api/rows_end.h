/* The rows of dispatcher.def and jobs.def mean nothing any more: each reading of these tables ends with this,
 * and so it has no guard. */
#undef OBJECT
#undef BOOL
#undef COUNT
#undef COUNT_TO
#undef SIZE
#undef INT
#undef SECONDS
#undef SECONDS_TO
#undef CPUS
#undef CPUS_TO
#undef TIME
#undef TEXT
#undef TEXT_AS
#undef TEXT_TO
#undef WORD
#undef KIND_WORD
#undef SUB
#undef LIST
#undef TEXTS
#undef COUNTS
#undef EITHER
#undef SCALAR
#undef RAW
#undef TOTALS
#undef END
