/* Which events a command is about: options that several commands share, and the parameters of history that they become. */
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
	 "only events in whose data this JSON pointer leads to this value, repeatable: all of them", 0, 0, 0}
#define CLI_OPTION_CATEGORY(target) \
	{"category", OPTION_TEXT, target, "NAME", \
	 "only critical, performance, user_activity, system or debug events, by type and content", 0, 0, 0}
#define CLI_OPTIONS_FILTER(f) \
	{"after", OPTION_TEXT, &(f)->after, "SEQ", "only events after this one; also first, or head (first)", 0, 0, 0}, \
	{"before", OPTION_TEXT, &(f)->before, "SEQ", "only events before this one", 0, 0, 0}, \
	{"since", OPTION_TEXT, &(f)->since, "TIME", "only events of this time or later", 0, 0, 0}, \
	{"until", OPTION_TEXT, &(f)->until, "TIME", "only events from before this time", 0, 0, 0}, \
	{"stream", OPTION_TEXTS, &(f)->streams, "NAME", "only events of this stream, repeatable: any of them", 0, 0, 's'}, \
	{"type", OPTION_TEXTS, &(f)->types, "NAME", "only events of this type, repeatable: any of them", 0, 0, 't'}, \
	CLI_OPTION_WHERE(&(f)->wheres), \
	CLI_OPTION_CATEGORY(&(f)->category)
/* clang-format on */

void cli_filter_params(struct buf *out, const struct cli_filter *f);

#endif
