/* Memory for replies with stored events counts as QUOTA_REPLIES. A reply claims the most that it may need before it is
 * made, and gives the rest back when it is made; its own bytes count until the socket has taken all of them. A reply that
 * finds no memory waits in a queue. All functions run on the ws thread.
 *
 *     reply_budget_ask ─▶ (queue) ─▶ grant: make the reply ─▶ reply_budget_keep ─▶ sent ─▶ reply_budget_check: the next
 *                                                                  └─▶ taken too slowly: closed
 *
 * The time limit is shorter while other replies wait. */
#ifndef SERVER_WS_REPLY_BUDGET_H
#define SERVER_WS_REPLY_BUDGET_H

#include "server/ws/ws_profile.h"

/* Limit of the events in one reply, in bytes; the last event and the rest of the reply may exceed it. */
enum { REPLY_BYTES_MAX = 15 * 1024 * 1024 };

/* The queues of replies that wait for memory: of a few events, or of very many. */
enum reply_queue { REPLY_SMALL, REPLY_LARGE, REPLY_QUEUES };

struct reply_claim {
	struct list in_queue;
	struct ws *ws;
	uint64_t client;
	enum reply_queue queue;
	bool granted;
	void (*grant)(struct reply_claim *claim); /* memory is claimed: make the reply */
};

/* Claims memory for a reply. Calls `grant` now or later, or never if reply_budget_drop comes first. */
void reply_budget_ask(struct ws_conn *c, enum reply_queue queue, struct reply_claim *claim);
/* Gives the claim up: there is no reply, or it is in the connection's `out`. */
void reply_budget_drop(struct reply_claim *claim);
/* The reply has `bytes` bytes and is queued on the connection; replaces the claim. */
void reply_budget_keep(struct ws_conn *c, struct reply_claim *claim, size_t bytes);
/* Gives the memory back once the socket has taken the whole reply. True when that has just happened. */
bool reply_budget_check(struct ws_conn *c);
/* Is a reply queued on the connection? */
bool reply_budget_holds(const struct ws_conn *c);
/* The connection ends: gives the memory of its reply back. */
void reply_budget_lose(struct ws_conn *c);
/* Closes a connection whose client takes too little of its reply. Call it once a second. */
void reply_budget_watch(struct ws_conn *c, int64_t now_ms);

#endif
