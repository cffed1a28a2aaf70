/* Copies a store that may be in use. */
#include "cli/commands/backup.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/system/thread.h"
#include "cli/cli.h"
#include "cli/offline_query.h"
#include "store/transfer/backup.h"

static const struct command_help help = {
	.usage = "tidemark backup DIR DEST [options]",
	.summary = "Copies a data directory with its archives while a server may be using it: the server\n"
		   "does not wait, and every event is verified. DEST is a data directory itself. A\n"
		   "repeated backup copies new events only; an interrupted backup continues where it\n"
		   "stopped.\n\n"
		   "To restore, start a server on DEST, or copy it back the same way: `tidemark backup\n"
		   "DEST DIR`. With --until the copy is the store as it was when that event was its last.",
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
	const struct option options[] = {
		CLI_OPTION_UNTIL_SEQ(&until), CLI_OPTION_JSON(&json), CLI_OPTION_CONFIG(&config), {0}};
	int operands;
	int status = options_parse(options, &help, argc, argv, &operands);
	if (status != CLI_GO_ON)
		return status;
	if (operands != 2)
		return cli_wrong_usage("backup", "backup needs a data directory and a directory for the copy");
	if (cli_is_url(argv[0]) || cli_is_url(argv[1]))
		return cli_fail_as(json,
				   "backup copies directories: run it on the machine with the server's data directory");
	struct progress progress;
	struct fault fault;
	struct backup_figures f;
	progress_init(&progress, "backup", "events");
	thread_background(NICE); /* give way to the server */
	struct seal_watch watch = offline_query_watch(&progress);
	enum err err = backup_store(argv[0], argv[1], (struct backup_options){(uint64_t)until, &watch}, &f, &fault);
	progress_clear(&progress);
	if (err)
		return cli_fail_as(json, "%s", fault.text);
	if (json)
		print_figures(&f);
	cli_report("%s: %" PRIu64 " events and %" PRIu64 " archives copied; it now has seq %" PRIu64 " to %" PRIu64, argv[1],
		   f.events, f.archives, f.first, f.head);
	return CLI_DONE;
}
