/* The streams of a catalog in the order of their names, for lists that are read page by page. Made by the first call and
 * updated by later ones, so it costs nothing while no list is read. It has two sorted runs of stream numbers, a large one
 * and one of newer streams, which is merged into the first when it reaches a sixteenth of its size. Any thread. */
#ifndef STORE_INDEX_STREAM_ORDER_H
#define STORE_INDEX_STREAM_ORDER_H

#include "event/event.h"
#include "store/index/catalog.h"

struct stream_order;

/* The catalog is borrowed. */
struct stream_order *stream_order_create(struct catalog *c);
void stream_order_destroy(struct stream_order *o); /* NULL is fine */

/* The name of the first stream, in byte order, that is not before `from` (`after`: that is after it). *len is 0 if there is
 * none. ERR_NOMEM. ERR_BUSY: another thread is sorting very many new names. */
enum err stream_order_find(struct stream_order *o, struct slice from, bool after, char name[EVENT_NAME_MAX], size_t *len);

/* Numbers written to runs so far, for tests. */
uint64_t stream_order_steps(const struct stream_order *o);

#endif
