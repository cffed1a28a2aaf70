/* A directory that a test has for itself. */
#ifndef TESTS_TEMP_DIR_H
#define TESTS_TEMP_DIR_H

#include "unit/check.h"

enum { TEMP_DIR_LEN = 64 };

/* `dir` has room for TEMP_DIR_LEN bytes. */
static inline void temp_dir_make(char *dir)
{
	strcpy(dir, "/tmp/tidemark-test-XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
}

/* With all that is in it. */
static inline void temp_dir_remove(const char *dir)
{
	char command[TEMP_DIR_LEN + 16];
	snprintf(command, sizeof command, "rm -r %s", dir);
	CHECK(system(command) == 0);
}

#endif
