#include "cli/client/delivery.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "base/system/clock.h"
#include "base/system/random.h"
#include "cli/cli.h"
#include "cli/stop.h"
#include "json/json.h"

enum {
	BACKOFF_FIRST_MS = 100,
	BACKOFF_CAP_MS = 10000,
	SILENCE_MS = 60000,
	POLL_MS = 200, /* a signal between the check and the wait is noticed after this time */
};

enum err delivery_init(struct delivery *d, const char *server, const char *token, int64_t retry_ms,
		       struct progress *progress, struct fault *fault)
{
	*d = (struct delivery){.retry_ms = retry_ms, .progress = progress};
	cli_url(&d->url, server, "/v1/events");
	buf_addc(&d->url, '\0');
	if (buf_failed(&d->url))
		return fault_nomem(fault);
	enum err err = http_client_open(&d->http, fault);
	if (!err)
		http_client_authorize(d->http, token);
	return err;
}

void delivery_finish(struct delivery *d)
{
	http_client_close(d->http);
	buf_finish(&d->url);
}

/* --- one request --- */

/* The receipt of one request. */
struct receipt_read {
	uint64_t first;
	uint64_t last;
	uint64_t count;
	uint64_t duplicates;
	struct slice epoch;
};

static bool read_receipt(struct slice document, struct receipt_read *r)
{
	struct {
		const char *name;
		uint64_t *target;
	} members[] = {{"first", &r->first}, {"last", &r->last}, {"count", &r->count}, {"duplicates", &r->duplicates}};
	struct slice value;
	*r = (struct receipt_read){.epoch = {"", 0}};
	if (document.len == 0 || json_kind(document) != JSON_OBJECT)
		return false;
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (!json_member(document, members[i].name, &value) || !json_sequence(value, members[i].target))
			return false;
	if (json_member(document, "epoch", &value) && json_kind(value) == JSON_STRING)
		r->epoch = (struct slice){value.p + 1, value.len - 2};
	return true;
}

/* `numbered` events have ids made by this process. If the server reports them as duplicates, an earlier attempt was
 * stored and its answer lost, and so the whole request was. */
static void count(struct delivery_figures *f, const struct receipt_read *r, uint64_t numbered)
{
	struct receipt_read now = *r;
	if (r->count == 0 && r->duplicates >= numbered) {
		now.count = numbered;
		now.duplicates = r->duplicates - numbered;
	}
	bool only_originals = f->count == 0;
	if (now.count > 0 && only_originals)
		f->first = f->last = 0; /* from here on the range is that of new events */
	if (now.count > 0 || only_originals) {
		f->first = f->first == 0 || now.first < f->first ? now.first : f->first;
		f->last = now.last > f->last ? now.last : f->last;
	}
	f->count += now.count;
	f->duplicates += now.duplicates;
	snprintf(f->epoch, sizeof f->epoch, "%.*s", (int)r->epoch.len, r->epoch.p);
}

/* Entries of a batch file that are sent in one request. */
struct part {
	struct slice body;
	uint64_t numbered;
};

static enum err send_once(struct delivery *d, const struct part *part, int64_t *retry_after_ms, struct fault *fault)
{
	struct http_request request = {
		.url = d->url.data,
		.content_type = "application/x-ndjson",
		.body = part->body,
		.silence_ms = SILENCE_MS,
	};
	struct http_reply reply;
	struct receipt_read receipt;
	enum err err = http_send(d->http, &request, &reply, fault);
	*retry_after_ms = reply.retry_after_ms;
	if (!err && reply.status / 100 != 2)
		err = http_problem(&reply, fault);
	else if (!err && !read_receipt(reply.json, &receipt))
		err = fault_set(fault, ERR_CORRUPT, "the server's answer is not a receipt: is this a Tidemark server?");
	if (!err)
		count(&d->figures, &receipt, part->numbered);
	http_reply_finish(&reply);
	return err;
}

/* --- retries --- */

static bool is_transient(enum err err)
{
	return err == ERR_IO || err == ERR_CLOSED || err == ERR_BUSY || err == ERR_FULL;
}

static void wait_ms(int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;
	for (int64_t left = ms; left > 0 && !stop_wanted(); left = until - clock_mono_ms())
		poll(NULL, 0, (int)(left < POLL_MS ? left : POLL_MS));
}

/* Reports the error, and waits. False: it is time to give up. */
static bool wait_before_retry(struct delivery *d, unsigned attempt, int64_t since_ms, int64_t retry_after_ms,
			      const struct fault *fault)
{
	int64_t left = since_ms + d->retry_ms - clock_mono_ms();
	if (left <= 0 || stop_wanted())
		return false;
	int64_t pause = random_backoff_ms(attempt, BACKOFF_FIRST_MS, BACKOFF_CAP_MS);
	pause = pause > retry_after_ms ? pause : retry_after_ms;
	pause = pause < left ? pause : left;
	progress_clear(d->progress);
	cli_report("%s; retrying in %.1f s, for at most %" PRId64 " s more", fault->text, (double)pause / 1000,
		   (left + 999) / 1000);
	wait_ms(pause);
	return !stop_wanted();
}

static enum err send_with_retries(struct delivery *d, const struct part *part, struct fault *fault)
{
	int64_t since_ms = clock_mono_ms();
	for (unsigned attempt = 0;; attempt++) {
		int64_t retry_after_ms;
		enum err err = send_once(d, part, &retry_after_ms, fault);
		if (attempt == 0)
			since_ms = clock_mono_ms();
		if (!is_transient(err) || !wait_before_retry(d, attempt, since_ms, retry_after_ms, fault))
			return err;
	}
}

/* The first event of the request is too large: skips it. False: it is refused. */
static bool skip_event(struct delivery *d, const struct batch_file *p, size_t index, const struct fault *fault)
{
	if (d->skip != NULL)
		d->skip(d->skip_arg, p->entries[index].line, fault->text);
	return d->skip != NULL;
}

enum err delivery_send(struct delivery *d, const struct batch_file *p, struct fault *fault)
{
	enum err refused = ERR_NONE; /* of the event at `end` */
	size_t end = p->count;
	size_t step = p->count;
	size_t next = 0; /* size of the next request, if it is smaller than `step` */
	for (size_t sent = 0; sent < end;) {
		struct fault f;
		size_t n = next > 0 ? next : step < end - sent ? step : end - sent;
		struct part part = {batch_file_part(p, sent, n), batch_file_numbered(p, sent, n)};
		enum err err = send_with_retries(d, &part, &f);
		bool placed = f.place >= 1 && (size_t)f.place <= n;
		bool by_content = err == ERR_INVALID || err == ERR_TOO_LARGE || (err == ERR_DENIED && f.place >= 1);
		next = 0;
		if (!err) {
			sent += n;
		} else if (err == ERR_TOO_LARGE && placed && f.place > 1) {
			/* Send the events before it first: the request may have just one event too many. */
			next = (size_t)f.place - 1;
		} else if (err == ERR_TOO_LARGE && (placed || n == 1) && skip_event(d, p, sent, &f)) {
			sent++;
		} else if (by_content && (n == 1 || placed)) {
			end = sent + (placed ? (size_t)f.place - 1 : 0);
			f.place = (long)p->entries[end].line;
			*fault = f;
			refused = err;
		} else if (err == ERR_TOO_LARGE) {
			step = n / 2; /* the request as a whole is too large */
		} else {
			*fault = f;
			return err;
		}
	}
	return refused;
}
