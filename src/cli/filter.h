/* The filter options that several commands share, and the query parameters that they become. */
#ifndef CLI_FILTER_H
#define CLI_FILTER_H

#include "cli/cli.h"

struct cli_filter {
	const char *after;
	const char *before;
	const char *since;
	const char *until;
	struct option_texts streams;
	struct option_texts types;
	struct option_texts wheres;
	const char *category;
};

/* clang-format off */
/* Lines of the option table. */
#define CLI_OPTION_WHERE(target) \
	{"where", OPTION_TEXTS, target, "/POINTER=VALUE", \
	 "only events with this value at this JSON pointer of data, repeatable: all must match", 0, 0, 0}
#define CLI_OPTION_CATEGORY(target) \
	{"category", OPTION_TEXT, target, "NAME", \
	 "only events of this category: critical, performance, user_activity, system or debug", 0, 0, 0}
#define CLI_OPTIONS_FILTER(f) \
	{"after", OPTION_TEXT, &(f)->after, "SEQ", "only events after this seq; also first or head (first)", 0, 0, 0}, \
	{"before", OPTION_TEXT, &(f)->before, "SEQ", "only events before this seq", 0, 0, 0}, \
	{"since", OPTION_TEXT, &(f)->since, "TIME", "only events of this time or later", 0, 0, 0}, \
	{"until", OPTION_TEXT, &(f)->until, "TIME", "only events before this time", 0, 0, 0}, \
	{"stream", OPTION_TEXTS, &(f)->streams, "NAME", "only events of this stream, repeatable: any may match", 0, 0, 's'}, \
	{"type", OPTION_TEXTS, &(f)->types, "NAME", "only events of this type, repeatable: any may match", 0, 0, 't'}, \
	CLI_OPTION_WHERE(&(f)->wheres), \
	CLI_OPTION_CATEGORY(&(f)->category)
/* clang-format on */

/* Adds streams, types, conditions and the category as query parameters. */
void cli_filter_add(struct buf *out, const struct cli_filter *f);
/* The same after the range. */
void cli_filter_params(struct buf *out, const struct cli_filter *f);

#endif
