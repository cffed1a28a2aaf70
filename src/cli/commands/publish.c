/* Publishes events from standard input. */
#include "cli/commands/publish.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "base/options.h"
#include "cli/cli.h"
#include "cli/client/credential.h"
#include "cli/client/delivery.h"
#include "cli/input.h"
#include "cli/stop.h"
#include "event/event.h"
#include "json/json.h"

enum {
	BATCH_DEFAULT = 1000,
	BATCH_MAX = 100000,
	BATCH_BYTES_MAX = 4 * 1024 * 1024,
	RETRY_DEFAULT_MS = 60 * 1000,
};

static const struct command_help help = {
	.usage = "tidemark publish [URL] [options]",
	.summary = "Publishes events from standard input: one JSON document per line, or with --lines any\n"
		   "text, each line becoming {\"line\":\"…\"}. Available lines are sent at once; large inputs\n"
		   "are sent in batches.\n\n"
		   "A document is either an envelope, {\"stream\":…,\"type\":…,\"id\":…,\"data\":…}, or any other\n"
		   "object, which is then the data itself. An event without an id gets one, so that\n"
		   "sending it again does not store it twice: while the server is unreachable or busy,\n"
		   "publish waits and retries.\n\n"
		   "The output of `tidemark query` is published without its seq and time. Lines may end in\n"
		   "CRLF, and a byte order mark is ignored.\n\n"
		   "At the first line that is not an event, publish reports its number and ends with exit\n"
		   "status 1; the events before it are stored. With --lines, a line that is too long is\n"
		   "reported and skipped, and the exit status is 1 at the end.",
	.examples = "  echo '{\"stream\":\"demo\",\"data\":{\"n\":1}}' | tidemark publish\n"
		    "  tidemark publish http://127.0.0.1:9000 --stream orders < orders.ndjson\n"
		    "  tidemark query ./old-data --stream orders | tidemark publish\n"
		    "  tail -F /var/log/syslog | tidemark publish --lines --stream syslog",
};

struct publish {
	const char *url;
	const char *stream;
	const char *type;
	bool lines;
	int64_t batch;
	int64_t retry_ms;
	bool json;
	struct credential credential;
	const char *config;

	struct input input;
	uint64_t skipped; /* lines that were too long */
	uint64_t settled; /* every line up to here was sent */
	struct batch_file batch_file;
	struct batch_file_names names;
	struct delivery delivery;
	struct progress progress;
};

static bool is_name(const char *text)
{
	struct slice name = slice_of(text);
	return name.len > 0 && name.len <= EVENT_NAME_MAX && json_plain_text(name);
}

static int parse(struct publish *p, int argc, char **argv)
{
	const struct option options[] = {
		{"stream", OPTION_TEXT, &p->stream, "NAME", "stream of events without one (default)", 0, 0, 's'},
		{"type", OPTION_TEXT, &p->type, "NAME", "type of events without one (event)", 0, 0, 't'},
		{"lines", OPTION_FLAG, &p->lines, NULL, "treat each line as text, not as JSON", 0, 0, 0},
		{"batch", OPTION_INTEGER, &p->batch, "N", "maximum number of events per request (1000)", 1, BATCH_MAX, 0},
		{"retry", OPTION_DURATION, &p->retry_ms, "DURATION",
		 "give up after this long without storing an event (60s)", 0, INT64_MAX / 2, 0},
		{"json", OPTION_FLAG, &p->json, NULL, "print the result as JSON on standard output", 0, 0, 0},
		CLI_OPTION_URL(&p->url),
		CLI_OPTIONS_TOKEN(&p->credential),
		CLI_OPTION_CONFIG(&p->config),
		{0},
	};
	int operands;
	int status = options_parse(options, &help, argc, argv, &operands);
	if (status != CLI_GO_ON)
		return status;
	p->url = cli_server("publish", operands, argv, p->url);
	if (p->url == NULL)
		return CLI_USAGE;
	if ((p->stream != NULL && !is_name(p->stream)) || (p->type != NULL && !is_name(p->type)))
		return cli_wrong_usage("publish",
				       "--stream and --type must be 1 to 255 bytes of UTF-8 without control characters");
	return credential_read(&p->credential, "publish");
}

static bool is_full(const struct publish *p)
{
	return p->batch_file.count >= (size_t)p->batch || p->batch_file.text.len >= BATCH_BYTES_MAX;
}

static enum err send_batch(struct publish *p, struct fault *fault)
{
	enum err err = p->batch_file.count > 0 ? delivery_send(&p->delivery, &p->batch_file, fault) : ERR_NONE;
	if (!err)
		p->settled = p->input.line;
	const struct delivery_figures *f = &p->delivery.figures;
	progress_set(&p->progress, f->count + f->duplicates, p->input.bytes, p->input.all);
	batch_file_clear(&p->batch_file);
	return err;
}

/* A line may end in CRLF, and may begin with a byte order mark: files come from all kinds of programs, and may have been
 * concatenated. */
static void trim_line(char **text, size_t *len)
{
	static const char bom[] = "\xef\xbb\xbf";
	if (*len >= sizeof bom - 1 && memcmp(*text, bom, sizeof bom - 1) == 0) {
		*text += sizeof bom - 1;
		*len -= sizeof bom - 1;
	}
	if (*len > 0 && (*text)[*len - 1] == '\r')
		(*len)--;
}

static enum err pack_line(struct publish *p, char *text, size_t len, struct fault *fault)
{
	trim_line(&text, &len);
	return p->lines ? batch_file_add_text(&p->batch_file, &p->names, text, len, p->input.line, fault)
			: batch_file_add_document(&p->batch_file, &p->names, text, len, p->input.line, fault);
}

/* Moves lines that have been read into the batch. */
static enum err pack(struct publish *p, struct fault *fault)
{
	char *text;
	size_t len;
	enum err err = ERR_NONE;
	while (!err && !is_full(p) && input_line(&p->input, &text, &len))
		err = pack_line(p, text, len, fault);
	return err;
}

/* Sends the events before one that cannot be sent. If that fails as well, it is the earlier error, and the one to report. */
static enum err send_before(struct publish *p, enum err err, struct fault *fault)
{
	struct fault earlier;
	enum err sent = send_batch(p, &earlier);
	if (sent)
		*fault = earlier;
	return sent ? sent : err;
}

static enum err run(struct publish *p, struct fault *fault)
{
	for (;;) {
		enum err err = pack(p, fault);
		if (err)
			return send_before(p, err, fault);
		if (is_full(p)) {
			err = send_batch(p, fault);
			if (err)
				return err;
			continue;
		}
		enum input_state state = input_read(&p->input, p->batch_file.count == 0, fault);
		if (state == INPUT_SOME)
			continue;
		if (state == INPUT_FAILED)
			return send_before(p, fault->code, fault);
		err = send_batch(p, fault);
		if (err || state == INPUT_ENDED || state == INPUT_STOPPED)
			return err;
	}
}

/* A text that is too long for an event does not keep the following lines from being stored. */
static void on_skipped(void *arg, uint64_t line, const char *why)
{
	struct publish *p = arg;
	p->skipped++;
	progress_clear(&p->progress);
	cli_report("line %" PRIu64 " skipped: %s", line, why);
}

static void report(const struct publish *p)
{
	const struct delivery_figures *f = &p->delivery.figures;
	char range[64] = "";
	if (f->first != 0)
		snprintf(range, sizeof range, ", seq %" PRIu64 "–%" PRIu64, f->first, f->last);
	cli_report("%" PRIu64 " event%s stored (%" PRIu64 " duplicate%s)%s", f->count, f->count == 1 ? "" : "s",
		   f->duplicates, f->duplicates == 1 ? "" : "s", range);
	if (p->skipped > 0)
		cli_report("%" PRIu64 " line%s too long, skipped", p->skipped, p->skipped == 1 ? " was" : "s were");
	if (!p->json)
		return;
	struct document d;
	struct doc root = document_begin(&d);
	doc_u64(root, "count", f->count);
	doc_u64(root, "duplicates", f->duplicates);
	if (f->first != 0) {
		doc_u64(root, "first", f->first);
		doc_u64(root, "last", f->last);
		doc_string(root, "epoch", f->epoch);
	}
	if (p->lines)
		doc_u64(root, "skipped", p->skipped);
	cli_print_document(&d);
}

static int print_result(const struct publish *p, enum err err, const struct fault *fault)
{
	if (!err)
		return p->skipped > 0 ? CLI_FAILED : CLI_DONE;
	if (fault->place > 0)
		return cli_fail("line %ld: %s", fault->place, fault->text);
	return cli_fail("giving up before line %" PRIu64 ": %s: %s", p->settled + 1, p->url, fault->text);
}

int publish_main(int argc, char **argv)
{
	struct publish p = {.url = CLI_URL_DEFAULT, .batch = BATCH_DEFAULT, .retry_ms = RETRY_DEFAULT_MS};
	int status = parse(&p, argc, argv);
	if (status != CLI_GO_ON)
		return status;
	stop_install(NULL);
	signal(SIGPIPE, SIG_IGN);
	progress_init(&p.progress, "publish", "events");
	input_init(&p.input);
	batch_file_init(&p.batch_file);
	batch_file_names_init(&p.names, p.stream, p.type);
	struct fault fault;
	enum err err = delivery_init(&p.delivery, p.url, p.credential.token, p.retry_ms, &p.progress, &fault);
	if (p.lines) {
		p.input.skip = p.delivery.skip = on_skipped;
		p.input.skip_arg = p.delivery.skip_arg = &p;
	}
	if (!err)
		err = run(&p, &fault);
	progress_clear(&p.progress);
	report(&p);
	status = print_result(&p, err, &fault);
	delivery_finish(&p.delivery);
	batch_file_finish(&p.batch_file);
	input_finish(&p.input);
	return status;
}
