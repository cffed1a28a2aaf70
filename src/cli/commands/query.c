/* Prints history, from a server or from a store. */
#include "cli/commands/query.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/system/progress.h"
#include "cli/cli.h"
#include "cli/client/credential.h"
#include "cli/client/frame.h"
#include "cli/client/http.h"
#include "cli/filter.h"
#include "cli/offline_query.h"
#include "cli/output.h"
#include "store/read/history.h"

enum {
	READER_QUERY_ALLOWED = Q_AFTER | Q_BEFORE | Q_TIME | Q_FILTER | Q_WHERE | Q_MAX_AGE | Q_ORDER | Q_LIMIT,
	PAGE_EVENTS = 1024,
	PAGE_BYTES = 1024 * 1024,
};

static const struct command_help help = {
	.usage = "tidemark query DIR|URL [options]",
	.summary = "Prints history, one envelope per line, from a server or from a data directory, which a\n"
		   "server may be using at the same time. Without options all events are printed, from the\n"
		   "first to the last.\n\n"
		   "A time is RFC 3339 (2026-11-22T18:00:00Z), or a duration ago (-15m). If retention has\n"
		   "removed requested events, a message on standard error tells which.",
	.examples = "  tidemark query ./tidemark-data --stream orders --since -1h\n"
		    "  tidemark query http://127.0.0.1:8080 --order desc --limit 10\n"
		    "  tidemark query ./tidemark-data --type error | jq .data\n"
		    "  tidemark query --where /level=error --where /user/id=17",
};

struct query_command {
	const char *url;
	struct cli_filter filter;
	const char *max_age;
	const char *order;
	const char *limit;
	struct credential credential;
	const char *config;

	const char *source; /* the operand: a directory or URL */
	struct buf params;  /* the query, as parameters of a URL */
	struct output output;
	struct progress progress;
	uint64_t lines;
	struct buf line;  /* the beginning of a line that may be an op */
	bool in_event;    /* inside the line of an event */
	struct fault why; /* error of a server that could not continue; code ERR_NONE: none */
};

static int parse(struct query_command *c, int argc, char **argv)
{
	const struct option options[] = {
		CLI_OPTIONS_FILTER(&c->filter),
		{"max-age", OPTION_TEXT, &c->max_age, "DURATION", "skip events older than this, with a message", 0, 0, 0},
		{"order", OPTION_TEXT, &c->order, "asc|desc", "asc: oldest first, desc: newest first (asc)", 0, 0, 0},
		{"limit", OPTION_TEXT, &c->limit, "N", "maximum number of events, up to 10000 (no limit)", 0, 0, 'n'},
		CLI_OPTION_URL(&c->url),
		CLI_OPTIONS_TOKEN(&c->credential),
		CLI_OPTION_CONFIG(&c->config),
		{0},
	};
	int operands;
	int status = options_parse(options, &help, argc, argv, &operands);
	if (status != CLI_GO_ON)
		return status;
	c->source = cli_source("query", operands, argv, c->url);
	return c->source != NULL ? credential_read(&c->credential, "query") : CLI_USAGE;
}

static int set_params(struct query_command *c)
{
	cli_filter_params(&c->params, &c->filter);
	if (c->max_age != NULL)
		cli_param(&c->params, "max_age", c->max_age);
	if (c->order != NULL)
		cli_param(&c->params, "order", c->order);
	if (c->limit != NULL)
		cli_param(&c->params, "limit", c->limit);
	buf_addc(&c->params, '\0');
	if (buf_failed(&c->params))
		return cli_fail("out of memory");
	c->params.len--;
	return cli_check("query", buf_slice(&c->params), READER_QUERY_ALLOWED);
}

/* --- from a server --- */

/* A line that is an op: a gap, or an error at the end. */
static void read_op(struct query_command *c)
{
	struct frame frame;
	frame_read(c->line.data, c->line.len - 1, &frame);
	if (frame.kind == FRAME_GAP)
		cli_gap(frame.text, frame.requested, frame.first);
	else if (frame.kind == FRAME_ERROR)
		fault_set(&c->why, ERR_IO, "%s", frame.text);
	c->line.len = 0;
}

/* The next bytes of a line; `ends`: the line ends with them. */
static enum err take_line(struct query_command *c, struct slice bytes, bool ends, struct fault *fault)
{
	static const char op[] = "{\"op\":";
	enum { OP_LEN = sizeof op - 1 };
	if (!c->in_event) {
		buf_add(&c->line, bytes.p, bytes.len);
		if (buf_failed(&c->line))
			return fault_nomem(fault);
		size_t n = c->line.len < OP_LEN ? c->line.len : OP_LEN;
		bool is_op = memcmp(c->line.data, op, n) == 0;
		if (is_op && ends)
			read_op(c);
		if (is_op)
			return ERR_NONE;
		bytes = buf_slice(&c->line);
	}
	enum err err = output_add(&c->output, bytes.p, bytes.len, fault);
	c->line.len = 0;
	c->in_event = !ends;
	c->lines += ends;
	return err;
}

static enum err on_body(void *arg, const char *bytes, size_t len, struct fault *fault)
{
	struct query_command *c = arg;
	enum err err = ERR_NONE;
	while (!err && len > 0) {
		const char *newline = memchr(bytes, '\n', len);
		size_t n = newline != NULL ? (size_t)(newline - bytes) + 1 : len;
		err = take_line(c, (struct slice){bytes, n}, newline != NULL, fault);
		bytes += n;
		len -= n;
	}
	progress_set(&c->progress, c->lines, 0, 0);
	return err;
}

static enum err query_server(struct query_command *c, struct fault *fault)
{
	struct http_client *http;
	struct http_reply reply = {0};
	struct buf url;
	buf_init(&url);
	cli_url(&url, c->source, "/v1/events");
	buf_adds(&url, c->params.data);
	buf_addc(&url, '\0');
	enum err err = http_client_open(&http, fault);
	if (!err)
		http_client_authorize(http, c->credential.token);
	if (!err && buf_failed(&url))
		err = fault_nomem(fault);
	struct http_request request = {.url = url.data, .accept = "application/x-ndjson", .sink = on_body, .arg = c};
	if (!err)
		err = http_send(http, &request, &reply, fault);
	if (!err && reply.status / 100 != 2)
		err = http_problem(&reply, fault);
	else if (!err && (c->in_event || c->line.len > 0))
		err = fault_set(fault, ERR_CORRUPT, "the reply was truncated within a line");
	if (c->why.code != ERR_NONE)
		err = fault_set(fault, c->why.code, "%s", c->why.text);
	http_reply_finish(&reply);
	http_client_close(http);
	buf_finish(&url);
	return err;
}

/* --- from a store --- */

static enum err print_page(struct query_command *c, const struct page *page, struct fault *fault)
{
	enum err err = ERR_NONE;
	for (uint32_t i = 0; !err && i < page_count(page); i++) {
		struct slice envelope = page_envelope(page, i);
		err = output_add(&c->output, envelope.p, envelope.len, fault);
		if (!err)
			err = output_add(&c->output, "\n", 1, fault);
	}
	c->lines += page_count(page);
	return err;
}

/* Reports missing events where the range continues; false: none are. */
static bool report_gap(struct store *store, struct history_query *range, uint64_t asked)
{
	struct gap gap;
	bool matters;
	if (!history_range_missing(store, range, asked, &gap, &matters))
		return false;
	if (matters)
		cli_gap(gap_reason_name(gap.reason), gap.requested, gap.first);
	history_range_skip(store, range);
	return true;
}

static enum err print_range(struct query_command *c, struct offline_query *query, struct fault *fault)
{
	struct history_query range = query->range.query;
	uint32_t limit = query->limit;
	uint64_t all = range.before > range.after ? range.before - range.after : 0;
	enum err err = ERR_NONE;
	while (!err && range.after + 1 < range.before && (limit == 0 || c->lines < limit)) {
		struct page *page;
		uint64_t left = limit != 0 ? limit - c->lines : PAGE_EVENTS;
		range.count_max = left < PAGE_EVENTS ? (uint32_t)left : PAGE_EVENTS;
		range.bytes_max = PAGE_BYTES;
		if (report_gap(query->store, &range, query->range.asked))
			continue;
		err = history_page(query->reader, &range, &page, fault);
		if (err == ERR_GONE && report_gap(query->store, &range, query->range.asked)) {
			err = ERR_NONE; /* retention has removed events in the meantime */
			continue;
		}
		if (err)
			break;
		err = print_page(c, page, fault);
		if (range.descending)
			range.before = page_last(page);
		else
			range.after = page_last(page);
		page_unref(page);
		progress_set(&c->progress, c->lines, all - (range.before - range.after), all);
	}
	return err;
}

static enum err query_store(struct query_command *c, struct fault *fault)
{
	struct offline_query query;
	enum err err = offline_query_open(&query, c->source, buf_slice(&c->params), READER_QUERY_ALLOWED, fault);
	if (!err && query.range.has_gap)
		cli_gap(gap_reason_name(query.range.gap.reason), query.range.gap.requested, query.range.gap.first);
	if (!err)
		err = print_range(c, &query, fault);
	if (!err && query.range.ends_with_gap)
		cli_gap(gap_reason_name(query.range.end_gap.reason), query.range.end_gap.requested,
			query.range.end_gap.first);
	offline_query_finish(&query);
	return err;
}

/* Events that were found before a failure are printed. */
static int finish(struct query_command *c, enum err err, struct fault *fault)
{
	struct fault unwritten;
	progress_clear(&c->progress);
	if (!c->output.lost && output_flush(&c->output, &unwritten) != ERR_NONE && !c->output.lost)
		return cli_fail("%s", unwritten.text);
	return err && !c->output.lost ? cli_fail("%s: %s", c->source, fault->text) : CLI_DONE;
}

int query_main(int argc, char **argv)
{
	struct query_command c = {0};
	struct fault fault;
	int status = parse(&c, argc, argv);
	if (status == CLI_GO_ON)
		status = set_params(&c);
	if (status == CLI_GO_ON) {
		output_init(&c.output);
		progress_init(&c.progress, "query", "events");
		/* On a terminal, the printed events show the progress. */
		c.progress.enabled = c.progress.enabled && !isatty(STDOUT_FILENO);
		enum err err = cli_is_url(c.source) ? query_server(&c, &fault) : query_store(&c, &fault);
		status = finish(&c, err, &fault);
	}
	buf_finish(&c.line);
	buf_finish(&c.params);
	output_finish(&c.output);
	return status;
}
