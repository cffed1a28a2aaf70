/* What answers from the past hold in memory counts as QUOTA_REPLIES. An answer claims the most it can come to
 * before it is made, and gives back what it did not need; the rest is its connection's share until the socket has taken all
 * of it, from us and from libwebsockets. Who finds no room waits in line. On the ws thread.
 *
 *     ws_share_ask ─▶ (in line) ─▶ grant: the answer is made ─▶ ws_share_keep ─▶ sent ─▶ ws_share_check: the next one's turn
 *                                                                               └─▶ nothing taken for too long: closed
 *
 * Too long is short while others stand in line. */
#ifndef NET_WS_SHARE_H
#define NET_WS_SHARE_H

#include "net/ws_conn.h"

struct ws_claim {
	struct list in_line;
	struct ws *ws;
	uint64_t client;
	enum ws_line line;
	bool granted;
	void (*grant)(struct ws_claim *claim); /* there is room: make the answer */
};

/* Calls `grant` now or later, or never where ws_share_drop comes first. */
void ws_share_ask(struct ws_conn *c, enum ws_line line, struct ws_claim *claim);
/* There will be no answer to keep. */
void ws_share_drop(struct ws_claim *claim);
/* The answer is on its way to the connection. */
void ws_share_keep(struct ws_conn *c, struct ws_claim *claim, size_t bytes);
/* Gives the share back once the socket has all of it. True when that has just come to pass. */
bool ws_share_check(struct ws_conn *c);
/* The connection goes. */
void ws_share_lose(struct ws_conn *c);
/* Closes who holds a share and takes next to nothing of it. Now and then. */
void ws_share_watch(struct ws_conn *c, int64_t now_ms);

#endif
