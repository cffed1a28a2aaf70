/* Checks stores, event by event. */
#include "cli/commands/verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/system/progress.h"
#include "cli/cli.h"
#include "store/archive/archive_check.h"
#include "store/archive/archive_manifest.h"
#include "store/read/history.h"
#include "store/repair/repair.h"
#include "store/repair/verify_event.h"

static const struct command_help help = {
	.usage = "tidemark verify DIR|FILE... [options]",
	.summary = "Checks every event of a data directory and its archives: that none is missing, that\n"
		   "each is unchanged, that times never decrease, that index and figures agree with the\n"
		   "events, and that each archive follows the one before. Names the first fault. A server\n"
		   "may be using the directory at the same time; events that it adds meanwhile are not\n"
		   "checked. SQLite's own check of the tables' structure is skipped, with a message, if\n"
		   "the server's write-ahead log grows beyond 128 MiB. A FILE is an archive, checked\n"
		   "against its manifest; several archives must have no gap between them.\n\n"
		   "With --repair-from, damaged or missing events of the log are first restored from\n"
		   "archives that have them, and the index and the figures are rebuilt; no server may be\n"
		   "using the directory then.",
	.examples = "  tidemark verify ./tidemark-data\n"
		    "  tidemark verify archives/*.ndjson.zst\n"
		    "  tidemark verify ./tidemark-data --repair-from 1-5000.ndjson.zst",
};

enum { TRIES_MAX = 100 };

static void on_progress(void *arg, uint64_t done, uint64_t all)
{
	progress_set(arg, done, done, all);
}

/* The check, and its results. */
struct check {
	bool json;
	struct buf found;       /* elements of "checked" */
	struct fault fault;     /* the first one */
	struct manifest *files; /* manifests of the archives among the operands */
	int file_count;
};

static int fail(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Reports a fault; the first one goes into the document. */
static int fail(struct check *c, const char *format, ...)
{
	struct fault fault = {.code = ERR_CORRUPT};
	va_list args;
	va_start(args, format);
	vsnprintf(fault.text, sizeof fault.text, format, args);
	va_end(args);
	if (c->fault.code == ERR_NONE)
		c->fault = fault;
	return cli_fail("%s", fault.text);
}

/* Begins the note of an intact directory or archive. */
static struct doc begin_note(struct document *d, const char *path, uint64_t first, uint64_t last, uint64_t events)
{
	struct doc root = document_begin(d);
	cli_text(root, "path", path);
	doc_u64(root, "events", events);
	doc_u64(root, "first", first);
	doc_u64(root, "last", last);
	return root;
}

static void end_note(struct check *c, struct document *d)
{
	buf_adds(&c->found, c->found.len > 0 ? "," : "");
	document_end(d, &c->found);
}

static int print_result(struct check *c, const char *dir, uint64_t first, uint64_t head, uint64_t checked)
{
	if (c->json) {
		struct document d;
		begin_note(&d, dir, first, head, checked);
		end_note(c, &d);
		return CLI_DONE;
	}
	printf("%s: %" PRIu64 " event%s", dir, checked, checked == 1 ? "" : "s");
	if (checked > 0)
		printf(", seq %" PRIu64 " to %" PRIu64, first, head);
	puts(": fine");
	return CLI_DONE;
}

static enum err read_store(const char *dir, struct progress *progress, uint64_t *first, uint64_t *head,
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

static int verify_store(struct check *c, const char *dir)
{
	struct progress progress;
	struct fault fault;
	uint64_t first = 0;
	uint64_t head = 0;
	struct history_verified found = {0};
	enum err err = ERR_BUSY;
	progress_init(&progress, "verify", "events");
	/* A busy server may write between the two reads that a check needs. */
	for (int tries = 0; err == ERR_BUSY && tries < TRIES_MAX; tries++)
		err = read_store(dir, &progress, &first, &head, &found, &fault);
	progress_clear(&progress);
	if (!err && found.skipped[0] != '\0')
		cli_report("%s: the structure of the tables %s was not checked, because a server writes too much or another "
			   "program reads for too long: verify a backup to check all of it",
			   dir, found.skipped);
	return err ? fail(c, "%s: %s", dir, fault.text) : print_result(c, dir, first, head, found.events);
}

static void on_file_progress(void *arg, uint64_t done, uint64_t all)
{
	progress_set(arg, done, done, all);
}

static int verify_file(struct check *c, const char *path)
{
	struct progress progress;
	struct fault fault;
	struct manifest expected;
	struct manifest found;
	enum err err = archive_manifest_find(path, &expected, &fault);
	bool has = err == ERR_NONE;
	if (err && err != ERR_NOT_FOUND)
		return fail(c, "%s", fault.text);
	progress_init(&progress, "verify", "bytes");
	struct archive_check s = {
		.expected = has ? &expected : NULL, .selection = true, .progress = on_file_progress, .arg = &progress};
	err = archive_check(path, &s, &found, &fault);
	progress_clear(&progress);
	if (err)
		return fail(c, "%s", fault.text);
	if (has && expected.count == expected.last - expected.first + 1)
		c->files[c->file_count++] = expected;
	if (c->json) {
		struct document d;
		doc_bool(begin_note(&d, path, found.first, found.last, found.count), "manifest", has);
		end_note(c, &d);
		return CLI_DONE;
	}
	printf("%s: %" PRIu64 " event%s, seq %" PRIu64 " to %" PRIu64 ": fine%s\n", path, found.count,
	       found.count == 1 ? "" : "s", found.first, found.last, has ? "" : ", but there is no manifest");
	return CLI_DONE;
}

static int repair(struct check *c, const char *dir, const struct option_texts *archives)
{
	struct repair_figures f;
	struct fault fault;
	enum err err = repair_log(dir, archives->items, archives->count, &f, &fault);
	if (err)
		return fail(c, "%s: %s; nothing was changed", dir, fault.text);
	cli_report("%s: %" PRIu64 " of %" PRIu64 " events restored", dir, f.repaired, f.looked_at);
	if (f.dropped > 0)
		cli_report("%s: %" PRIu64 " rows deleted that were not events", dir, f.dropped);
	return CLI_DONE;
}

static int by_first(const void *a, const void *b)
{
	const struct manifest *x = a;
	const struct manifest *y = b;
	return x->first < y->first ? -1 : x->first > y->first;
}

/* The nearest earlier archive of the same history; NULL: none. */
static const struct manifest *find_before(const struct check *c, int at)
{
	for (int i = at - 1; i >= 0; i--)
		for (uint32_t n = 0; n < c->files[at].line_count; n++)
			if (strcmp(c->files[i].epoch, c->files[at].lines[n].epoch) == 0)
				return &c->files[i];
	return NULL;
}

/* Archives that are verified together must have no gap between them, and each must follow the one before. */
static int verify_order(struct check *c)
{
	qsort(c->files, (size_t)c->file_count, sizeof *c->files, by_first);
	for (int i = 1; i < c->file_count; i++) {
		const struct manifest *before = find_before(c, i);
		const struct manifest *m = &c->files[i];
		bool chained = strspn(m->previous, "0") != SHA256_TEXT_LEN;
		if (before == NULL)
			continue;
		if (m->first > before->last + 1)
			return fail(c, "events %" PRIu64 " to %" PRIu64 " are missing: they are between %s and %s",
				    before->last + 1, m->first - 1, before->file, m->file);
		if (m->first == before->last + 1 && chained && strcmp(m->previous, before->chain) != 0)
			return fail(c, "%s does not follow %s: the chain is broken", m->file, before->file);
	}
	return CLI_DONE;
}

static int verify_one(struct check *c, const char *operand)
{
	struct stat about;
	if (cli_is_url(operand))
		return fail(c, "%s: verify reads files: run it on the machine with the server's data directory", operand);
	if (stat(operand, &about) == 0 && !S_ISDIR(about.st_mode))
		return verify_file(c, operand);
	return verify_store(c, operand);
}

static int verify_all(struct check *c, char *const *operands, int count)
{
	int status = CLI_DONE;
	c->files = calloc((size_t)count, sizeof *c->files);
	if (c->files == NULL)
		return fail(c, "out of memory");
	for (int i = 0; i < count; i++)
		if (verify_one(c, operands[i]) != CLI_DONE)
			status = CLI_FAILED;
	return status == CLI_DONE ? verify_order(c) : status;
}

static void print_json(struct check *c)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_bool(root, "ok", c->fault.code == ERR_NONE);
	if (c->fault.code) {
		cli_text(root, "fault", c->fault.text);
	} else {
		struct buf list;
		buf_init(&list);
		buf_addc(&list, '[');
		buf_join(&list, &c->found, 0, 0);
		buf_addc(&list, ']');
		doc_raw_take(root, "checked", &list);
	}
	cli_print_document(&d);
}

int verify_main(int argc, char **argv)
{
	const char *config = NULL;
	struct option_texts archives = {0};
	struct check c = {0};
	const struct option options[] = {{"repair-from", OPTION_TEXTS, &archives, "ARCHIVE",
					  "archive from which damaged events of the directory are restored, repeatable", 0,
					  0, 0},
					 CLI_OPTION_JSON(&c.json),
					 CLI_OPTION_CONFIG(&config),
					 {0}};
	int operands;
	int status = options_parse(options, &help, argc, argv, &operands);
	if (status != CLI_GO_ON)
		return status;
	if (operands == 0)
		return cli_wrong_usage("verify", "verify needs a data directory or archives");
	if (archives.count > 0 && operands != 1)
		return cli_wrong_usage("verify", "--repair-from needs exactly one data directory");
	buf_init(&c.found);
	status = archives.count > 0 ? repair(&c, argv[0], &archives) : CLI_DONE;
	if (status == CLI_DONE)
		status = verify_all(&c, argv, operands);
	if (c.json)
		print_json(&c);
	buf_finish(&c.found);
	free(c.files);
	return status;
}
