/* Checks stores, event by event. */
#include "cli/verify.h"

#include <stdio.h>
#include <sys/stat.h>

#include "base/progress.h"
#include "cli/cli.h"
#include "tidemark/history.h"

static const struct command_help help = {
	.usage = "tidemark verify DIR... [options]",
	.summary = "Checks every event of a data directory: that none is missing, that each is what\n"
		   "was written, that times never decrease, and that index and figures agree with\n"
		   "the events. Names the first fault. A server may be using the directory at the\n"
		   "same time; what it adds meanwhile is not looked at.",
	.examples = "  tidemark verify ./tidemark-data\n"
		    "  tidemark verify /backup/monday /backup/tuesday",
};

enum { TRIES_MAX = 100 };

static void on_progress(void *arg, uint64_t done, uint64_t all)
{
	progress_set(arg, done, done, all);
}

static int tell(const char *dir, uint64_t first, uint64_t checked)
{
	printf("%s: %llu event%s", dir, (unsigned long long)checked, checked == 1 ? "" : "s");
	if (checked > 0)
		printf(", seq %llu to %llu", (unsigned long long)first, (unsigned long long)(first + checked - 1));
	puts(": fine");
	return CLI_DONE;
}

static enum err look(const char *dir, struct progress *progress, uint64_t *first, uint64_t *checked, struct fault *fault)
{
	struct store *s = NULL;
	struct reader *r = NULL;
	enum err err = store_open(dir, (struct store_options){.access = STORE_READ}, &s, fault);
	if (!err)
		err = reader_open(s, &r, fault);
	if (!err) {
		*first = store_first(s);
		err = history_verify(r, on_progress, progress, checked, fault);
	}
	reader_close(r);
	store_close(s);
	return err;
}

static int verify_store(const char *dir)
{
	struct progress progress;
	struct fault fault;
	uint64_t first = 0;
	uint64_t checked = 0;
	enum err err = ERR_BUSY;
	progress_init(&progress, "verify", "events");
	/* A server that is busy may write between the two looks that a check needs. */
	for (int tries = 0; err == ERR_BUSY && tries < TRIES_MAX; tries++)
		err = look(dir, &progress, &first, &checked, &fault);
	progress_clear(&progress);
	return err ? cli_fail("%s: %s", dir, fault.text) : tell(dir, first, checked);
}

static int verify_one(const char *operand)
{
	struct stat about;
	if (cli_is_url(operand))
		return cli_fail("%s: verify looks at files; run it where the server's data directory is", operand);
	if (stat(operand, &about) == 0 && !S_ISDIR(about.st_mode))
		return cli_fail("%s: this version cannot verify archives yet", operand);
	return verify_store(operand);
}

int verify_main(int argc, char **argv)
{
	const char *config = NULL;
	const struct option options[] = {CLI_OPTION_CONFIG(&config), {0}};
	int operands;
	int status = options_parse(options, &help, argc, argv, &operands);
	if (status != CLI_GO_ON)
		return status;
	if (operands == 0)
		return cli_wrong_usage("verify", "verify wants a data directory");
	status = CLI_DONE;
	for (int i = 0; i < operands; i++)
		if (verify_one(argv[i]) != CLI_DONE)
			status = CLI_FAILED;
	return status;
}
