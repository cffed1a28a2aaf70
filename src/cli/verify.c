/* Checks stores, event by event. */
#include "cli/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/progress.h"
#include "cli/cli.h"
#include "store/repair.h"
#include "store/survey.h"
#include "store/verify_event.h"
#include "tidemark/history.h"

static const struct command_help help = {
	.usage = "tidemark verify DIR|FILE... [options]",
	.summary = "Checks every event of a data directory and its archives: that none is missing, that\n"
		   "each is what was written, that times never decrease, that index and figures agree\n"
		   "with the events, and that each archive follows the one before. Names the first\n"
		   "fault. A server may be using the directory at the same time; what it adds meanwhile\n"
		   "is not looked at. SQLite's own check of the tables' structure is left out, and said to\n"
		   "be, where the server's write-ahead log becomes longer than 128 MiB. A FILE is an\n"
		   "archive, checked against its manifest; several must leave nothing out between them.\n\n"
		   "With --repair-from, events of the log that are damaged or missing are first put back\n"
		   "from archives that have them, and the index and the figures are made anew; no server\n"
		   "may be using the directory then.",
	.examples = "  tidemark verify ./tidemark-data\n"
		    "  tidemark verify archives/*.ndjson.zst\n"
		    "  tidemark verify ./tidemark-data --repair-from 1-5000.ndjson.zst",
};

enum { TRIES_MAX = 100 };

static void on_progress(void *arg, uint64_t done, uint64_t all)
{
	progress_set(arg, done, done, all);
}

static int tell(const char *dir, uint64_t first, uint64_t head, uint64_t checked)
{
	printf("%s: %llu event%s", dir, (unsigned long long)checked, checked == 1 ? "" : "s");
	if (checked > 0)
		printf(", seq %llu to %llu", (unsigned long long)first, (unsigned long long)head);
	puts(": fine");
	return CLI_DONE;
}

static enum err look(const char *dir, struct progress *progress, uint64_t *first, uint64_t *head,
		     struct history_verified *found, struct fault *fault)
{
	struct store *s = NULL;
	struct reader *r = NULL;
	enum err err = store_open(dir, (struct store_options){.access = STORE_READ}, &s, fault);
	if (!err)
		err = reader_open(s, &r, fault);
	if (!err) {
		*first = store_first(s);
		*head = store_head(s);
		err = history_verify(r, on_progress, progress, found, fault);
	}
	reader_close(r);
	store_close(s);
	if (err == ERR_CORRUPT)
		verify_name_event(dir, fault);
	return err;
}

static int verify_store(const char *dir)
{
	struct progress progress;
	struct fault fault;
	uint64_t first = 0;
	uint64_t head = 0;
	struct history_verified found = {0};
	enum err err = ERR_BUSY;
	progress_init(&progress, "verify", "events");
	/* A server that is busy may write between the two looks that a check needs. */
	for (int tries = 0; err == ERR_BUSY && tries < TRIES_MAX; tries++)
		err = look(dir, &progress, &first, &head, &found, &fault);
	progress_clear(&progress);
	if (!err && found.skipped[0] != '\0')
		cli_say("%s: a server writes too much, or another program reads for too long: the events were checked, but "
			"not "
			"the structure of the tables %s. Verify a backup to have all of it checked",
			dir, found.skipped);
	return err ? cli_fail("%s: %s", dir, fault.text) : tell(dir, first, head, found.events);
}

static void on_file_progress(void *arg, uint64_t done, uint64_t all)
{
	progress_set(arg, done, done, all);
}

/* The archives among the operands, as their manifests say. */
struct files {
	struct manifest *items;
	int count;
};

static int verify_file(const char *path, struct files *files)
{
	struct progress progress;
	struct fault fault;
	struct manifest expected;
	struct manifest found;
	enum err err = manifest_read(path, &expected, &fault);
	bool has = err == ERR_NONE;
	if (err && err != ERR_NOT_FOUND)
		return cli_fail("%s", fault.text);
	progress_init(&progress, "verify", "bytes");
	struct survey s = {
		.expected = has ? &expected : NULL, .selection = true, .progress = on_file_progress, .arg = &progress};
	err = archive_survey(path, &s, &found, &fault);
	progress_clear(&progress);
	if (err)
		return cli_fail("%s", fault.text);
	if (has && expected.count == expected.last - expected.first + 1)
		files->items[files->count++] = expected;
	printf("%s: %llu event%s, seq %llu to %llu: fine%s\n", path, (unsigned long long)found.count,
	       found.count == 1 ? "" : "s", (unsigned long long)found.first, (unsigned long long)found.last,
	       has ? "" : ", but there is no manifest");
	return CLI_DONE;
}

static int repair(const char *dir, const struct option_texts *archives)
{
	struct repair_figures f;
	struct fault fault;
	enum err err = repair_log(dir, archives->items, archives->count, &f, &fault);
	if (err)
		return cli_fail("%s: %s; nothing was changed", dir, fault.text);
	cli_say("%s: %llu of %llu events put back", dir, (unsigned long long)f.repaired, (unsigned long long)f.looked_at);
	if (f.dropped > 0)
		cli_say("%s: %llu rows dropped that were no events", dir, (unsigned long long)f.dropped);
	return CLI_DONE;
}

static int by_first(const void *a, const void *b)
{
	const struct manifest *x = a;
	const struct manifest *y = b;
	return x->first < y->first ? -1 : x->first > y->first;
}

/* The nearest of those before it that is of the same history; NULL. */
static const struct manifest *find_before(const struct files *files, int at)
{
	for (int i = at - 1; i >= 0; i--)
		for (uint32_t n = 0; n < files->items[at].line_count; n++)
			if (strcmp(files->items[i].epoch, files->items[at].lines[n].epoch) == 0)
				return &files->items[i];
	return NULL;
}

/* Archives that are looked at together leave nothing out between them, and each follows the one before. */
static int verify_order(struct files *files)
{
	qsort(files->items, (size_t)files->count, sizeof *files->items, by_first);
	for (int i = 1; i < files->count; i++) {
		const struct manifest *before = find_before(files, i);
		const struct manifest *m = &files->items[i];
		bool chained = strspn(m->previous, "0") != SHA256_TEXT_LEN;
		if (before == NULL)
			continue;
		if (m->first > before->last + 1)
			return cli_fail("events %llu to %llu are missing: they are between %s and %s",
					(unsigned long long)before->last + 1, (unsigned long long)m->first - 1, before->file,
					m->file);
		if (m->first == before->last + 1 && chained && strcmp(m->previous, before->chain) != 0)
			return cli_fail("%s does not follow %s: the chain is broken", m->file, before->file);
	}
	return CLI_DONE;
}

static int verify_one(const char *operand, struct files *files)
{
	struct stat about;
	if (cli_is_url(operand))
		return cli_fail("%s: verify looks at files; run it where the server's data directory is", operand);
	if (stat(operand, &about) == 0 && !S_ISDIR(about.st_mode))
		return verify_file(operand, files);
	return verify_store(operand);
}

int verify_main(int argc, char **argv)
{
	const char *config = NULL;
	struct option_texts archives = {0};
	const struct option options[] = {{"repair-from", OPTION_TEXTS, &archives, "ARCHIVE",
					  "put damaged events of the one directory back, repeatable", 0, 0, 0},
					 CLI_OPTION_CONFIG(&config),
					 {0}};
	int operands;
	int status = options_parse(options, &help, argc, argv, &operands);
	if (status != CLI_GO_ON)
		return status;
	if (operands == 0)
		return cli_wrong_usage("verify", "verify wants a data directory, or archives");
	if (archives.count > 0 && operands != 1)
		return cli_wrong_usage("verify", "--repair-from goes with one data directory");
	status = archives.count > 0 ? repair(argv[0], &archives) : CLI_DONE;
	if (status != CLI_DONE)
		return status;
	struct files files = {calloc((size_t)operands, sizeof *files.items), 0};
	if (files.items == NULL)
		return cli_fail("out of memory");
	for (int i = 0; i < operands; i++)
		if (verify_one(argv[i], &files) != CLI_DONE)
			status = CLI_FAILED;
	if (status == CLI_DONE)
		status = verify_order(&files);
	free(files.items);
	return status;
}
