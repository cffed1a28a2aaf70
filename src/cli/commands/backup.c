/* Copies of a store that may be in use. */
#include "cli/commands/backup.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/system/thread.h"
#include "cli/cli.h"
#include "cli/offline_query.h"
#include "store/transfer/backup.h"

static const struct command_help help = {
	.usage = "tidemark backup DIR DEST [options]",
	.summary = "Copies a data directory, archives and all, while a server may be using it: the\n"
		   "server does not wait, and every event is proven on the way. DEST is a data\n"
		   "directory itself. Done again, it copies what is new; an interrupted backup goes on\n"
		   "where it stopped.\n\n"
		   "To restore, start a server on DEST, or copy it back the same way:\n"
		   "`tidemark backup DEST DIR`. With --until the copy is the store as it was when that\n"
		   "event was its last.",
	.examples = "  tidemark backup ./tidemark-data /backup/tidemark\n"
		    "  tidemark backup /backup/tidemark ./restored\n"
		    "  tidemark backup /backup/tidemark ./as-of-noon --until 41000",
};

enum { NICE = 10 };

static void print_figures(const struct backup_figures *f)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_bool(root, "ok", true);
	doc_u64(root, "events", f->events);
	doc_u64(root, "archives", f->archives);
	doc_u64(root, "first", f->first);
	doc_u64(root, "head", f->head);
	cli_print_document(&d);
}

int backup_main(int argc, char **argv)
{
	int64_t until = 0;
	bool json = false;
	const char *config = NULL;
	const struct option options[] = {{"until", OPTION_INTEGER, &until, "SEQ",
					  "leave out what came after this event; 0: nothing (0)", 0, INT64_MAX, 0},
					 CLI_OPTION_JSON(&json),
					 CLI_OPTION_CONFIG(&config),
					 {0}};
	int operands;
	int status = options_parse(options, &help, argc, argv, &operands);
	if (status != CLI_GO_ON)
		return status;
	if (operands != 2)
		return cli_wrong_usage("backup", "backup wants a data directory and where the copy goes");
	if (cli_is_url(argv[0]) || cli_is_url(argv[1]))
		return cli_fail_as(json, "backup copies directories; run it where the server's data directory is");
	struct progress progress;
	struct fault fault;
	struct backup_figures f;
	progress_init(&progress, "backup", "events");
	thread_background(NICE); /* the server goes first */
	struct seal_watch watch = offline_query_watch(&progress);
	enum err err = backup_store(argv[0], argv[1], (struct backup_options){(uint64_t)until, &watch}, &f, &fault);
	progress_clear(&progress);
	if (err)
		return cli_fail_as(json, "%s", fault.text);
	if (json)
		print_figures(&f);
	cli_say("%s: %" PRIu64 " events and %" PRIu64 " archives copied; it now holds seq %" PRIu64 " to %" PRIu64, argv[1],
		f.events, f.archives, f.first, f.head);
	return CLI_DONE;
}
