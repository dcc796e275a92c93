#include "worker/notes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

void notes_open(struct notes *n, int dir_fd)
{
	*n = (struct notes){.dir_fd = dir_fd};
	n->fd = openat(dir_fd, OUTPUT_NOTES_NAME, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
}

void notes_close(struct notes *n)
{
	if (n->fd >= 0) {
		unlinkat(n->dir_fd, OUTPUT_NOTES_NAME, 0);
		close(n->fd);
	}
	free(n->taken);
	*n = (struct notes){.fd = -1};
}

void notes_write(struct notes *n, uint32_t place, const struct output_note *note)
{
	uint8_t raw[OUTPUT_NOTE_BYTES] = {0};

	if (n->fd < 0 || place == NOTES_NO_PLACE)
		return;
	if (note != NULL)
		output_note_encode(note, raw);
	if (pwrite(n->fd, raw, sizeof raw, (off_t)place * OUTPUT_NOTE_BYTES) == (ssize_t)sizeof raw)
		return;
	/* The old note would name what others write from now on. */
	if (!atomic_exchange(&n->broken, true))
		unlinkat(n->dir_fd, OUTPUT_NOTES_NAME, 0);
}

uint32_t notes_take(struct notes *n)
{
	uint32_t place = 0;

	while (place < n->count && n->taken[place])
		place++;
	if (place == OUTPUT_NOTES_MAX)
		return NOTES_NO_PLACE;
	if (place == n->count)
		n->taken = check_realloc(n->taken, ++n->count, sizeof *n->taken);
	n->taken[place] = true;
	notes_write(n, place, NULL); /* room on the disk is found now, not at the first attempt */
	return place;
}

void notes_give_back(struct notes *n, uint32_t place)
{
	if (place == NOTES_NO_PLACE)
		return;
	notes_write(n, place, NULL);
	n->taken[place] = false;
}
