/* A report of the services' caches over some hours, read back from the log newest first, portion by portion, in bounded
 * memory. On a thread that may block on the disk. */
#ifndef PROFILES_MONITORING_SERVICES_CACHE_REPORT_H
#define PROFILES_MONITORING_SERVICES_CACHE_REPORT_H

#include "profiles/monitoring/services/cache_op.h"
#include "store/read/history.h"

enum { CACHE_ROWS_MAX = 1000, CACHE_HOURS_MAX = 24 * 366 };

enum cache_form { CACHE_RAW, CACHE_MINUTES, CACHE_HOURS };

struct cache_query {
	int64_t hours;
	enum cache_form form;
	enum cache_side side; /* CACHE_SIDES: both */
};

struct cache_report;

enum err cache_report_create(struct store *store, struct cache_query query, struct cache_report **out, struct fault *fault);
void cache_report_destroy(struct cache_report *r);
/* Reads a portion. *done: it was the last one. */
enum err cache_report_read(struct cache_report *r, struct reader *reader, bool *done, struct fault *fault);
/* The most memory that the report may need, in bytes. */
size_t cache_report_bytes(const struct cache_report *r);
/* Appends the document {"metrics":[…],"summary":{…},"timestamp":…}. */
void cache_report_write(struct cache_report *r, struct buf *out);

#endif
