/* The state of verify, shared by its files. A server may be writing meanwhile: a read transaction lasts for a slice of the
 * log, one table, or the figures only, so that the write-ahead log can be reset. */
#ifndef STORE_REPAIR_VERIFY_INTERNAL_H
#define STORE_REPAIR_VERIFY_INTERNAL_H

#include "base/data/map.h"
#include "store/read/reader.h"

enum { VERIFY_CHAIN_LEN = 128 };

struct verify_topic {
	struct map_link link;
	uint32_t number;
	struct figures stored;  /* as the store has them up to `indexed_upto` */
	struct figures counted; /* the same, counted */
};

struct verify_counts {
	struct reader *reader;
	struct verify_topic *topics; /* as many as there were at the beginning */
	uint32_t topic_count;
	struct map by_number;
	uint64_t indexed_upto;        /* of the index */
	char chain[VERIFY_CHAIN_LEN]; /* meta.chain, of the archive that the log follows; empty: none */
	uint64_t next;                /* the first event that was not counted */
	uint64_t first;               /* of the log */
	uint64_t head;
	int64_t time_ms; /* of the event before `next`, in the log */
	bool holes;      /* some events are in no archive: their topics' figures cannot be counted */
	uint64_t all;    /* events to check in all */
	struct history_verified *out;
	void (*progress)(void *arg, uint64_t done, uint64_t all);
	void *arg;
	struct fault *fault;
};

/* NULL: it was not there at the beginning. */
struct verify_topic *verify_count_find(const struct verify_counts *c, int64_t number);
/* Counts event `seq`, which is `next` or later, with `bytes` of data. */
void verify_count_event(struct verify_counts *c, struct verify_topic *t, uint64_t seq, uint64_t bytes);

/* SQLite's own structure. */
enum err verify_structure(struct verify_counts *c);
/* Checks the archives with events from `next` to `first`, to the last byte, their manifests and chains. Afterwards `next` is
 * not below `first`. */
enum err verify_archives(struct verify_counts *c);
/* The archive that the log follows. */
enum err verify_chain(struct verify_counts *c);

#endif
