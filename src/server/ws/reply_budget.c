#include "server/ws/reply_budget.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/system/clock.h"
#include "server/ws/ws_conn.h"

enum {
	CLAIM_BYTES = REPLY_BYTES_MAX + 1024 * 1024, /* a few events can come to as much as very many */
	CRUMBS = 16 * 1024,                          /* taking less within the time is taking nothing */
	UNSEEN_PATIENCE = 10,                        /* times as long has for all of it whose taking cannot be seen */
	STUCK_MS = 2000,                             /* who takes not a byte for so long holds others up for nothing */
};

/* Long answers leave room for one short one: whoever does not read them keeps nobody from connecting. One is let through in
 * any case. */
static bool has_room(const struct ws *w, enum ws_line line, uint64_t client)
{
	size_t kept = line == LINE_LARGE ? CLAIM_BYTES : 0;
	return w->held == 0 || quota_room(w->options.quotas, QUOTA_REPLIES, client) >= CLAIM_BYTES + kept;
}

static void hold(struct ws *w, uint64_t client, size_t bytes)
{
	w->held += bytes;
	quota_charge(w->options.quotas, QUOTA_REPLIES, client, bytes);
}

static void give(struct ws *w, uint64_t client, size_t bytes)
{
	w->held -= bytes;
	quota_give(w->options.quotas, QUOTA_REPLIES, client, bytes);
}

static void leave_line(struct reply_claim *claim)
{
	list_remove(&claim->in_line);
	quota_wait_end(claim->ws->options.quotas, QUOTA_REPLIES);
}

static void grant(struct reply_claim *claim)
{
	claim->granted = true;
	hold(claim->ws, claim->client, CLAIM_BYTES);
	claim->grant(claim);
}

static void serve(struct ws *w)
{
	for (int line = 0; line < WS_LINES; line++) {
		LIST_EACH (link, &w->lines[line]) {
			struct reply_claim *claim = LIST_ITEM(link, struct reply_claim, in_line);
			if (w->closed || !has_room(w, (enum ws_line)line, claim->client))
				continue;
			leave_line(claim);
			grant(claim);
		}
	}
}

void reply_budget_ask(struct ws_conn *c, enum ws_line line, struct reply_claim *claim)
{
	struct ws *w = c->ws;
	claim->ws = w;
	claim->client = c->client;
	claim->line = line;
	list_init(&claim->in_line);
	if (has_room(w, line, c->client)) {
		grant(claim);
	} else {
		list_append(&w->lines[line], &claim->in_line);
		quota_wait(w->options.quotas, QUOTA_REPLIES);
	}
}

void reply_budget_drop(struct reply_claim *claim)
{
	if (!list_empty(&claim->in_line))
		leave_line(claim);
	if (!claim->granted)
		return;
	claim->granted = false;
	give(claim->ws, claim->client, CLAIM_BYTES);
	serve(claim->ws);
}

/* Bytes that the peer has taken; 0 for ever behind a pair of sockets (tls.h), where it cannot be seen. */
static uint64_t taken(const struct ws_conn *c)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof info;
	return getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_bytes_acked : 0;
}

void reply_budget_keep(struct ws_conn *c, struct reply_claim *claim, size_t bytes)
{
	c->share.bytes = bytes;
	c->share.taken = c->share.moved = taken(c);
	c->share.taken_ms = c->share.moved_ms = clock_mono_ms();
	hold(c->ws, c->client, bytes);
	reply_budget_drop(claim);
}

void reply_budget_lose(struct ws_conn *c)
{
	give(c->ws, c->client, c->share.bytes);
	c->share.bytes = 0;
	serve(c->ws);
}

bool reply_budget_holds(const struct ws_conn *c)
{
	return c->share.bytes > 0;
}

bool reply_budget_check(struct ws_conn *c)
{
	if (c->share.bytes == 0 || c->out.len > 0 || lws_partial_buffered(c->wsi))
		return false;
	reply_budget_lose(c);
	return true;
}

void reply_budget_watch(struct ws_conn *c, int64_t now_ms)
{
	if (c->share.bytes == 0)
		return;
	uint64_t now = taken(c);
	if (now - c->share.taken >= CRUMBS) {
		c->share.taken = now;
		c->share.taken_ms = now_ms;
	}
	if (now != c->share.moved) {
		c->share.moved = now;
		c->share.moved_ms = now_ms;
	}
	bool seen = now != 0;
	int64_t patience_ms = c->ws->options.reply_ms * (seen ? 1 : UNSEEN_PATIENCE);
	bool stuck = seen && now_ms - c->share.moved_ms >= STUCK_MS && quota_is_wanted(c->ws->options.quotas, QUOTA_REPLIES);
	if (stuck || now_ms - c->share.taken_ms >= patience_ms) {
		ws_metrics_count(c->ws->metrics, ws_session(c), WSM_TIMEOUT, 1);
		ws_hang_up(c, CLOSE_WITHOUT_WORD, NULL); /* a close frame would stand behind the answer */
	}
}
