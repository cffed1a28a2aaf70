/* A thread that writes the write-ahead log back into the database while the writer commits (store_write_back). It runs
 * at low priority: on a busy machine it must not delay a request. */
#ifndef ENGINE_WORK_WRITE_BACK_THREAD_H
#define ENGINE_WORK_WRITE_BACK_THREAD_H

#include "store/log/store.h"

struct write_back;

enum err write_back_create(struct store *store, struct write_back **out, struct fault *fault);
/* Asks for `pages` more pages to be written back, after those under way. Any thread. */
void write_back_ask(struct write_back *b, int pages);
/* Waits for the write-back under way, and ends the thread. NULL is fine. */
void write_back_destroy(struct write_back *b);

#endif
