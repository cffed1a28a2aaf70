/* Options of a command: flags, environment, configuration file and --help are all driven by one table. */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum option_kind {
	OPTION_FLAG,     /* bool: no value on the command line; true/false elsewhere */
	OPTION_TEXT,     /* const char * */
	OPTION_TEXTS,    /* struct option_texts: may be given more than once */
	OPTION_INTEGER,  /* int64_t */
	OPTION_SIZE,     /* int64_t, bytes */
	OPTION_DURATION, /* int64_t, milliseconds */
	OPTION_GROUP,    /* no option: its name is the heading of those that follow, in --help */
};

enum { OPTION_TEXTS_MAX = 64, OPTIONS_MAX = 128 };

struct option_texts {
	int count;
	const char *items[OPTION_TEXTS_MAX];
};

struct option {
	const char *name; /* as after `--`; TIDEMARK_NAME in the environment */
	enum option_kind kind;
	void *target; /* holds the default before parsing; texts are borrowed from argv, environ or `keep` */
	const char *value_name;
	const char *help;
	int64_t min; /* bounds of the numeric kinds, inclusive; both 0: none */
	int64_t max;
	char letter; /* as after `-`, or 0 */
};

struct command_help {
	const char *usage;   /* "tidemark tail [URL] [options]" */
	const char *summary; /* what it does, a few sentences */
	const char *examples;
};

/* Reads environment, then `--config FILE`, then the command line (which wins over the environment, which wins over
 * the file). Operands are moved to the front of argv (from 0) and counted in *operands. Returns -1 to go on, else the exit
 * status: 0 after --help, 2 after a usage error, which is on stderr. `options` ends with a NULL name; there are OPTIONS_MAX
 * at most. */
int options_parse(const struct option *options, const struct command_help *help, int argc, char **argv, int *operands);

#endif
