/* Any operations on two shard sets tell the same as on two plain arrays. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/shard_set_play.h"

/* Some hundred operations. More take long, and show little that these do not. */
#define SCRIPT_BYTES_MAX ((size_t)1000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shard_set_played played = {0};

	shard_set_play(BYTES(data, size < SCRIPT_BYTES_MAX ? size : SCRIPT_BYTES_MAX), &played);
	return 0;
}
