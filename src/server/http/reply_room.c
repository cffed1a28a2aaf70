/* Room for replies: what is held in memory until its client has read it counts as QUOTA_REPLIES. */

#include "base/system/clock.h"
#include "server/http/http_internal.h"

enum {
	ROOM_SHARE = 64,                    /* as much of all replies' memory has to be free for one more */
	SMALL_ROOM = QUOTA_SMALL_REPLY / 2, /* for what is written until it is more than that; one event comes on top */
	SERVED_AT_ONCE = 2,                 /* of the requests that have waited for room */
};

static bool has_room(const struct http *h, uint64_t client)
{
	uint64_t all = quota_read(h->options.quotas, QUOTA_REPLIES).limit;
	return quota_room(h->options.quotas, QUOTA_REPLIES, client) > all / ROOM_SHARE;
}

bool room_begin_handing_over(struct http *h)
{
	atomic_fetch_add(&h->handing_over, 1);
	if (!h->refusing)
		return true;
	atomic_fetch_sub(&h->handing_over, 1);
	return false;
}

void room_end_handing_over(struct http *h)
{
	atomic_fetch_sub(&h->handing_over, 1);
}

/* One that waits, if there is room for it or it has waited since `late_ms` or longer. Few at a time, so that each
 * finds what the one before it has left. */
static struct http_request *next_waiting(struct http *h, int64_t late_ms)
{
	struct http_request *x = NULL;
	pthread_mutex_lock(&h->lock);
	for (int lanes = fair_queue_filled(&h->waiting); x == NULL && lanes > 0 && h->served < SERVED_AT_ONCE; lanes--) {
		struct list *lane = fair_queue_current(&h->waiting, &h->turn);
		struct http_request *first = LIST_ITEM(lane->next, struct http_request, in_waiting);
		if (has_room(h, first->client) || first->waiting_since_ms <= late_ms)
			x = first;
		if (x != NULL)
			fair_queue_remove(&h->waiting, h->turn, &x->in_waiting);
		fair_queue_next(&h->turn);
	}
	if (x != NULL) {
		quota_wait_end(h->options.quotas, QUOTA_REPLIES);
		x->served = true;
		h->served++;
	}
	pthread_mutex_unlock(&h->lock);
	return x;
}

/* Lets go on who finds room, or has waited for too long. */
void room_serve_waiting(struct http *h, int64_t late_ms)
{
	if (!room_begin_handing_over(h))
		return;
	for (struct http_request *x; (x = next_waiting(h, late_ms)) != NULL;)
		pool_submit(h->pool, &x->job);
	room_end_handing_over(h);
}

/* Is there room for a small one, where there is none for others? Then this is to be one. */
static bool begin_small(struct http_request *x)
{
	x->small = (x->route->flags & ROUTE_BRIEF) != 0 && !x->not_small && x->read == NULL &&
		   quota_room(x->http->options.quotas, QUOTA_SMALL_REPLIES, x->client) >= QUOTA_SMALL_REPLY;
	if (x->small)
		request_hold(x, QUOTA_SMALL_REPLY);
	return x->small;
}

/* Waits where there is no room for its client. */
bool room_wait(struct http_request *x)
{
	struct http *h = x->http;
	pthread_mutex_lock(&h->lock);
	int64_t now = clock_mono_ms();
	bool late = x->served && now - x->waiting_since_ms >= ROOM_WAIT_MS;
	bool waits = !h->refusing && !late && !has_room(h, x->client) && !begin_small(x);
	if (waits) {
		h->served -= x->served; /* another that was served at the same time has taken the room */
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
	quota_hold(&x->search, QUOTA_SEARCHES, 0, NULL); /* it was one until now, perhaps */
	x->long_place.client = x->client;
	return quota_hold(&x->long_place, QUOTA_LONG_REQUESTS, 1, fault);
}

size_t request_room(const struct http_request *x, struct fault *fault)
{
	struct quotas *quotas = x->http->options.quotas;
	if (x->small)
		return SMALL_ROOM;
	uint64_t room = quota_room(quotas, QUOTA_REPLIES, x->client);
	if (room == 0)
		quota_refuse(quotas, QUOTA_REPLIES, x->client, fault);
	return (size_t)(room - room / 2); /* for others are being answered at the same time, and more will come */
}

size_t request_room_long(const struct http_request *x)
{
	struct quotas *quotas = x->http->options.quotas;
	struct quota_figures all = quota_read(quotas, QUOTA_REPLIES);
	uint64_t left = all.held < all.limit / 2 ? all.limit / 2 - all.held : 0;
	uint64_t room = quota_room(quotas, QUOTA_REPLIES, x->client);
	room = room < left ? room : left;
	return (size_t)(room - room / 2);
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
		room_serve_waiting(x->http, 0);
}
