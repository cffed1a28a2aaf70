/* Restores archives to a store. */
#include "cli/commands/import.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/offline_query.h"
#include "store/transfer/import.h"

static const struct command_help help = {
	.usage = "tidemark import DIR FILE... [options]",
	.summary = "Restores archives to a data directory that is empty, or older than the archives: with\n"
		   "the same seqs, times, ids and lines of history. Events that are there already must be\n"
		   "identical; events older than the log become an archive of the directory. Everything is\n"
		   "verified first, and nothing is imported unless all of it can be. No server may be\n"
		   "using the directory.\n\n"
		   "With --until the store becomes what it was when that event was its last.",
	.examples = "  tidemark import ./restored archives/*.ndjson.zst\n"
		    "  tidemark import ./as-of-noon --until 41000 archives/*.ndjson.zst",
};

static void print_figures(const struct import_figures *f)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_bool(root, "ok", true);
	doc_u64(root, "restored", f->restored);
	doc_u64(root, "archived", f->archived);
	doc_u64(root, "known", f->known);
	doc_u64(root, "first", f->first);
	doc_u64(root, "head", f->head);
	cli_print_document(&d);
}

int import_main(int argc, char **argv)
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
	if (operands < 2)
		return cli_wrong_usage("import", "import needs a data directory and archives");
	if (cli_is_url(argv[0]))
		return cli_fail_as(
			json,
			"%s: a running server cannot import, because its log only grows at its end: stop it, and import to "
			"its data directory",
			argv[0]);
	struct progress progress;
	struct fault fault;
	struct import_figures f;
	progress_init(&progress, "import", "events");
	struct seal_watch watch = offline_query_watch(&progress);
	enum err err = import_files(argv[0], (const char *const *)argv + 1, operands - 1,
				    (struct import_options){(uint64_t)until, &watch}, &f, &fault);
	progress_clear(&progress);
	if (err)
		return cli_fail_as(json, "%s; nothing was imported", fault.text);
	if (json)
		print_figures(&f);
	cli_report("%s: %" PRIu64 " events restored, %" PRIu64 " kept as archives, %" PRIu64
		   " were there already; it now has seq %" PRIu64 " to %" PRIu64,
		   argv[0], f.restored, f.archived, f.known, f.first, f.head);
	return CLI_DONE;
}
