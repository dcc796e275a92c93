/* Any file, cut into shards of any size, fed in blocks of any size: all shards together are the file,
 * and begin where a splitter that sees the whole file says. Four bytes choose, the rest is the file. */
#include "tests/fuzz/border_play.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t aligns[] = {ALIGN_FASTQ, ALIGN_LINE, ALIGN_NONE};
	struct bytes file;
	struct rng r;
	bool strict;

	if (size < 4)
		return 0;
	file = BYTES(data + 4, size - 4);
	rng_seed(&r, data[3]);
	strict = data[2] == 0;
	border_play(file, aligns[data[0] % ARRAY_LENGTH(aligns)], 1 + (uint64_t)data[1],
		    strict ? (uint32_t)file.size + 1 : data[2], strict, &r);
	return 0;
}
