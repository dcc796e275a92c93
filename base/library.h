/* The library's files: definitions (*.yaml) and the programs that they run. In the build tree both stand in
 * jobs/library, a folder a field (genomics, …). Installed, the definitions are in share/shardmill/library. A
 * program that people use, too, is a command beside ours; one that only its definition runs is in
 * libexec/shardmill. All are found from the folder of the running program, so that an installed tree may be
 * moved. */
#pragma once

#include <glob.h>

/* The definitions, sorted; none is fine. globfree is due. */
void library_definitions(glob_t *ret);
/* Adds the folder of the running program and those of the library's programs to the end of PATH: what is
 * started from now on finds them. */
void library_extend_path(void);
