/* Memory for replies: bytes that are held until the client has read them count as QUOTA_REPLIES. */

#include "base/system/clock.h"
#include "server/http/http_internal.h"

enum {
	MIN_FREE_FRACTION = 64, /* a reply begins only if this fraction (1/n) of the reply memory is free for its client */
	SMALL_REPLY_MAX = QUOTA_SMALL_REPLY / 2, /* limit of a small reply before its last event, which may exceed it */
	SERVED_AT_ONCE = 2,                      /* requests that have waited and are served at the same time */
};

static bool has_memory(const struct http *h, uint64_t client)
{
	uint64_t all = quota_read(h->options.quotas, QUOTA_REPLIES).limit;
	return quota_room(h->options.quotas, QUOTA_REPLIES, client) > all / MIN_FREE_FRACTION;
}

bool reply_memory_begin_handover(struct http *h)
{
	atomic_fetch_add(&h->handing_over, 1);
	if (!h->refusing)
		return true;
	atomic_fetch_sub(&h->handing_over, 1);
	return false;
}

void reply_memory_end_handover(struct http *h)
{
	atomic_fetch_sub(&h->handing_over, 1);
}

/* Takes the next waiting request that finds memory, or has waited since `late_ms` or longer. NULL: none, or
 * SERVED_AT_ONCE are being served: each must see what the one before it has left. */
static struct http_request *next_waiting(struct http *h, int64_t late_ms)
{
	struct http_request *x = NULL;
	pthread_mutex_lock(&h->lock);
	for (int clients = fair_queue_filled(&h->waiting); x == NULL && clients > 0 && h->served < SERVED_AT_ONCE;
	     clients--) {
		struct list *queue = fair_queue_current(&h->waiting, &h->next_client);
		struct http_request *first = LIST_ITEM(queue->next, struct http_request, in_waiting);
		if (has_memory(h, first->client) || first->waiting_since_ms <= late_ms)
			x = first;
		if (x != NULL)
			fair_queue_remove(&h->waiting, h->next_client, &x->in_waiting);
		fair_queue_next(&h->next_client);
	}
	if (x != NULL) {
		quota_wait_end(h->options.quotas, QUOTA_REPLIES);
		x->served = true;
		h->served++;
	}
	pthread_mutex_unlock(&h->lock);
	return x;
}

void reply_memory_serve_waiting(struct http *h, int64_t late_ms)
{
	if (!reply_memory_begin_handover(h))
		return;
	for (struct http_request *x; (x = next_waiting(h, late_ms)) != NULL;)
		pool_submit(h->pool, &x->job);
	reply_memory_end_handover(h);
}

/* When no memory is free: tries to give the request the budget of a small reply. */
static bool begin_small(struct http_request *x)
{
	x->small = (x->route->flags & ROUTE_SMALL) != 0 && !x->not_small && x->read == NULL &&
		   quota_room(x->http->options.quotas, QUOTA_SMALL_REPLIES, x->client) >= QUOTA_SMALL_REPLY;
	if (x->small)
		request_hold(x, QUOTA_SMALL_REPLY);
	return x->small;
}

bool reply_memory_wait(struct http_request *x)
{
	struct http *h = x->http;
	pthread_mutex_lock(&h->lock);
	int64_t now = clock_mono_ms();
	bool late = x->served && now - x->waiting_since_ms >= MEMORY_WAIT_MS;
	bool waits = !h->refusing && !late && !has_memory(h, x->client) && !begin_small(x);
	if (waits) {
		h->served -= x->served; /* another request, served at the same time, took the memory */
		x->waiting_since_ms = x->served ? x->waiting_since_ms : now;
		x->served = false;
		fair_queue_append(&h->waiting, x->client, &x->in_waiting);
		quota_wait(h->options.quotas, QUOTA_REPLIES);
	}
	pthread_mutex_unlock(&h->lock);
	return waits;
}

enum err request_stay(struct http_request *x, struct fault *fault)
{
	quota_hold(&x->search, QUOTA_SEARCHES, 0, NULL); /* it may have counted as a search until now */
	x->long_slot.client = x->client;
	return quota_hold(&x->long_slot, QUOTA_LONG_REQUESTS, 1, fault);
}

size_t request_reply_max(const struct http_request *x, struct fault *fault)
{
	struct quotas *quotas = x->http->options.quotas;
	if (x->small)
		return SMALL_REPLY_MAX;
	uint64_t free_bytes = quota_room(quotas, QUOTA_REPLIES, x->client);
	if (free_bytes == 0)
		quota_refuse(quotas, QUOTA_REPLIES, x->client, fault);
	/* Leave the other half for requests that are answered at the same time. */
	return (size_t)(free_bytes - free_bytes / 2);
}

size_t request_reply_max_long(const struct http_request *x)
{
	struct quotas *quotas = x->http->options.quotas;
	struct quota_figures all = quota_read(quotas, QUOTA_REPLIES);
	uint64_t left = all.held < all.limit / 2 ? all.limit / 2 - all.held : 0;
	uint64_t free_bytes = quota_room(quotas, QUOTA_REPLIES, x->client);
	free_bytes = free_bytes < left ? free_bytes : left;
	return (size_t)(free_bytes - free_bytes / 2);
}

void request_hold(struct http_request *x, size_t bytes)
{
	struct quotas *quotas = x->http->options.quotas;
	enum quota kind = x->small && bytes <= QUOTA_SMALL_REPLY ? QUOTA_SMALL_REPLIES : QUOTA_REPLIES;
	size_t before = kind == x->held_kind ? x->held : 0;
	bool less = bytes < before || before < x->held;
	if (bytes > before)
		quota_charge(quotas, kind, x->client, bytes - before);
	else
		quota_give(quotas, kind, x->client, before - bytes);
	quota_give(quotas, x->held_kind, x->client, x->held - before);
	x->held = bytes;
	x->held_kind = kind;
	if (x->conn != NULL)
		atomic_store(&x->conn->held, bytes);
	if (less)
		reply_memory_serve_waiting(x->http, 0);
}
