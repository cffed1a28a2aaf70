/* What is there for all, and how much of it one client may have: the one place that counts it.
 *
 * A client (a token, else an address) may hold as much as it leaves free, so that the next client always finds room: one
 * client alone gets half of all, two get a third each. A client that holds next to nothing else may have all that is free
 * for one thing, and even more if no other client holds anything: a large request passes when it is alone. Of some kinds it
 * may hold several times as much as it leaves free, some have a fixed limit for each client instead. Client 0 is nobody in
 * particular, and counts among all only.
 *
 * NULL in place of the quotas: nothing is limited, and nothing counted. Any thread. docs/decisions/0028-quotas.md. */
#ifndef ENGINE_WORK_QUOTA_H
#define ENGINE_WORK_QUOTA_H

#include "base/err.h"

enum quota {
	QUOTA_CONNECTIONS,
	QUOTA_REQUESTS,      /* that are under way, whole connections of WebSockets among them */
	QUOTA_LONG_REQUESTS, /* of these, the ones that stay: WebSockets, event streams, long polls */
	QUOTA_SEARCHES,      /* requests that have had many turns on the pool, and are not through */
	QUOTA_UPLOADS,       /* bytes of requests and messages on their way in */
	QUOTA_SMALL_UPLOADS, /* the same of those of QUOTA_SMALL_UPLOAD bytes at most, which have room of their own */
	QUOTA_QUEUE_EVENTS,  /* that wait for their commit */
	QUOTA_QUEUE_BYTES,
	QUOTA_REPLIES,       /* bytes of answers that wait to be read */
	QUOTA_SMALL_REPLIES, /* the same of those of QUOTA_SMALL_REPLY bytes at most whose client has no room among the
				others */
	QUOTA_ACKS,          /* the same of answers to publishers that do not read */
	QUOTA_EXPORTS,
	QUOTA_SLOW_EXPORTS, /* of these, the ones that are compressed more than usual */
	QUOTA_SESSIONS,
	QUOTA_FILTERS,    /* bytes of what sessions are filtered by */
	QUOTA_CONDITIONS, /* on payloads, of readers that follow: each event is looked at for each that differs */
	QUOTA_TOPICS,     /* pairs of stream and type */
	QUOTAS
};

enum { QUOTA_SMALL_UPLOAD = 64 * 1024, QUOTA_SMALL_REPLY = 64 * 1024 };

struct quota_limit {
	uint64_t all;    /* 0: any number, and nothing is counted */
	uint64_t client; /* 0: as much as it leaves free; UINT64_MAX: no less than all */
	uint64_t times;  /* with client 0: a client may hold this many times what it leaves free; 0 means 1 */
};

struct quotas;

/* NULL: no memory. */
struct quotas *quotas_create(const struct quota_limit limits[QUOTAS]);
void quotas_destroy(struct quotas *q); /* NULL is fine */

/* ERR_RATE: the client has its share; ERR_BUSY: there is none left. `fault` may be NULL. */
enum err quota_take(struct quotas *q, enum quota kind, uint64_t client, uint64_t amount, struct fault *fault);
/* The same where others are about to give some back: it may be more than there is. ERR_RATE only. */
enum err quota_take_early(struct quotas *q, enum quota kind, uint64_t client, uint64_t amount, struct fault *fault);
/* The same for what is there already, and cannot be refused. */
void quota_charge(struct quotas *q, enum quota kind, uint64_t client, uint64_t amount);
void quota_give(struct quotas *q, enum quota kind, uint64_t client, uint64_t amount);

/* What something holds, as it grows and shrinks. Zeroed but for `quotas` and `client`: nothing. */
struct quota_hold {
	struct quotas *quotas;
	uint64_t client;
	enum quota kind;
	uint64_t amount;
};

/* From now on it holds `amount` of `kind`; on failure, what it held before. */
enum err quota_hold(struct quota_hold *h, enum quota kind, uint64_t amount, struct fault *fault);
/* The same for an upload; its size decides which kind it is. */
enum err quota_hold_upload(struct quota_hold *h, uint64_t bytes, struct fault *fault);

/* How much more of it the client may take at the moment. */
uint64_t quota_room(struct quotas *q, enum quota kind, uint64_t client);
/* There was no room: counts the refusal, and says why, as quota_take does. */
enum err quota_refuse(struct quotas *q, enum quota kind, uint64_t client, struct fault *fault);
/* Somebody waits for room, or does no longer. */
void quota_wait(struct quotas *q, enum quota kind);
void quota_wait_end(struct quotas *q, enum quota kind);
/* Is a client waiting for room, or was one refused a few seconds ago? Then those that take nothing of what they hold are to
 * be cut off. */
bool quota_is_wanted(struct quotas *q, enum quota kind);

struct quota_figures {
	const char *name; /* as users see it */
	uint64_t held;
	uint64_t limit;
	uint64_t refused_share; /* how often a client had its share, */
	uint64_t refused_all;   /* and how often there was none left */
};

struct quota_figures quota_read(struct quotas *q, enum quota kind);

#endif
