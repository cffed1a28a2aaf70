#include "server/ws/reply_budget.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/system/clock.h"
#include "server/ws/ws_conn.h"

enum {
	CLAIM_BYTES = REPLY_BYTES_MAX + 1024 * 1024, /* even a few events may be this large */
	MIN_PROGRESS_BYTES = 16 * 1024,              /* a client that takes less within reply_ms counts as taking nothing */
	UNSEEN_FACTOR = 10,                          /* reply_ms is multiplied by this where progress cannot be observed */
	STUCK_MS = 2000, /* while other replies wait, a client that takes no byte for this long is cut */
};

/* Large replies leave space for a small one, so that clients that do not read large ones keep nobody from connecting.
 * With no reply in memory, any reply may be made. */
static bool has_memory(const struct ws *w, enum reply_queue queue, uint64_t client)
{
	size_t kept = queue == REPLY_LARGE ? CLAIM_BYTES : 0;
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

static void dequeue(struct reply_claim *claim)
{
	list_remove(&claim->in_queue);
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
	for (int queue = 0; queue < REPLY_QUEUES; queue++) {
		LIST_EACH (link, &w->reply_queues[queue]) {
			struct reply_claim *claim = LIST_ITEM(link, struct reply_claim, in_queue);
			if (w->closed || !has_memory(w, (enum reply_queue)queue, claim->client))
				continue;
			dequeue(claim);
			grant(claim);
		}
	}
}

void reply_budget_ask(struct ws_conn *c, enum reply_queue queue, struct reply_claim *claim)
{
	struct ws *w = c->ws;
	claim->ws = w;
	claim->client = c->client;
	claim->queue = queue;
	list_init(&claim->in_queue);
	if (has_memory(w, queue, c->client)) {
		grant(claim);
	} else {
		list_append(&w->reply_queues[queue], &claim->in_queue);
		quota_wait(w->options.quotas, QUOTA_REPLIES);
	}
}

void reply_budget_drop(struct reply_claim *claim)
{
	if (!list_empty(&claim->in_queue))
		dequeue(claim);
	if (!claim->granted)
		return;
	claim->granted = false;
	give(claim->ws, claim->client, CLAIM_BYTES);
	serve(claim->ws);
}

/* Bytes that the client has acknowledged; always 0 behind the socket pair of tls.h, where they cannot be observed. */
static uint64_t acked_bytes(const struct ws_conn *c)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof info;
	return getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_bytes_acked : 0;
}

void reply_budget_keep(struct ws_conn *c, struct reply_claim *claim, size_t bytes)
{
	c->unread_reply.bytes = bytes;
	c->unread_reply.progress = c->unread_reply.acked = acked_bytes(c);
	c->unread_reply.progress_ms = c->unread_reply.acked_ms = clock_mono_ms();
	hold(c->ws, c->client, bytes);
	reply_budget_drop(claim);
}

void reply_budget_lose(struct ws_conn *c)
{
	give(c->ws, c->client, c->unread_reply.bytes);
	c->unread_reply.bytes = 0;
	serve(c->ws);
}

bool reply_budget_holds(const struct ws_conn *c)
{
	return c->unread_reply.bytes > 0;
}

bool reply_budget_check(struct ws_conn *c)
{
	if (c->unread_reply.bytes == 0 || c->out.len > 0 || lws_partial_buffered(c->wsi))
		return false;
	reply_budget_lose(c);
	return true;
}

void reply_budget_watch(struct ws_conn *c, int64_t now_ms)
{
	if (c->unread_reply.bytes == 0)
		return;
	uint64_t now = acked_bytes(c);
	if (now - c->unread_reply.progress >= MIN_PROGRESS_BYTES) {
		c->unread_reply.progress = now;
		c->unread_reply.progress_ms = now_ms;
	}
	if (now != c->unread_reply.acked) {
		c->unread_reply.acked = now;
		c->unread_reply.acked_ms = now_ms;
	}
	bool observable = now != 0;
	int64_t timeout_ms = c->ws->options.reply_ms * (observable ? 1 : UNSEEN_FACTOR);
	bool stuck = observable && now_ms - c->unread_reply.acked_ms >= STUCK_MS &&
		     quota_is_wanted(c->ws->options.quotas, QUOTA_REPLIES);
	if (stuck || now_ms - c->unread_reply.progress_ms >= timeout_ms) {
		ws_metrics_count(c->ws->metrics, ws_session(c), WSM_TIMEOUT, 1);
		ws_hang_up(c, CLOSE_WITHOUT_FRAME, NULL); /* a close frame would queue behind the reply */
	}
}
