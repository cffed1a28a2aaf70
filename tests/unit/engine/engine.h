/* A store with all that runs on it in a server: pool, feed, sessions and writer, each test's own. */
#ifndef TESTS_UNIT_ENGINE_ENGINE_H
#define TESTS_UNIT_ENGINE_ENGINE_H

#include "engine/read/feed.h"
#include "engine/work/pool.h"
#include "engine/write/writer.h"
#include "unit/check.h"
#include "unit/engine/bell.h"
#include "unit/temp_dir.h"

extern const struct batch_limits limits;
extern char dir[TEMP_DIR_LEN];
extern struct store *store;
extern struct pool *pool;
extern struct feed *feed;
extern struct sessions *sessions;
extern struct writer *writer;
extern struct fault fault;

/* An empty directory, and the engine on it. */
void engine_set_up(size_t ring_bytes);
/* Of `dir`, as it is. */
void engine_open(size_t ring_bytes, struct writer_options options);
void engine_close(void);
/* engine_close, and the directory is removed. */
void engine_tear_down(void);

/* A request to the writer, with a bell that rings when it is done. */
struct write {
	struct write_op op; /* first */
	struct bell bell;
};

/* `lines` may be NULL: then there is nothing to append. */
void write_prepare(struct write *w, uint64_t client, const char *lines);
enum err write_submit(struct write *w, const char *lines);
/* Must be accepted. */
void write_submit_as(struct write *w, uint64_t client, const char *lines);
void write_finish(struct write *w);

/* Publishes and waits. */
enum err engine_publish(const char *lines);

enum { LINE_LEN = 11 };
/* `out` has room for LINE_LEN bytes each, and one. */
void put_lines(char *out, int count);

/* Keeps the writer busy with `holder` until it is released. */
void engine_hold_writer(struct write *holder, uint64_t client, const char *lines);
void engine_release_writer(void);

#endif
