/* A thread that writes the write-ahead log back into the database while the writer commits (store_write_back). It is nice to
 * the others: on a busy machine it must not hold up a request. */
#ifndef ENGINE_WORK_WRITE_BACK_THREAD_H
#define ENGINE_WORK_WRITE_BACK_THREAD_H

#include "store/log/store.h"

struct write_back;

enum err write_back_create(struct store *store, struct write_back **out, struct fault *fault);
/* So many pages more, once what is under way is done. Any thread. */
void write_back_ask(struct write_back *b, int pages);
/* How many of those are not done. Any thread. */
int write_back_lag(struct write_back *b);
/* Waits for what is under way. NULL is fine. */
void write_back_destroy(struct write_back *b);

#endif
