/* The streams and topics of a store with their figures, all in memory. A topic is a pair of stream and type; events
 * name it by its number, which counts from 0 in the order of first appearance, and is never given to another one.
 *
 * Topics that have lost their last event are forgotten, and so are streams without topics. Pages and selections may still
 * hold numbers of forgotten topics: these are never given to others.
 *
 * Threads: functions that change it are called by one writer; all others may be called from any thread. New topics are
 * pending, and visible to the writer only, until catalog_commit. */
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
	uint64_t hash;     /* of both names: part of the sum of each of its events */
};

struct figures {
	uint64_t first; /* seqs; 0 where there is no event */
	uint64_t last;
	uint64_t count;
	uint64_t bytes; /* of payload */
	uint64_t lost;  /* of a topic: the last event that was lost, as far as is known; 0: none */
};

struct catalog *catalog_create(void);
void catalog_destroy(struct catalog *c);

/* --- the writer --- */

/* Makes an empty catalog ready for `topics` topics. */
void catalog_expect(struct catalog *c, uint32_t topics);
/* Adds up to CATALOG_LOAD_MAX stored topics, ascending by number and none below catalog_end; several at once, so that cache
 * misses overlap. No topic is in the catalog already: this is not checked. ERR_CORRUPT, ERR_BUSY, ERR_NOMEM. */
struct topic_row {
	uint32_t number;
	struct slice stream;
	struct slice type;
	struct figures figures;
};
enum { CATALOG_LOAD_MAX = 32 };
enum err catalog_load(struct catalog *c, const struct topic_row *rows, uint32_t count);
/* The hashes by which a topic is found. */
struct topic_hashes {
	uint64_t names; /* of both */
	uint64_t stream;
};
struct topic_hashes catalog_hashes(struct slice stream, struct slice type);
/* The hashes of up to CATALOG_LOAD_MAX events from `from` on, whose names are interned next: prefetches their entries. */
struct batch;
void catalog_hash(const struct catalog *c, const struct batch *batch, size_t from, struct topic_hashes *hashes);
/* New topics get numbers from `end` on. */
void catalog_skip(struct catalog *c, uint32_t end);
/* The topic of two names. A new one (*is_new) is created for `owner`, and takes one of *left (NULL: no limit). ERR_BUSY:
 * there are CATALOG_TOPICS_MAX; ERR_RATE: *left is 0; ERR_NOMEM. */
struct topic_wanted {
	struct slice stream;
	struct slice type;
	struct topic_hashes hashes;
	uint64_t owner;
	uint64_t *left;
};
enum err catalog_intern(struct catalog *c, const struct topic_wanted *wanted, uint32_t *topic, bool *is_new);
/* All topics, also pending ones, have numbers below this. */
uint32_t catalog_all_end(const struct catalog *c);
/* Makes pending topics visible, or drops them; catalog_rollback_to drops those from `end` on. */
void catalog_commit(struct catalog *c);
void catalog_rollback(struct catalog *c);
void catalog_rollback_to(struct catalog *c, uint32_t end);
/* Forgets a visible topic without events, and its stream if it was the last one, and returns its owner. The other topics of
 * the stream must have events, or be forgotten next. */
uint64_t catalog_forget(struct catalog *c, uint32_t topic);
/* The last committed seq of a stream; 0: there is none. */
uint64_t catalog_stream_last(struct catalog *c, struct slice stream);

/* The last seq of a stream in the open transaction; a value that is not after the head means nothing. */
uint64_t catalog_open_last(const struct catalog *c, struct slice stream);
void catalog_set_open_last(struct catalog *c, uint32_t topic, uint64_t seq);

/* Counts an event into the figures of its topic and stream. Between lock and unlock. */
void catalog_lock(struct catalog *c);
void catalog_count(struct catalog *c, uint32_t topic, uint64_t seq, uint64_t bytes);
/* Events of a topic up to `seq` are about to be lost. */
void catalog_note_lost(struct catalog *c, uint32_t topic, uint64_t seq);
/* Sets the figures of a topic, and adjusts those of its stream: the topic has lost its oldest events, or was counted again.
 * The last seq of a stream stays while it has events. Between lock and unlock. */
void catalog_set_figures(struct catalog *c, uint32_t topic, struct figures f);
void catalog_unlock(struct catalog *c);

/* --- any thread --- */

/* Names that a reader finds between these calls stay valid until it leaves, even if the writer forgets their topics
 * meanwhile. May be nested. */
unsigned catalog_enter(struct catalog *c);
void catalog_leave(struct catalog *c, unsigned entered);

/* Visible topics have numbers below this. It only grows. */
uint32_t catalog_end(const struct catalog *c);
/* How many topics there are. */
uint32_t catalog_topics(struct catalog *c);
/* How many topics were forgotten so far. */
uint64_t catalog_forgotten(const struct catalog *c);
/* The next visible topic from *topic on; false: there is none. */
bool catalog_next(const struct catalog *c, uint32_t *topic);
/* Between enter and leave, which bounds the life of the texts. The writer need not enter: it has them until it forgets the
 * topic or rolls it back. */
struct topic catalog_topic(const struct catalog *c, uint32_t topic);
/* All 0 where there is no such topic. */
void catalog_topic_figures(struct catalog *c, uint32_t topic, struct figures *out);

/* False when there is no such topic, or it is pending. */
bool catalog_find_topic(struct catalog *c, struct slice stream, struct slice type, uint32_t *topic);

/* Visible streams have numbers below this. */
uint32_t catalog_streams_end(struct catalog *c);
bool catalog_next_stream(struct catalog *c, uint32_t *stream);
/* Between enter and leave. `p` is NULL: there is no such stream any more. */
struct slice catalog_stream_name(struct catalog *c, uint32_t stream);
/* How many streams have events. */
uint32_t catalog_streams(struct catalog *c);
/* False when there is no such stream, or no event in it. */
bool catalog_find_stream(struct catalog *c, struct slice name, struct figures *out);

/* Entries looked at when each topic and stream is found once (map_steps), for tests. */
uint64_t catalog_steps(struct catalog *c);
/* Entries that catalog_set_figures has looked at so far, for tests. */
uint64_t catalog_set_steps(struct catalog *c);

#endif
