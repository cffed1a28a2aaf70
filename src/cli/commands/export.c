/* Writes archives, from a server or from a store. */
#include "cli/commands/export.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/system/atomic_file.h"
#include "base/system/path.h"
#include "cli/cli.h"
#include "cli/client/credential.h"
#include "cli/client/export_error.h"
#include "cli/client/http.h"
#include "cli/filter.h"
#include "cli/offline_query.h"
#include "cli/stop.h"
#include "store/archive/archive_check.h"
#include "store/archive/archive_manifest.h"
#include "store/archive/packer.h"
#include "store/archive/truncated_archive.h"
#include "json/json.h"

enum { EXPORT_ALLOWED = Q_AFTER | Q_BEFORE | Q_TIME | Q_FILTER | Q_WHERE | Q_LEVEL };

static const struct command_help help = {
	.usage = "tidemark export DIR|URL -o FILE [options]",
	.summary = "Writes history to an archive: NDJSON in the zstd seekable format, which zstd -dc and\n"
		   "other zstd tools can read; a manifest with the range, the sizes and SHA-256 digests is\n"
		   "written next to it. Without options all events are exported. The file appears when it\n"
		   "is complete, and an existing file is not overwritten.\n\n"
		   "With --stream or --type the archive is a selection, which can be read, but not\n"
		   "imported with `tidemark import`.",
	.examples = "  tidemark export ./tidemark-data -o all.ndjson.zst\n"
		    "  tidemark export http://127.0.0.1:8080 --since -24h -o yesterday.ndjson.zst\n"
		    "  zstd -dc yesterday.ndjson.zst | jq .data",
};

struct export
{
	const char *url;
	struct cli_filter filter;
	const char *out;
	int64_t level;
	int64_t threads; /* 0: not given */
	char level_text[8];
	struct credential credential;
	const char *config;

	const char *source;
	struct buf params;
	struct progress progress;
	struct http_client *http; /* NULL: from a store */
	struct atomic_file file;
	struct manifest manifest;
	uint64_t bytes;
	struct lineage lineage; /* of the server */
};

/* As many threads as processors, up to the limit of an archive writer. */
static int64_t default_threads(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	return processors < 1 ? 1 : processors < PACKER_THREADS_MAX ? processors : PACKER_THREADS_MAX;
}

static int parse(struct export *e, int argc, char **argv)
{
	const struct option options[] = {
		{"out", OPTION_TEXT, &e->out, "FILE", "archive to write, such as all.ndjson.zst", 0, 0, 'o'},
		CLI_OPTIONS_FILTER(&e->filter),
		{"level", OPTION_INTEGER, &e->level, "N", "zstd compression level (2)", PACKER_LEVEL_MIN, PACKER_LEVEL_MAX,
		 0},
		{"threads", OPTION_INTEGER, &e->threads, "N",
		 "number of threads that compress, only with a directory (all processors)", 1, PACKER_THREADS_MAX, 0},
		CLI_OPTION_URL(&e->url),
		CLI_OPTIONS_TOKEN(&e->credential),
		CLI_OPTION_CONFIG(&e->config),
		{0},
	};
	int operands;
	int status = options_parse(options, &help, argc, argv, &operands);
	if (status != CLI_GO_ON)
		return status;
	e->source = cli_source("export", operands, argv, e->url);
	if (e->source == NULL)
		return CLI_USAGE;
	if (e->out == NULL)
		return cli_wrong_usage("export", "export needs -o FILE");
	if (strcmp(e->out, "-") == 0)
		return cli_wrong_usage("export", "-o - is not possible: export writes a file and its manifest");
	if (e->threads != 0 && cli_is_url(e->source))
		return cli_wrong_usage("export", "--threads is allowed with a directory only: a server uses one thread");
	if (e->threads == 0)
		e->threads = default_threads();
	snprintf(e->level_text, sizeof e->level_text, "%d", (int)e->level);
	return credential_read(&e->credential, "export");
}

static int set_params(struct export *e)
{
	cli_filter_params(&e->params, &e->filter);
	if (e->level != 0 && cli_is_url(e->source))
		cli_param(&e->params, "level", e->level_text);
	buf_addc(&e->params, '\0');
	if (buf_failed(&e->params))
		return cli_fail("out of memory");
	e->params.len--;
	return cli_check("export", buf_slice(&e->params), EXPORT_ALLOWED);
}

static bool is_selection(const struct export *e)
{
	return e->filter.streams.count > 0 || e->filter.types.count > 0 || e->filter.wheres.count > 0 ||
	       e->filter.category != NULL;
}

/* --- from a server --- */

static enum err on_body(void *arg, const char *bytes, size_t len, struct fault *fault)
{
	struct export *e = arg;
	e->bytes += len;
	progress_set(&e->progress, e->bytes, 0, 0);
	return atomic_file_write(&e->file, (struct slice){bytes, len}, fault);
}

static enum err get(struct export *e, const char *path, const char *params, http_sink *sink, struct http_reply *reply,
		    struct fault *fault)
{
	struct buf url;
	buf_init(&url);
	cli_url(&url, e->source, path);
	buf_adds(&url, params);
	buf_addc(&url, '\0');
	struct http_request request = {.url = url.data, .stoppable = true, .sink = sink, .arg = e};
	enum err err = buf_failed(&url) ? fault_nomem(fault) : http_send(e->http, &request, reply, fault);
	if (!err && reply->status / 100 != 2)
		err = http_problem(reply, fault);
	buf_finish(&url);
	return err;
}

enum { LINES_MAX = 1024 };

static enum err get_lineage(struct export *e, struct fault *fault)
{
	static struct line lines[LINES_MAX];
	struct http_reply reply = {0};
	struct slice lineage;
	uint32_t count;
	enum err err = get(e, "/v1/stats", "", NULL, &reply, fault);
	if (!err && (reply.json.len == 0 || !json_member(reply.json, "lineage", &lineage) ||
		     !manifest_read_lines(lineage, lines, LINES_MAX, &count) || count == 0))
		err = fault_set(fault, ERR_INVALID, "%s is not a Tidemark server", e->source);
	if (!err && !lineage_copy(&e->lineage, lines, count))
		err = fault_nomem(fault);
	http_reply_finish(&reply);
	return err;
}

/* An aborted transfer does not tell why: asks the server for the next events. */
static enum err ask_why(struct export *e, enum err err, struct fault *fault)
{
	struct buf url;
	uint64_t last = truncated_archive_last(e->file.part);
	if (e->bytes == 0 || last == 0)
		return err;
	buf_init(&url);
	cli_url(&url, e->source, "/v1/events");
	if (e->filter.before != NULL)
		cli_param(&url, "before", e->filter.before);
	cli_filter_add(&url, &e->filter);
	err = export_error_ask(e->http, &url, last, err, fault);
	buf_finish(&url);
	return err;
}

/* Verifies what was received, to the last byte, before the file gets its name. Older servers do not send a manifest in
 * the archive. */
static enum err take_manifest(struct export *e, struct fault *fault)
{
	struct manifest inside;
	enum err err = archive_manifest_find(e->file.part, &inside, fault);
	bool has = err == ERR_NONE;
	struct archive_check s = {.expected = has ? &inside : NULL, .selection = is_selection(e)};
	if (!err || err == ERR_NOT_FOUND)
		err = archive_check(e->file.part, &s, &e->manifest, fault);
	if (!err && !has && e->manifest.count > 0)
		err = get_lineage(e, fault);
	if (!err && !has && e->manifest.count > 0)
		err = manifest_set_lines(&e->manifest, &e->lineage, fault);
	return err;
}

static enum err export_server(struct export *e, struct fault *fault)
{
	struct http_reply reply = {0};
	enum err err = http_client_open(&e->http, fault);
	if (!err) {
		http_client_authorize(e->http, e->credential.token);
		err = get(e, "/v1/export", e->params.data, on_body, &reply, fault);
		if (err == ERR_CLOSED)
			err = ask_why(e, err, fault);
	}
	if (!err)
		err = take_manifest(e, fault);
	http_reply_finish(&reply);
	http_client_close(e->http);
	return err;
}

/* --- from a store --- */

static enum err write_range(struct export *e, struct offline_query *query, struct fault *fault)
{
	struct archive_writer *w;
	struct archive_options options = {e->level != 0 ? (int)e->level : ARCHIVE_LEVEL, (int)e->threads, is_selection(e)};
	struct seal_watch watch = offline_query_watch(&e->progress);
	const struct gap *gap = &query->range.gap;
	if (query->range.has_gap)
		return fault_set(fault, ERR_GONE,
				 "the events after %" PRIu64 " are not stored (%s): the first stored event is %" PRIu64
				 " (--after first starts there)",
				 gap->requested, gap_reason_name(gap->reason), gap->first);
	enum err err = archive_writer_create(options, store_lineage(query->store), NULL,
					     (struct archive_output){atomic_file_write, &e->file}, &w, fault);
	if (!err)
		err = export_events(query->reader, query->range.query, w, &watch, fault);
	if (!err)
		err = archive_writer_end(w, &e->manifest, fault);
	archive_writer_destroy(w);
	return err;
}

static enum err export_store(struct export *e, struct fault *fault)
{
	struct offline_query query;
	enum err err = offline_query_open(&query, e->source, buf_slice(&e->params), EXPORT_ALLOWED, fault);
	if (!err)
		err = write_range(e, &query, fault);
	offline_query_finish(&query);
	return err;
}

/* --- both --- */

/* The archive first: a manifest alone would describe a file that is missing. */
static enum err finish(struct export *e, struct fault *fault)
{
	const char *slash = strrchr(e->out, '/');
	if (e->manifest.count == 0)
		return fault_set(fault, ERR_NOT_FOUND, "there are no events to export");
	snprintf(e->manifest.file, sizeof e->manifest.file, "%s", slash != NULL ? slash + 1 : e->out);
	enum err err = atomic_file_commit(&e->file, fault);
	return err ? err : manifest_save(e->out, &e->manifest, fault);
}

static enum err begin(struct export *e, struct fault *fault)
{
	char manifest[PATH_MAX];
	if (manifest_path(e->out, manifest) && access(manifest, F_OK) == 0)
		return fault_set(fault, ERR_CONFLICT, "%s exists already and is not overwritten", manifest);
	atomic_file_clear(e->out);
	return atomic_file_create(&e->file, e->out, ATOMIC_FILE_NEW, fault);
}

int export_main(int argc, char **argv)
{
	struct export e = {.file.fd = -1};
	struct fault fault;
	int status = parse(&e, argc, argv);
	if (status == CLI_GO_ON)
		status = set_params(&e);
	if (status == CLI_GO_ON) {
		bool url = cli_is_url(e.source);
		char raw[32];
		char packed[32];
		stop_install(NULL);
		progress_init(&e.progress, "export", url ? "bytes" : "events");
		enum err err = begin(&e, &fault);
		if (!err)
			err = url ? export_server(&e, &fault) : export_store(&e, &fault);
		if (!err)
			err = finish(&e, &fault);
		atomic_file_abandon(&e.file);
		progress_clear(&e.progress);
		status = err ? cli_fail("%s", fault.text) : CLI_DONE;
		cli_bytes(raw, sizeof raw, e.manifest.raw_bytes);
		cli_bytes(packed, sizeof packed, e.manifest.bytes);
		if (!err)
			cli_report("%s: %" PRIu64 " events, seq %" PRIu64 " to %" PRIu64 ", %s compressed to %s", e.out,
				   e.manifest.count, e.manifest.first, e.manifest.last, raw, packed);
	}
	buf_finish(&e.params);
	lineage_finish(&e.lineage);
	return status;
}
