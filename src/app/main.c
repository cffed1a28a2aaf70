/* The commands of the binary. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/server.h"
#include "cli/publish.h"
#include "cli/query.h"
#include "cli/stats.h"
#include "cli/tail.h"
#include "cli/verify.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
};

static const struct command commands[] = {
	{"serve", server_main, "run the server"},
	{"publish", publish_main, "publish events, or any lines of text, from standard input"},
	{"tail", tail_main, "follow the log, through restarts and lost connections"},
	{"query", query_main, "print history, from a server or a data directory"},
	{"stats", stats_main, "print figures of a server or a data directory"},
	{"verify", verify_main, "check every event of a data directory"},
};

enum { COMMANDS = sizeof commands / sizeof *commands, EXIT_USAGE = 2 };

static void print_help(FILE *out)
{
	fputs("Tidemark: an event store with replay. Events are committed to disk before anybody sees them, and read from "
	      "any\n"
	      "position over WebSocket, server-sent events and REST.\n\nUsage: tidemark COMMAND [options]\n\nCommands:\n",
	      out);
	for (int i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
	fputs("\n`tidemark COMMAND --help` explains each. Exit status: 0 done, 1 failed, 2 wrong usage.\n"
	      "Start with `tidemark serve`, and open http://127.0.0.1:8080\n",
	      out);
}

/* The exit status, once all output has really gone out. A reader that has had enough is no failure. */
static int written(int status)
{
	if (fflush(stdout) == 0 || errno == EPIPE || status != 0)
		return status;
	perror("tidemark: standard output");
	return 1;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		print_help(stdout);
		return written(0);
	}
	if (strcmp(name, "--version") == 0) {
		puts("tidemark " TIDEMARK_VERSION);
		return 0;
	}
	for (int i = 0; i < COMMANDS; i++)
		if (strcmp(name, commands[i].name) == 0)
			return written(commands[i].run(argc - 2, argv + 2));
	if (argc > 1)
		fprintf(stderr, "tidemark: no such command: %s\n\n", name);
	print_help(stderr);
	return EXIT_USAGE;
}
