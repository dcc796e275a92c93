/* Runs a fuzz target for some seconds where there is no libFuzzer: takes an input of the corpus (or of
 * none), changes it at random, hands it to LLVMFuzzerTestOneInput, and so on. It learns nothing from
 * what it reaches, so the corpus should hold one good input of each kind. Works with any compiler;
 * meaningful with sanitizers (meson setup build/asan -Db_sanitize=address,undefined).
 *
 *	fuzz-border [--seconds N] [--seed N] [--crash FILE] [--replay] [file or folder]…
 *
 * MILL_FUZZ_SECONDS (default 3) and MILL_FUZZ_SEED (default: the clock) stand for the first two. An
 * input that ends the process, or takes longer than 20 s, is saved in --crash (default
 * ./fuzz.crash); `fuzz-border --replay FILE` shows it again.
 *
 * The same targets with libFuzzer, which does learn (Debian: clang and libclang-rt-14-dev); from the
 * root, without this file:
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -I. -o fuzz-border \
 *		tests/fuzz/fuzz_border.c tests/fuzz/border_play.c jobs/border.c jobs/kinds.c \
 *		base/check.c base/error.c base/rng.c
 *	./fuzz-border -max_len=4096 corpus/ tests/fuzz/corpus/border/ */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/rng.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_BYTES_MAX ((size_t)4096)
#define CORPUS_FILE_BYTES_MAX ((size_t)1 << 20)
#define INPUT_SECONDS_MAX 20

struct corpus {
	struct bytes *inputs;
	size_t count;
};

static const char *crash_path = "fuzz.crash";
/* The input that runs; read by the signal handlers. */
static struct bytes current;
static volatile sig_atomic_t current_seconds;

/* The sanitizers' runtime has it; they do not end with a signal. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return;
}

static void save_current(void)
{
	int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, current.data, current.size) != (ssize_t)current.size)
		say("the input could not be saved in ");
	else
		say("the input is saved in ");
	say(crash_path);
	say("\n");
}

static void on_signal(int signal_number)
{
	save_current();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void on_second(int signal_number)
{
	(void)signal_number;
	if (++current_seconds <= INPUT_SECONDS_MAX)
		return;
	say("an input takes too long\n");
	abort();
}

static void watch(void)
{
	static const int ends[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	struct itimerval second = {{1, 0}, {1, 0}};

	for (size_t i = 0; i < ARRAY_LENGTH(ends); i++)
		signal(ends[i], on_signal);
	signal(SIGALRM, on_second);
	setitimer(ITIMER_REAL, &second, NULL);
	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(save_current);
}

static void run_input(struct bytes input)
{
	/* A copy of just this size: a sanitizer sees what is read beyond it. */
	uint8_t *data = check_calloc(input.size, 1);

	if (input.size > 0)
		memcpy(data, input.data, input.size);
	current = BYTES(data, input.size);
	current_seconds = 0;
	LLVMFuzzerTestOneInput(data, input.size);
	current = (struct bytes){0};
	free(data);
}

static void corpus_add(struct corpus *c, struct bytes input)
{
	c->inputs = check_realloc(c->inputs, c->count + 1, sizeof(*c->inputs));
	c->inputs[c->count++] = input;
}

static void corpus_add_path(struct corpus *c, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct buf text = {0};
	FILE *file;

	if (dir != NULL) {
		while ((entry = readdir(dir)) != NULL) {
			char inside[4096];

			if (entry->d_name[0] == '.')
				continue;
			snprintf(inside, sizeof(inside), "%s/%s", path, entry->d_name);
			corpus_add_path(c, inside);
		}
		closedir(dir);
		return;
	}
	file = fopen(path, "rb");
	if (file == NULL) {
		fprintf(stderr, "cannot read %s: %s\n", path, strerror(errno));
		exit(2);
	}
	text.size = fread(buf_reserve(&text, CORPUS_FILE_BYTES_MAX), 1, CORPUS_FILE_BYTES_MAX, file);
	fclose(file);
	corpus_add(c, buf_bytes(&text)); /* its memory stays with the corpus */
}

static void corpus_free(struct corpus *c)
{
	for (size_t i = 0; i < c->count; i++)
		free((void *)(uintptr_t)c->inputs[i].data);
	free(c->inputs);
}

/* === Changes === */

/* size bytes of data take the place of drop bytes at at. */
static void replace_at(struct buf *b, size_t at, size_t drop, const void *data, size_t size)
{
	struct buf out = {0};

	buf_append(&out, b->data, at);
	buf_append(&out, data, size);
	buf_append(&out, b->data + at + drop, b->size - at - drop);
	buf_fini(b);
	*b = out;
}

/* Numbers at the borders of their types, in both byte orders, and what the formats are made of. */
static void put_interesting(struct buf *b, struct rng *r)
{
	static const uint64_t numbers[] = {
	    0,		1,	    0x7f,	0x80,	    0xff,      0x7fff,	   0x8000,     0xffff,
	    0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, INT64_MAX, UINT64_MAX, 1ull << 63, 1ull << 32};
	static const char *const texts[] = {"\n",   "\r\n", "@",    "+",    "\n@",  "\n+", "{",	 "}",
					    "[",    "]",    "\"",   ":",    ",",    "{{",  "}}", "- ",
					    "\xc0", "\xdc", "\xdd", "\xde", "\xdf", "../", "$(", "\t"};
	uint8_t bytes[8];
	size_t at = (size_t)rng_below(r, b->size + 1), width = (size_t)1 << rng_below(r, 4);
	uint64_t x = numbers[rng_below(r, ARRAY_LENGTH(numbers))];
	bool big_endian = rng_below(r, 2) == 0, insert = rng_below(r, 2) == 0;
	size_t room = b->size - at;

	if (rng_below(r, 2) == 0) {
		const char *text = texts[rng_below(r, ARRAY_LENGTH(texts))];

		replace_at(b, at, insert || room == 0 ? 0 : 1, text, strlen(text));
		return;
	}
	for (size_t i = 0; i < width; i++)
		bytes[big_endian ? width - 1 - i : i] = (uint8_t)(x >> (8 * i));
	replace_at(b, at, insert ? 0 : (room < width ? room : width), bytes, width);
}

static void change(struct buf *b, struct rng *r, const struct corpus *c)
{
	size_t at = (size_t)rng_below(r, b->size + 1);
	size_t length = (size_t)rng_below(r, 1 + rng_below(r, b->size - at + 1));
	struct bytes other = {0};
	uint8_t noise[16];

	switch (rng_below(r, 8)) {
	case 0:
		if (at < b->size)
			b->data[at] ^= (uint8_t)(1u << rng_below(r, 8));
		break;
	case 1:
		if (at < b->size)
			b->data[at] = (uint8_t)rng_u64(r);
		break;
	case 2: /* cut off */
		if (rng_below(r, 4) == 0)
			b->size = at;
		break;
	case 3: /* cut out */
		replace_at(b, at, length, NULL, 0);
		break;
	case 4: /* twice */
		if (length > 0) {
			uint8_t *copy = check_calloc(length, 1);

			memcpy(copy, b->data + at, length);
			replace_at(b, at, 0, copy, length);
			free(copy);
		}
		break;
	case 5: /* a piece of another input */
		if (c->count > 0)
			other = c->inputs[rng_below(r, c->count)];
		if (other.size > 0) {
			size_t from = (size_t)rng_below(r, other.size);
			size_t size = 1 + (size_t)rng_below(r, other.size - from);

			replace_at(b, at, rng_below(r, 2) == 0 ? length : 0, other.data + from,
				   size < INPUT_BYTES_MAX ? size : INPUT_BYTES_MAX);
		}
		break;
	case 6:
		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (uint8_t)rng_u64(r);
		replace_at(b, at, 0, noise, 1 + (size_t)rng_below(r, sizeof(noise)));
		break;
	default:
		put_interesting(b, r);
	}
}

static void make_input(struct buf *b, struct rng *r, const struct corpus *c)
{
	buf_clear(b);
	if (c->count > 0 && rng_below(r, 16) > 0) {
		buf_append_bytes(b, c->inputs[rng_below(r, c->count)]);
	} else {
		size_t size = (size_t)rng_below(r, 1 + rng_below(r, INPUT_BYTES_MAX));

		for (size_t i = 0; i < size; i++)
			*buf_reserve(b, 1) = (uint8_t)rng_u64(r), b->size++;
	}
	for (uint64_t n = rng_below(r, 1 + rng_below(r, 24)); n > 0; n--)
		change(b, r, c);
	if (b->size > INPUT_BYTES_MAX)
		b->size = INPUT_BYTES_MAX;
}

/* === Running === */

static double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void fuzz(const struct corpus *c, double seconds, uint64_t seed)
{
	double start = now_seconds();
	uint64_t input_count = 0;
	struct buf input = {0};
	struct rng r;

	fprintf(stderr, "seed %llu, %zu inputs in the corpus\n", (unsigned long long)seed, c->count);
	rng_seed(&r, seed);
	for (size_t i = 0; i < c->count; i++)
		run_input(c->inputs[i]);
	while (now_seconds() - start < seconds) {
		make_input(&input, &r, c);
		run_input(buf_bytes(&input));
		input_count++;
	}
	fprintf(stderr, "%llu inputs in %.1f s\n", (unsigned long long)input_count, now_seconds() - start);
	buf_fini(&input);
}

int main(int argc, char **argv)
{
	const char *seconds = getenv("MILL_FUZZ_SECONDS"), *seed = getenv("MILL_FUZZ_SEED");
	struct corpus corpus = {0};
	bool replay = false;

	for (int i = 1; i < argc; i++) {
		bool more = i + 1 < argc;

		if (strcmp(argv[i], "--replay") == 0)
			replay = true;
		else if (strcmp(argv[i], "--seconds") == 0 && more)
			seconds = argv[++i];
		else if (strcmp(argv[i], "--seed") == 0 && more)
			seed = argv[++i];
		else if (strcmp(argv[i], "--crash") == 0 && more)
			crash_path = argv[++i];
		else
			corpus_add_path(&corpus, argv[i]);
	}
	watch();
	if (replay) {
		for (size_t i = 0; i < corpus.count; i++)
			run_input(corpus.inputs[i]);
	} else {
		fuzz(&corpus, seconds != NULL ? strtod(seconds, NULL) : 3,
		     seed != NULL ? strtoull(seed, NULL, 10)
				  : (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid());
	}
	corpus_free(&corpus);
	return 0;
}
