/* The streams and topics of a store with their figures, all in memory. A topic is a pair of stream and type; events
 * name it by its number, which counts from 0 in the order of first appearance, and is never given to another one.
 *
 * Topics that have lost their last event are forgotten, and their streams with them. Numbers of forgotten ones may be
 * anywhere: in pages, in selections. They stand for nothing then.
 *
 * Threads: one writer calls what changes it; everything else may be called from any thread. New topics are pending,
 * and seen by the writer alone, until `catalog_commit`. */
#ifndef STORE_INDEX_CATALOG_H
#define STORE_INDEX_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct catalog;

enum { CATALOG_TOPICS_MAX = 4 * 1024 * 1024 };

/* What never changes about a topic. */
struct topic {
	struct slice stream; /* `p` is NULL: there is no such topic */
	struct slice type;
	struct slice json; /* encoding_topic of the two */
	uint64_t hash;     /* of both names: takes part in the sum of each of its events */
};

struct figures {
	uint64_t first; /* seqs; 0 where there is no event */
	uint64_t last;
	uint64_t count;
	uint64_t bytes; /* of payload */
	uint64_t lost;  /* of a topic: the last event that was removed for good, as far as is known; 0: none */
};

struct catalog *catalog_create(void);
void catalog_destroy(struct catalog *c);

/* --- the writer --- */

/* An empty catalog is about to get so many topics. */
void catalog_expect(struct catalog *c, uint32_t topics);
/* Adds topics as they are stored, by ascending numbers, none below catalog_end, a few at a time so that the processor's
 * misses overlap. That none is there already is the caller's promise. ERR_BUSY, ERR_NOMEM. */
struct topic_row {
	uint32_t number;
	struct slice stream;
	struct slice type;
	struct figures figures;
};
enum { CATALOG_LOAD_MAX = 32 };
enum err catalog_load(struct catalog *c, const struct topic_row *rows, uint32_t count);
/* What a topic is found by. */
struct topic_hashes {
	uint64_t names; /* of both */
	uint64_t stream;
};
struct topic_hashes catalog_hashes(struct slice stream, struct slice type);
/* Those of up to CATALOG_LOAD_MAX events from `from` on, whose names are interned next: their places are fetched. */
struct batch;
void catalog_hash(const struct catalog *c, const struct batch *batch, size_t from, struct topic_hashes *hashes);
/* No number below this is given to a topic that is new. */
void catalog_skip(struct catalog *c, uint32_t end);
/* The topic of two names, made where it is new (*is_new), which takes one of *left (NULL: any number), for `owner`. ERR_BUSY
 * when there are CATALOG_TOPICS_MAX, ERR_RATE when none is left. */
struct topic_wanted {
	struct slice stream;
	struct slice type;
	struct topic_hashes hashes;
	uint64_t owner;
	uint64_t *left;
};
enum err catalog_intern(struct catalog *c, const struct topic_wanted *wanted, uint32_t *topic, bool *is_new);
/* Pending topics have numbers below this. */
uint32_t catalog_all_end(const struct catalog *c);
/* Makes pending topics visible, or drops them; catalog_rollback_to: those from `end` on. */
void catalog_commit(struct catalog *c);
void catalog_rollback(struct catalog *c);
void catalog_rollback_to(struct catalog *c, uint32_t end);
/* Forgets a visible topic without events, and its stream with the last one, and returns its owner. The other topics of the
 * stream have events, or are forgotten next. */
uint64_t catalog_forget(struct catalog *c, uint32_t topic);
/* The last seq of a stream, 0 where there is none. Counts committed events only. */
uint64_t catalog_stream_last(struct catalog *c, struct slice stream);

/* The last seq of a stream in the open transaction, as it was set; what is not past the head says nothing. */
uint64_t catalog_open_last(const struct catalog *c, struct slice stream);
void catalog_set_open_last(struct catalog *c, uint32_t topic, uint64_t seq);

/* Counts an event into the figures of its topic and stream. Between lock and unlock. */
void catalog_lock(struct catalog *c);
void catalog_count(struct catalog *c, uint32_t topic, uint64_t seq, uint64_t bytes);
/* Events of a topic up to `seq` are about to be removed without an archive. */
void catalog_note_gone(struct catalog *c, uint32_t topic, uint64_t seq);
/* Sets the figures of a topic, and changes those of its stream by as much: it has lost its oldest events, or is counted
 * again. The last seq of a stream stays while it has events. Between lock and unlock. */
void catalog_set_figures(struct catalog *c, uint32_t topic, struct figures f);
void catalog_unlock(struct catalog *c);

/* --- anybody --- */

/* Readers of names: what a reader finds between the two calls stays valid until it leaves, even if the writer forgets it
 * meanwhile. May be nested. */
unsigned catalog_enter(struct catalog *c);
void catalog_leave(struct catalog *c, unsigned entered);

/* Topics that are visible have numbers below this. It only grows. */
uint32_t catalog_end(const struct catalog *c);
/* How many are visible. */
uint32_t catalog_topics(struct catalog *c);
/* How many were forgotten so far. */
uint64_t catalog_forgotten(const struct catalog *c);
/* The next visible topic from *topic on; false: there is none. */
bool catalog_next(const struct catalog *c, uint32_t *topic);
/* Inside; the texts are there until the caller leaves (the writer's: until the topic is forgotten, or rolled back). */
struct topic catalog_topic(const struct catalog *c, uint32_t topic);
/* All 0 where there is no such topic. */
void catalog_topic_figures(struct catalog *c, uint32_t topic, struct figures *out);

/* False when there is no such topic, or it is pending. */
bool catalog_find_topic(struct catalog *c, struct slice stream, struct slice type, uint32_t *topic);

/* Streams have numbers, too: those that are visible have one below this. */
uint32_t catalog_streams_end(struct catalog *c);
bool catalog_next_stream(struct catalog *c, uint32_t *stream);
/* Inside. `p` is NULL: there is no such stream any more. */
struct slice catalog_stream_name(struct catalog *c, uint32_t stream);
/* How many streams have events. */
uint32_t catalog_streams(struct catalog *c);
/* False when there is no such stream, or no event in it. */
bool catalog_find_stream(struct catalog *c, struct slice name, struct figures *out);

/* What finding each topic and each stream once costs: map_steps. */
uint64_t catalog_steps(struct catalog *c);
/* What catalog_set_figures has cost so far: entries looked at. */
uint64_t catalog_set_steps(struct catalog *c);

#endif
