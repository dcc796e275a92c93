/* The other programs of shardmill, as verbs of this one. */
#pragma once

/* Becomes the program (base/child.h says where it is looked for); returns an exit code when it cannot.
 * folder: of the build tree. */
int sibling_run(const char *program, const char *folder, int argc, char **argv);
