/* The load generator: `bench COMMAND name=value …` prints its figures. See ../run, which starts it. */
#include <stdio.h>
#include <string.h>

#include "load/command.h"

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(const struct args *a);
	} commands[] = {{"publish", publish_command}, {"fanout", fanout_command}, {"catchup", catchup_command},
			{"query", query_command},     {"idle", idle_command},     {"bare", bare_command},
			{"open", open_command}};
	struct args args = {argv + (argc > 1 ? 2 : 1)};
	for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(commands[i].name, argv[1]) == 0) {
			commands[i].run(&args);
			return 0;
		}
	}
	fprintf(stderr, "usage: bench publish|fanout|catchup|query|idle|bare|open name=value…\n");
	return 2;
}
