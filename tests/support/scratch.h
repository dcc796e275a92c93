/* A directory of a test's own: `.init = scratch_make, .fini = scratch_remove`. */
#pragma once

void scratch_make(void);
void scratch_remove(void); /* with all that is in it */
/* A path in it. The text lives for the next seven calls. */
const char *scratch_path(const char *name);
