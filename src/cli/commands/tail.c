/* Follows the log over a WebSocket, through whatever happens to the connection.
 *
 *     position   what the server has sent is in `output` up to here: a new connection continues from here
 *     flushed    it is on standard output up to here: what a session may acknowledge
 *     acked      it is acknowledged up to here
 *
 * acked <= flushed <= position, and each only grows, unless the server says that the store is another one. */
#include "cli/commands/tail.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/system/random.h"
#include "cli/cli.h"
#include "cli/client/credential.h"
#include "cli/client/frame.h"
#include "cli/client/http.h"
#include "cli/client/ws_client.h"
#include "cli/filter.h"
#include "cli/output.h"
#include "cli/stop.h"
#include "server/stream/reader_query.h"

enum {
	BACKOFF_FIRST_MS = 100,
	BACKOFF_CAP_MS = 10000,
	ACK_EVERY_MS = 200,
	CHECK_MS = 1000, /* how often to check whether the output still has a reader */
	CLOSE_MS = 5000,
	EXPLAIN_SILENCE_MS = 10000,
	EPOCH_LEN = 64,
	CLOSE_DELETED = 4404,
	CLOSE_TAKEN_OVER = 4409,
};

static const struct command_help help = {
	.usage = "tidemark tail [URL] [options]",
	.summary = "Follows the log: prints one envelope per line, first the stored events after a\n"
		   "position, then new ones as they are committed. When the connection is lost, tail\n"
		   "reconnects, with increasing delays, and continues where it was: no event is lost or\n"
		   "printed twice.\n\n"
		   "With --session the server stores under that name which events have been printed, and\n"
		   "the next tail with the same name continues after them. Only one connection can have a\n"
		   "session: a second one takes it over, and the first one ends. --after overrides the\n"
		   "stored position; --start is used only if the session is new.",
	.examples = "  tidemark tail\n"
		    "  tidemark tail --after first --stream orders --type created\n"
		    "  tidemark tail --stream 'logs-*' --since -15m\n"
		    "  tidemark tail --session billing --start first | ./billing\n"
		    "  tidemark tail --after first --until-live > everything.ndjson",
};

struct tail {
	const char *url;
	struct cli_filter filter; /* without an end */
	const char *session;
	const char *start;
	const char *max_age;
	bool until_live;
	int64_t count; /* 0: no limit */
	struct credential credential;
	const char *config;

	struct ws_client *client;
	struct http_client *http;
	struct output output;
	uint64_t position;
	uint64_t flushed;
	uint64_t acked;
	int64_t acked_ms;
	int64_t printed;       /* number of events */
	char epoch[EPOCH_LEN]; /* of the store; empty before the first hello */
	bool hello_received;   /* this connection has received its hello */
	bool moved;            /* and an event or checkpoint after it */
	unsigned attempt;
	int64_t connect_ms; /* when to connect, if there is no connection */
	struct buf target;  /* the URL of the connection, with a NUL */
	bool broken;        /* the output has failed */
	bool ending;
	int status;
};

static int parse(struct tail *t, int argc, char **argv)
{
	const struct option options[] = {
		{"after", OPTION_TEXT, &t->filter.after, "SEQ", "start after this seq; also first or head (head)", 0, 0, 0},
		{"since", OPTION_TEXT, &t->filter.since, "TIME",
		 "start with events of this time or later: RFC 3339, or a duration ago such as -15m", 0, 0, 0},
		{"session", OPTION_TEXT, &t->session, "NAME",
		 "continue after the last event printed in this session, and store the new position", 0, 0, 0},
		{"start", OPTION_TEXT, &t->start, "SEQ", "start of a new session: after this seq; also first or head (head)",
		 0, 0, 0},
		{"stream", OPTION_TEXTS, &t->filter.streams, "NAME",
		 "only events of this stream, or with NAME* of streams that begin so, repeatable: any may match", 0, 0, 's'},
		{"type", OPTION_TEXTS, &t->filter.types, "NAME",
		 "only events of this type, or with NAME* of types that begin so, repeatable: any may match", 0, 0, 't'},
		CLI_OPTION_WHERE(&t->filter.wheres),
		CLI_OPTION_CATEGORY(&t->filter.category),
		{"max-age", OPTION_TEXT, &t->max_age, "DURATION",
		 "skip events that are older than this when they would be printed, with a message", 0, 0, 0},
		{"until-live", OPTION_FLAG, &t->until_live, NULL, "end when all stored events have been printed", 0, 0, 0},
		{"count", OPTION_INTEGER, &t->count, "N", "end after this many events", 1, INT64_MAX, 'n'},
		CLI_OPTION_URL(&t->url),
		CLI_OPTIONS_TOKEN(&t->credential),
		CLI_OPTION_CONFIG(&t->config),
		{0},
	};
	int operands;
	int status = options_parse(options, &help, argc, argv, &operands);
	if (status != CLI_GO_ON)
		return status;
	t->url = cli_server("tail", operands, argv, t->url);
	return t->url != NULL ? credential_read(&t->credential, "tail") : CLI_USAGE;
}

/* The URL to connect to: at first from the options, later from the current position. */
static void set_target(struct tail *t)
{
	char after[24];
	struct buf *b = &t->target;
	b->len = 0;
	cli_url(b, t->url, "/v1/ws");
	snprintf(after, sizeof after, "%" PRIu64, t->position);
	if (t->epoch[0] != '\0') {
		cli_param(b, "after", after);
		cli_param(b, "epoch", t->epoch);
	} else {
		if (t->filter.after != NULL)
			cli_param(b, "after", t->filter.after);
		if (t->filter.since != NULL)
			cli_param(b, "since", t->filter.since);
		if (t->start != NULL)
			cli_param(b, "start", t->start);
	}
	if (t->session != NULL)
		cli_param(b, "session", t->session);
	cli_filter_add(b, &t->filter);
	if (t->max_age != NULL)
		cli_param(b, "max_age", t->max_age);
}

/* Ends normally. */
static void end(struct tail *t)
{
	t->ending = true;
}

/* A failure determines the exit status even if the end was reached already. */
static void fail(struct tail *t, const char *why)
{
	cli_report("%s", why);
	t->ending = true;
	t->status = CLI_FAILED;
}

/* --- messages of the server --- */

/* The position from which the server starts is adopted, whatever was requested: the gap that follows tells why. */
static void on_hello(struct tail *t, const struct frame *f)
{
	bool again = t->epoch[0] != '\0';
	snprintf(t->epoch, sizeof t->epoch, "%.*s", EPOCH_LEN - 1, f->text);
	t->position = f->after;
	t->flushed = f->after; /* nothing is left to be written at the end of an iteration */
	/* An acknowledgement may have been lost with the last connection, so it is sent again. */
	t->acked = t->printed > 0 ? 0 : f->after;
	t->hello_received = true;
	t->moved = false;
	if (again)
		cli_report("connected again, continuing after %" PRIu64, t->position);
}

/* Every matching event up to `seq` has been sent. */
static void on_checkpoint(struct tail *t, uint64_t seq)
{
	t->position = seq > t->position ? seq : t->position;
	t->moved = true;
}

static void on_live(struct tail *t, uint64_t seq)
{
	on_checkpoint(t, seq);
	if (t->until_live)
		end(t);
}

/* The session was moved: events after that position are printed, perhaps again. */
static void on_moved(struct tail *t, uint64_t after)
{
	t->position = t->flushed = t->acked = after;
	cli_report("the session was moved, continuing after %" PRIu64, after);
}

/* Handles a failure of the output once. */
static void on_output(struct tail *t, enum err err, const struct fault *fault)
{
	if (t->broken)
		return;
	t->broken = err != ERR_NONE;
	if (err == ERR_CLOSED)
		end(t);
	else if (err)
		fail(t, fault->text);
}

static void on_event(struct tail *t, uint64_t seq, const char *text, size_t len)
{
	struct fault fault;
	if (seq <= t->position)
		return;
	enum err err = output_add(&t->output, text, len, &fault);
	if (!err)
		err = output_add(&t->output, "\n", 1, &fault);
	on_output(t, err, &fault);
	if (err)
		return;
	t->position = seq;
	t->moved = true;
	t->printed++;
	if (t->count != 0 && t->printed == t->count)
		end(t);
}

static void on_text(void *arg, char *text, size_t len)
{
	struct tail *t = arg;
	struct frame f;
	if (t->ending)
		return;
	frame_read(text, len, &f);
	switch (f.kind) {
	case FRAME_EVENT: on_event(t, f.seq, text, len); break;
	case FRAME_HELLO: on_hello(t, &f); break;
	case FRAME_GAP: cli_gap(f.text, f.requested, f.first); break;
	case FRAME_LIVE: on_live(t, f.seq); break;
	case FRAME_CHECKPOINT: on_checkpoint(t, f.seq); break;
	case FRAME_MOVED: on_moved(t, f.after); break;
	case FRAME_ERROR: cli_report("error from the server: %s", f.text); break;
	case FRAME_OTHER: break;
	case FRAME_BROKEN: cli_report("the server sent an invalid message"); break;
	}
}

/* --- the connection --- */

/* Finds out why a handshake failed: libwebsockets does not report the server's answer, so the same request is sent
 * without the upgrade. True: retrying is of no use. */
static bool is_refused(struct tail *t, const char *text, struct fault *fault)
{
	struct http_request request = {.url = t->target.data, .silence_ms = EXPLAIN_SILENCE_MS, .stoppable = true};
	struct http_reply reply;
	bool refused = false;
	enum err err = http_send(t->http, &request, &reply, fault);
	if (err == ERR_CLOSED)
		fault_set(fault, err, "%s", text);
	/* 426: only the upgrade was missing, so the next attempt may succeed. */
	if (!err && reply.status == 426)
		fault_set(fault, ERR_BUSY, "%s", text);
	else if (!err && reply.status / 100 == 2)
		fault_set(fault, ERR_BUSY, "%s: is this a Tidemark server?", text);
	else if (!err)
		refused = http_problem(&reply, fault) != ERR_BUSY && reply.status / 100 == 4 && reply.status != 408;
	http_reply_finish(&reply);
	return refused;
}

static void try_later(struct tail *t, const char *why)
{
	/* After a hello alone the delay still grows: the server may accept and close connections again and again. */
	if (t->moved)
		t->attempt = 0;
	int64_t pause_ms = random_backoff_ms(t->attempt, BACKOFF_FIRST_MS, BACKOFF_CAP_MS);
	pause_ms = pause_ms < BACKOFF_CAP_MS ? pause_ms : BACKOFF_CAP_MS;
	t->attempt++;
	t->connect_ms = clock_mono_ms() + pause_ms;
	t->hello_received = t->moved = false;
	cli_report("%s; reconnecting in %.1f s", why, (double)pause_ms / 1000);
}

static void on_close(void *arg, struct ws_client_end how)
{
	struct tail *t = arg;
	struct fault fault;
	if (t->ending)
		return;
	if (how.code == CLOSE_TAKEN_OVER)
		fail(t, "another connection has taken over the session");
	else if (how.code == CLOSE_DELETED)
		fail(t, "the session was deleted");
	else if (how.opened)
		try_later(t, how.text);
	else if (is_refused(t, how.text, &fault))
		fail(t, fault.text);
	else if (!stop_wanted())
		try_later(t, fault.text);
}

static void connect_now(struct tail *t)
{
	struct fault fault;
	set_target(t);
	buf_addc(&t->target, '\0');
	enum err err = buf_failed(&t->target) ? fault_nomem(&fault) : ERR_NONE;
	if (!err)
		err = ws_client_connect(t->client, t->target.data, t->credential.token, &fault);
	if (err)
		fail(t, fault.text);
	if (err == ERR_INVALID || err == ERR_TOO_LARGE)
		t->status = CLI_USAGE;
}

/* --- main loop --- */

static void flush(struct tail *t)
{
	struct fault fault;
	enum err err = t->broken ? ERR_CLOSED : output_flush(&t->output, &fault);
	on_output(t, err, &fault);
	if (!err)
		t->flushed = t->position;
}

static bool has_to_ack(const struct tail *t)
{
	return t->session != NULL && t->hello_received && t->flushed > t->acked &&
	       ws_client_state(t->client) == WS_CLIENT_OPEN;
}

static void acknowledge(struct tail *t)
{
	char text[64];
	snprintf(text, sizeof text, "{\"op\":\"ack\",\"seq\":%" PRIu64 "}", t->flushed);
	if (ws_client_send(t->client, slice_of(text)) != ERR_NONE)
		return;
	t->acked = t->flushed;
	t->acked_ms = clock_mono_ms();
}

/* Milliseconds until something has to be done. */
static int64_t pause_of(const struct tail *t, int64_t now)
{
	int64_t pause = CHECK_MS;
	if (ws_client_state(t->client) == WS_CLIENT_IDLE && t->connect_ms - now < pause)
		pause = t->connect_ms - now;
	if (has_to_ack(t) && t->acked_ms + ACK_EVERY_MS - now < pause)
		pause = t->acked_ms + ACK_EVERY_MS - now;
	return pause > 0 ? pause : 0;
}

static void follow(struct tail *t)
{
	while (!t->ending) {
		if (!output_has_reader())
			t->broken = true;
		if (stop_wanted() || t->broken) {
			end(t);
			break;
		}
		if (ws_client_state(t->client) == WS_CLIENT_IDLE && clock_mono_ms() >= t->connect_ms)
			connect_now(t);
		ws_client_service(t->client, pause_of(t, clock_mono_ms()));
		flush(t);
		if (has_to_ack(t) && clock_mono_ms() - t->acked_ms >= ACK_EVERY_MS)
			acknowledge(t);
	}
}

/* A clean close makes the last acknowledgement durable. If the output has failed, nothing is acknowledged: printing twice
 * is better than never. */
static void close_session(struct tail *t)
{
	if (has_to_ack(t) && !t->broken)
		acknowledge(t);
	ws_client_close(t->client);
	int64_t until = clock_mono_ms() + CLOSE_MS;
	for (int64_t left = CLOSE_MS; left > 0 && ws_client_state(t->client) == WS_CLIENT_CLOSING;
	     left = until - clock_mono_ms())
		ws_client_service(t->client, left);
}

/* For the signal handler, which has no argument. */
static struct ws_client *interrupted;

static void on_signal(void)
{
	ws_client_wake(interrupted);
}

static enum err start(struct tail *t, struct fault *fault)
{
	enum err err = ws_client_create((struct ws_client_handlers){on_text, on_close, t}, &t->client, fault);
	if (!err)
		err = http_client_open(&t->http, fault);
	if (err)
		return err;
	http_client_authorize(t->http, t->credential.token);
	interrupted = t->client;
	stop_install(on_signal);
	return ERR_NONE;
}

int tail_main(int argc, char **argv)
{
	struct tail t = {.url = CLI_URL_DEFAULT};
	struct fault fault;
	int status = parse(&t, argc, argv);
	if (status != CLI_GO_ON)
		return status;
	set_target(&t);
	status = cli_check("tail", buf_slice(&t.target), Q_AFTER | Q_SINCE | Q_FILTER | Q_WHERE | Q_MAX_AGE | Q_SESSION);
	if (status != CLI_GO_ON) {
		buf_finish(&t.target);
		return status;
	}
	output_init(&t.output);
	if (start(&t, &fault) == ERR_NONE) {
		follow(&t);
		close_session(&t);
	} else {
		fail(&t, fault.text);
	}
	ws_client_destroy(t.client);
	http_client_close(t.http);
	output_finish(&t.output);
	buf_finish(&t.target);
	return t.status;
}
