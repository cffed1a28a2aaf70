/* History, from a server or straight from a store. */
#include "cli/query.h"

#include <stdio.h>
#include <unistd.h>

#include "base/progress.h"
#include "cli/cli.h"
#include "cli/credential.h"
#include "cli/filter.h"
#include "cli/http.h"
#include "cli/look.h"
#include "cli/output.h"
#include "event/json.h"
#include "tidemark/history.h"

enum {
	QUERY_ALLOWED = Q_AFTER | Q_BEFORE | Q_TIME | Q_FILTER | Q_ORDER | Q_LIMIT,
	PAGE_EVENTS = 1024,
	PAGE_BYTES = 1024 * 1024,
};

static const struct command_help help = {
	.usage = "tidemark query DIR|URL [options]",
	.summary = "Prints history, one envelope a line: from a server, or straight from a data\n"
		   "directory, which a server may be using at the same time. Without options it is\n"
		   "everything, from the first event to the last.\n\n"
		   "A time is RFC 3339 (2026-11-22T18:00:00Z), or a duration ago (-15m). When\n"
		   "retention has removed what was asked for, standard error says so.",
	.examples = "  tidemark query ./tidemark-data --stream orders --since -1h\n"
		    "  tidemark query http://127.0.0.1:8080 --order desc --limit 10\n"
		    "  tidemark query ./tidemark-data --type error | jq .data",
};

struct query_command {
	const char *url;
	struct cli_filter filter;
	const char *order;
	const char *limit;
	struct credential credential;
	const char *config;

	const char *where; /* the operand */
	struct buf params; /* what was asked for, as parameters of a URL */
	struct output output;
	struct progress progress;
	uint64_t lines;
	bool begun;       /* something of the reply has been looked at */
	struct buf first; /* line of a reply */
};

static int parse(struct query_command *c, int argc, char **argv)
{
	const struct option options[] = {
		CLI_OPTIONS_FILTER(&c->filter),
		{"order", OPTION_TEXT, &c->order, "asc|desc", "oldest or newest first (asc)", 0, 0, 0},
		{"limit", OPTION_TEXT, &c->limit, "N", "at most so many events, up to 10000 (no limit)", 0, 0, 'n'},
		CLI_OPTION_URL(&c->url),
		CLI_OPTIONS_TOKEN(&c->credential),
		CLI_OPTION_CONFIG(&c->config),
		{0},
	};
	int operands;
	int status = options_parse(options, &help, argc, argv, &operands);
	if (status != CLI_GO_ON)
		return status;
	c->where = cli_place("query", operands, argv, c->url);
	return c->where != NULL ? credential_read(&c->credential, "query") : CLI_USAGE;
}

static int set_params(struct query_command *c)
{
	cli_filter_params(&c->params, &c->filter);
	if (c->order != NULL)
		cli_param(&c->params, "order", c->order);
	if (c->limit != NULL)
		cli_param(&c->params, "limit", c->limit);
	buf_addc(&c->params, '\0');
	if (buf_failed(&c->params))
		return cli_fail("out of memory");
	c->params.len--;
	return cli_check("query", buf_slice(&c->params), QUERY_ALLOWED);
}

/* --- from a server --- */

/* A first line that is no event is a gap: what was asked for is not there. */
static void read_gap(struct slice line)
{
	struct slice requested;
	struct slice first;
	struct slice reason;
	uint64_t from = 0;
	uint64_t to = 0;
	if (json_member(line, "requested", &requested))
		json_sequence(requested, &from);
	if (json_member(line, "first", &first))
		json_sequence(first, &to);
	bool said = json_member(line, "reason", &reason) && json_kind(reason) == JSON_STRING && reason.len < 40;
	char text[40];
	snprintf(text, sizeof text, "%.*s", said ? (int)reason.len - 2 : 0, said ? reason.p + 1 : "");
	cli_gap(text, from, to);
}

static enum err print(struct query_command *c, const char *bytes, size_t len, struct fault *fault)
{
	for (const char *p = bytes; (p = memchr(p, '\n', (size_t)(bytes + len - p))) != NULL; p++)
		c->lines++;
	progress_set(&c->progress, c->lines, 0, 0);
	return output_add(&c->output, bytes, len, fault);
}

/* The first line is held back until it is clear what it is. */
static enum err on_first(struct query_command *c, const char *bytes, size_t len, struct fault *fault)
{
	static const char gap[] = "{\"op\":\"gap\"";
	buf_add(&c->first, bytes, len);
	if (buf_failed(&c->first))
		return fault_set(fault, ERR_NOMEM, "out of memory");
	size_t n = c->first.len < sizeof gap - 1 ? c->first.len : sizeof gap - 1;
	bool is_gap = memcmp(c->first.data, gap, n) == 0;
	const char *newline = memchr(c->first.data, '\n', c->first.len);
	if (is_gap && newline == NULL)
		return ERR_NONE; /* wait for the rest */
	size_t line = is_gap ? (size_t)(newline - c->first.data) + 1 : 0;
	struct slice text = {c->first.data, 0};
	struct json_error error;
	if (is_gap && json_minify(c->first.data, line - 1, c->first.data, &text.len, &error))
		read_gap(text);
	c->begun = true;
	return print(c, c->first.data + line, c->first.len - line, fault);
}

static enum err on_body(void *arg, const char *bytes, size_t len, struct fault *fault)
{
	struct query_command *c = arg;
	return c->begun ? print(c, bytes, len, fault) : on_first(c, bytes, len, fault);
}

static enum err query_server(struct query_command *c, struct fault *fault)
{
	struct http_client *http;
	struct http_reply reply = {0};
	struct buf url;
	buf_init(&url);
	cli_url(&url, c->where, "/v1/events");
	buf_adds(&url, c->params.data);
	buf_addc(&url, '\0');
	enum err err = http_client_open(&http, fault);
	if (!err)
		http_client_authorize(http, c->credential.token);
	if (!err && buf_failed(&url))
		err = fault_set(fault, ERR_NOMEM, "out of memory");
	struct http_request request = {.url = url.data, .accept = "application/x-ndjson", .sink = on_body, .arg = c};
	if (!err)
		err = http_send(http, &request, &reply, fault);
	if (!err && reply.status / 100 != 2)
		err = http_problem(&reply, fault);
	else if (!err && !c->begun && c->first.len > 0)
		err = fault_set(fault, ERR_CORRUPT, "the reply breaks off in its first line");
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

static enum err print_range(struct query_command *c, struct reader *r, struct history_query range, uint32_t limit,
			    struct fault *fault)
{
	uint64_t all = range.before > range.after ? range.before - range.after : 0;
	enum err err = ERR_NONE;
	while (!err && range.after + 1 < range.before && (limit == 0 || c->lines < limit)) {
		struct page *page;
		uint64_t left = limit != 0 ? limit - c->lines : PAGE_EVENTS;
		range.count_max = left < PAGE_EVENTS ? (uint32_t)left : PAGE_EVENTS;
		range.bytes_max = PAGE_BYTES;
		uint64_t next = history_next(r, range.after);
		if (!range.descending && next > range.after + 1) {
			cli_gap("retention", range.after, next);
			range.after = next - 1;
		}
		err = history_page(r, &range, &page, fault);
		if (err == ERR_GONE && history_next(r, range.after) > range.after + 1) {
			err = ERR_NONE; /* retention was faster: a gap */
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
	struct look look;
	enum err err = look_open(&look, c->where, buf_slice(&c->params), QUERY_ALLOWED, fault);
	if (!err && look.range.has_gap)
		cli_gap(gap_reason_name(look.range.gap.reason), look.range.gap.requested, look.range.gap.first);
	if (!err)
		err = print_range(c, look.reader, look.range.query, look.limit, fault);
	look_finish(&look);
	return err;
}

/* What was found before a failure is printed all the same. */
static int finish(struct query_command *c, enum err err, struct fault *fault)
{
	struct fault unwritten;
	progress_clear(&c->progress);
	if (!c->output.gone && output_flush(&c->output, &unwritten) != ERR_NONE && !c->output.gone)
		return cli_fail("%s", unwritten.text);
	return err && !c->output.gone ? cli_fail("%s: %s", c->where, fault->text) : CLI_DONE;
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
		/* On a terminal the events are what shows how far it is. */
		c.progress.enabled = c.progress.enabled && !isatty(STDOUT_FILENO);
		enum err err = cli_is_url(c.where) ? query_server(&c, &fault) : query_store(&c, &fault);
		status = finish(&c, err, &fault);
	}
	buf_finish(&c.first);
	buf_finish(&c.params);
	output_finish(&c.output);
	return status;
}
