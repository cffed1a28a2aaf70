/* What answers from the past hold in memory counts as QUOTA_REPLIES. An answer claims the most it can come to
 * before it is made, and gives back what it did not need; the rest is its connection's share until the socket has taken all
 * of it, from us and from libwebsockets. Who finds no room waits in line. On the ws thread.
 *
 *     reply_budget_ask ─▶ (in line) ─▶ grant: the answer is made ─▶ reply_budget_keep ─▶ sent ─▶ reply_budget_check: the
 * next one's turn └─▶ nothing taken for too long: closed
 *
 * Too long is short while others stand in line. */
#ifndef SERVER_WS_REPLY_BUDGET_H
#define SERVER_WS_REPLY_BUDGET_H

#include "server/ws/ws_profile.h"

enum { REPLY_BYTES_MAX = 15 * 1024 * 1024 }; /* of events in one answer; the last one and the rest of it come on top */

/* Where answers wait until there is room for them: a few events, or very many. */
enum ws_line { LINE_SMALL, LINE_LARGE, WS_LINES };

struct reply_claim {
	struct list in_line;
	struct ws *ws;
	uint64_t client;
	enum ws_line line;
	bool granted;
	void (*grant)(struct reply_claim *claim); /* there is room: make the answer */
};

/* Calls `grant` now or later, or never where reply_budget_drop comes first. */
void reply_budget_ask(struct ws_conn *c, enum ws_line line, struct reply_claim *claim);
/* There will be no answer to keep. */
void reply_budget_drop(struct reply_claim *claim);
/* The answer is on its way to the connection. */
void reply_budget_keep(struct ws_conn *c, struct reply_claim *claim, size_t bytes);
/* Gives the share back once the socket has all of it. True when that has just come to pass. */
bool reply_budget_check(struct ws_conn *c);
/* Is an answer on its way to the connection? */
bool reply_budget_holds(const struct ws_conn *c);
/* The connection goes. */
void reply_budget_lose(struct ws_conn *c);
/* Closes who holds a share and takes next to nothing of it. Now and then. */
void reply_budget_watch(struct ws_conn *c, int64_t now_ms);

#endif
