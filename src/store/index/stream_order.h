/* The streams of a catalog in the order of their names, for lists that are read page by page. Made when somebody asks for
 * the first time, and brought up to date when somebody asks again: what asks for no list pays nothing. Two sorted runs of
 * stream numbers, a large one and one of what has come since; the second goes into the first before it has grown to a
 * sixteenth of it. Any thread. */
#ifndef STORE_INDEX_STREAM_ORDER_H
#define STORE_INDEX_STREAM_ORDER_H

#include "event/event.h"
#include "store/index/catalog.h"

struct stream_order;

/* The catalog is borrowed. */
struct stream_order *stream_order_create(struct catalog *c);
void stream_order_destroy(struct stream_order *o); /* NULL is fine */

/* The name of the first stream from `from` on, by bytes; `after`: past it. *len is 0 where there is none. ERR_NOMEM.
 * ERR_BUSY: another thread is sorting very many new names. */
enum err stream_order_find(struct stream_order *o, struct slice from, bool after, char name[EVENT_NAME_MAX], size_t *len);

/* How many numbers were written to runs so far, for tests. */
uint64_t stream_order_steps(const struct stream_order *o);

#endif
