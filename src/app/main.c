/* The commands of the binary. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "app/profiles.h"
#include "app/server.h"
#include "base/system/bus_error.h"
#include "cli/commands/backup.h"
#include "cli/commands/export.h"
#include "cli/commands/import.h"
#include "cli/commands/publish.h"
#include "cli/commands/query.h"
#include "cli/commands/stats.h"
#include "cli/commands/tail.h"
#include "cli/commands/token.h"
#include "cli/commands/verify.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
};

static const struct command commands[] = {
	{"serve", server_main, "run the server"},
	{"publish", publish_main, "publish events, or lines of text, from standard input"},
	{"tail", tail_main, "follow the log across restarts and lost connections"},
	{"query", query_main, "print history, from a server or a data directory"},
	{"stats", stats_main, "print figures of a server or a data directory"},
	{"token", token_main, "create, list and revoke tokens for access to a server"},
	{"export", export_main, "write history to an archive"},
	{"import", import_main, "restore archives to a data directory"},
	{"verify", verify_main, "check every event of a data directory, or of archives"},
	{"backup", backup_main, "copy a data directory that may be in use"},
};

enum { COMMANDS = sizeof commands / sizeof *commands, EXIT_USAGE = 2 };

static void print_help(FILE *out)
{
	fputs("Tidemark: an event store with replay. Events are committed to disk before readers get them, and read from "
	      "any\n"
	      "position over WebSocket, server-sent events and REST.\n\nUsage: tidemark COMMAND [options]\n\nCommands:\n",
	      out);
	for (int i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
	fputs("\n`tidemark COMMAND --help` explains a command. Exit status: 0 success, 1 failure, 2 usage error.\n"
	      "Start with `tidemark serve`, and open http://127.0.0.1:8080\n",
	      out);
}

/* The exit status, once all output is written. A reader that has closed the output is not an error. */
static int written(int status)
{
	if (fflush(stdout) == 0 || errno == EPIPE || status != 0)
		return status;
	perror("tidemark: standard output");
	return 1;
}

static void set_up_memory(void)
{
	/* Pages are allocated by one thread and freed by another: many arenas would only keep more of them. */
	mallopt(M_ARENA_MAX, 2);
	/* Pages are allocated by the thousand: kept in the heap, their memory need not be mapped and cleared each time. */
	mallopt(M_MMAP_THRESHOLD, 4 * 1024 * 1024);
	mallopt(M_TRIM_THRESHOLD, 32 * 1024 * 1024);
}

int main(int argc, char **argv)
{
	set_up_memory();
	bus_error_explain();
	umask(077); /* the store, its copies and archives are for their owner only */
	for (int i = 0; profiles[i] != NULL; i++)
		if (profiles[i]->declare != NULL)
			profiles[i]->declare();
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
		fprintf(stderr, "tidemark: unknown command: %s\n\n", name);
	print_help(stderr);
	return EXIT_USAGE;
}
