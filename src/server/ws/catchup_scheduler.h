/* Schedules readers that are behind: one after another sends a bounded number of bytes, within a bounded time per
 * iteration of the loop, so that live readers, publishers and new connections do not wait for all of them
 * (docs/decisions/0014-herd.md). All functions run on the ws thread. */
#ifndef SERVER_WS_CATCHUP_SCHEDULER_H
#define SERVER_WS_CATCHUP_SCHEDULER_H

#include "server/ws/ws_conn.h"

/* `serve` is called for each reader in turn. */
void catchup_init(struct ws *w, void (*serve)(struct ws_conn *c));
/* Is the reader so far behind that it has to wait for the scheduler? */
bool catchup_is_due(const struct ws_conn *c);
/* Appends the reader to those that wait for the scheduler. */
void catchup_wait(struct ws_conn *c);
/* A commit has happened. While commits arrive, readers that are behind get at most half of the thread's time. */
void catchup_committed(struct ws *w);

#endif
