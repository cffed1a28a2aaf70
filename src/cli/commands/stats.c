/* The figures of a server or of a store, as a document or for people. */
#include "cli/commands/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/client/credential.h"
#include "cli/client/http.h"
#include "store/archive/lineage.h"
#include "store/archives/archive_set.h"
#include "store/read/history.h"
#include "store/transfer/seal.h"
#include "json/json.h"

enum { LABEL_WIDTH = 14, SILENCE_MS = 60000, STREAMS_MAX = 1000 /* streams listed */ };

static const struct command_help help = {
	.usage = "tidemark stats DIR|URL [options]",
	.summary = "Prints the figures of a server, or of a data directory, which a server may be using at\n"
		   "the same time.",
	.examples = "  tidemark stats http://127.0.0.1:8080\n"
		    "  tidemark stats ./tidemark-data --json | jq .head",
};

struct stats {
	const char *url;
	bool json;
	struct credential credential;
	const char *config;
	const char *source;
};

static int parse(struct stats *s, int argc, char **argv)
{
	const struct option options[] = {
		CLI_OPTION_JSON(&s->json),
		CLI_OPTION_URL(&s->url),
		CLI_OPTIONS_TOKEN(&s->credential),
		CLI_OPTION_CONFIG(&s->config),
		{0},
	};
	int operands;
	int status = options_parse(options, &help, argc, argv, &operands);
	if (status != CLI_GO_ON)
		return status;
	s->source = cli_source("stats", operands, argv, s->url);
	return s->source != NULL ? credential_read(&s->credential, "stats") : CLI_USAGE;
}

/* --- sources of the figures: each provides minified JSON --- */

/* In the format of GET /v1/streams. */
static enum err write_streams(struct buf *out, struct store *store, struct fault *fault)
{
	struct stream_figures f;
	char last[EVENT_NAME_MAX];
	struct slice from = {last, 0};
	bool there = false;
	enum err err = ERR_NONE;
	int shown = 0;
	buf_adds(out, "{\"streams\":[");
	while (!(err = store_stream_from(store, from, true, &f, &there, fault)) && there && shown < STREAMS_MAX) {
		struct document d;
		slice_copy(last, f.name);
		from.len = f.name.len;
		if (f.count == 0)
			continue;
		struct doc root = document_begin(&d);
		doc_text(root, "name", f.name);
		doc_u64(root, "first", f.first);
		doc_u64(root, "last", f.last);
		doc_u64(root, "count", f.count);
		doc_u64(root, "bytes", f.bytes);
		buf_adds(out, shown++ > 0 ? "," : "");
		document_end(&d, out);
	}
	buf_adds(out, "]}");
	return err;
}

/* The parts of history in archives and in the log, in the format of GET /v1/stats. */
static enum err put_parts(struct doc to, struct store *s, struct fault *fault)
{
	struct reader *r;
	struct fault missing = {0};
	uint32_t count;
	uint64_t bytes;
	uint64_t used = 0;
	enum err err = reader_open(s, &r, fault);
	if (!err)
		err = history_used(r, &used, fault);
	reader_close(r);
	uint64_t log_first = store_log_first(s);
	store_archive_figures(s, &count, &bytes);
	archive_set_is_incomplete(store_archives(s), &missing);
	struct doc archives = doc_object(to, "archives");
	doc_u64(archives, "count", count);
	doc_u64(archives, "bytes", bytes);
	cli_text(archives, "missing", missing.text);
	struct doc log = doc_object(doc_object(to, "retention"), "log");
	doc_u64(log, "first", log_first);
	doc_u64(log, "events", store_head(s) + 1 - log_first);
	doc_u64(log, "bytes", used);
	return err;
}

static enum err write_figures(struct buf *out, struct store *s, struct fault *fault)
{
	const struct lineage *lineage = store_lineage(s);
	struct document d;
	struct buf lines;
	uint64_t db;
	uint64_t wal;
	uint64_t disk_free = 0;
	uint64_t first = store_first(s);
	uint64_t head = store_head(s);
	store_sizes(s, &db, &wal);
	store_disk_free(s, &disk_free);
	buf_init(&lines);
	lineage_write(&lines, lineage->lines, lineage->count);
	struct doc root = document_begin(&d);
	doc_string(root, "epoch", store_epoch(s));
	doc_raw_take(root, "lineage", &lines);
	doc_u64(root, "first", first);
	doc_u64(root, "head", head);
	doc_u64(root, "events", head + 1 - first);
	struct doc bytes = doc_object(root, "bytes");
	doc_u64(bytes, "db", db);
	doc_u64(bytes, "wal", wal);
	doc_u64(bytes, "disk_free", disk_free);
	doc_u64(root, "streams", store_streams(s));
	enum err err = put_parts(root, s, fault);
	document_end(&d, out);
	return err;
}

static enum err ask_store(const char *dir, struct buf *out, struct buf *streams, struct fault *fault)
{
	struct store *s;
	enum err err = store_open(dir, (struct store_options){.access = STORE_READ}, &s, fault);
	if (err)
		return err;
	err = write_figures(out, s, fault);
	if (!err)
		err = write_streams(streams, s, fault);
	store_close(s);
	if (err)
		return err;
	return buf_failed(out) || buf_failed(streams) ? fault_nomem(fault) : ERR_NONE;
}

static enum err get(struct http_client *http, const char *server, const char *path, struct buf *out, struct fault *fault)
{
	struct http_reply reply = {0};
	struct buf url;
	buf_init(&url);
	cli_url(&url, server, path);
	buf_addc(&url, '\0');
	if (buf_failed(&url))
		return fault_nomem(fault);
	struct http_request request = {.url = url.data, .accept = "application/json", .silence_ms = SILENCE_MS};
	enum err err = http_send(http, &request, &reply, fault);
	if (!err && reply.status / 100 != 2)
		err = http_problem(&reply, fault);
	else if (!err && (reply.json.len == 0 || json_kind(reply.json) != JSON_OBJECT))
		err = fault_set(fault, ERR_CORRUPT, "the answer is not JSON: is this a Tidemark server?");
	if (!err)
		buf_add(out, reply.json.p, reply.json.len);
	if (!err && buf_failed(out))
		err = fault_nomem(fault);
	http_reply_finish(&reply);
	buf_finish(&url);
	return err;
}

/* The streams are a separate document of the server, which is needed for people only. */
static enum err ask_server(const struct stats *s, struct buf *figures, struct buf *streams, struct fault *fault)
{
	struct http_client *http;
	enum err err = http_client_open(&http, fault);
	if (!err)
		http_client_authorize(http, s->credential.token);
	if (!err)
		err = get(http, s->source, "/v1/stats", figures, fault);
	if (!err && !s->json)
		err = get(http, s->source, "/v1/streams", streams, fault);
	http_client_close(http);
	return err;
}

/* --- for people --- */

static bool ends_in(struct slice text, const char *ending)
{
	size_t n = strlen(ending);
	return text.len >= n && memcmp(text.p + text.len - n, ending, n) == 0;
}

static void print_duration(uint64_t ms)
{
	uint64_t s = ms / 1000;
	if (s >= 24 * 3600)
		printf("%" PRIu64 " d %" PRIu64 " h", (s / 86400), (s / 3600 % 24));
	else if (s >= 3600)
		printf("%" PRIu64 " h %" PRIu64 " min", (s / 3600), (s / 60 % 60));
	else
		printf("%" PRIu64 " min %" PRIu64 " s", (s / 60), (s % 60));
}

static void print_words(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		putchar(name.p[i] == '_' ? ' ' : name.p[i]);
}

/* The name tells the unit: names of bytes and durations end in it, and the members of `bytes` are bytes. */
static void print_value(struct slice group, struct slice name, struct slice value)
{
	uint64_t number;
	bool whole = json_sequence(value, &number);
	if (whole && (slice_is(group, "bytes") || ends_in(name, "bytes") || ends_in(name, "bytes_max"))) {
		char amount[32];
		cli_bytes(amount, sizeof amount, number);
		fputs(amount, stdout);
	} else if (whole && slice_is(name, "uptime_ms")) {
		print_duration(number);
	} else if (json_kind(value) == JSON_STRING) {
		printf("%.*s", (int)value.len - 2, value.p + 1);
	} else {
		printf("%.*s", (int)value.len, value.p);
	}
}

/* Prints the members of an object on one line; the members of an inner object follow its name. */
static void print_members(struct slice group, struct slice object, const char **comma)
{
	for (struct json_walk w = json_walk(object); json_next(&w);) {
		bool nested = json_kind(w.value) == JSON_OBJECT;
		bool empty = json_kind(w.value) == JSON_STRING && w.value.len == 2;
		if (empty)
			continue;
		fputs(*comma, stdout);
		*comma = ", ";
		print_words(w.key);
		putchar(' ');
		if (nested) {
			const char *inner = "";
			putchar('(');
			print_members(w.key, w.value, &inner);
			putchar(')');
		} else {
			print_value(group, w.key, w.value);
		}
	}
}

static void print_figures(struct slice figures)
{
	for (struct json_walk w = json_walk(figures); json_next(&w);) {
		if (json_kind(w.value) == JSON_ARRAY)
			continue;
		bool uptime = slice_is(w.key, "uptime_ms");
		struct slice label = uptime ? slice_of("up for") : w.key;
		print_words(label);
		printf("%*s", label.len < LABEL_WIDTH ? (int)(LABEL_WIDTH - label.len) : 1, "");
		const char *comma = "";
		if (json_kind(w.value) == JSON_OBJECT)
			print_members(w.key, w.value, &comma);
		else
			print_value(w.key, w.key, w.value);
		putchar('\n');
	}
}

static uint64_t number_of(struct slice object, const char *member)
{
	struct slice value;
	uint64_t number = 0;
	if (json_member(object, member, &value))
		json_sequence(value, &number);
	return number;
}

/* Names come last, because they may be long. They contain no control characters. */
static void print_stream(struct slice stream)
{
	struct slice name;
	char text[1024];
	char size[32];
	size_t len = 0;
	if (!json_member(stream, "name", &name) || json_kind(name) != JSON_STRING || name.len > sizeof text ||
	    !json_string(name, text, &len) || !json_plain_text((struct slice){text, len}))
		return;
	cli_bytes(size, sizeof size, number_of(stream, "bytes"));
	printf("%12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12s  %.*s\n", number_of(stream, "count"),
	       number_of(stream, "first"), number_of(stream, "last"), size, (int)len, text);
}

/* The first streams by name. */
static void print_streams(struct slice document, uint64_t all)
{
	struct slice streams;
	uint64_t shown = 0;
	if (!json_member(document, "streams", &streams) || json_kind(streams) != JSON_ARRAY || streams.len == 2)
		return;
	printf("\n%12s %12s %12s %12s  %s\n", "EVENTS", "FIRST", "LAST", "DATA", "STREAM");
	for (struct json_walk w = json_walk(streams); json_next(&w);)
		if (json_kind(w.value) == JSON_OBJECT) {
			print_stream(w.value);
			shown++;
		}
	if (all > shown)
		printf("and %" PRIu64 " more streams\n", (all - shown));
}

int stats_main(int argc, char **argv)
{
	struct stats s = {0};
	int status = parse(&s, argc, argv);
	if (status != CLI_GO_ON)
		return status;
	struct buf figures;
	struct buf streams;
	struct fault fault;
	buf_init(&figures);
	buf_init(&streams);
	bool remote = cli_is_url(s.source);
	enum err err = remote ? ask_server(&s, &figures, &streams, &fault) : ask_store(s.source, &figures, &streams, &fault);
	if (err) {
		status = cli_fail_as(s.json, "%s: %s", s.source, fault.text);
	} else if (s.json) {
		printf("%.*s\n", (int)figures.len, figures.data);
		status = CLI_DONE;
	} else {
		print_figures(buf_slice(&figures));
		print_streams(buf_slice(&streams), number_of(buf_slice(&figures), "streams"));
		status = CLI_DONE;
	}
	buf_finish(&figures);
	buf_finish(&streams);
	return status;
}
