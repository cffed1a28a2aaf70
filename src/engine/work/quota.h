/* Quotas: how much of each shared resource is in use, and how much one client may have. All of it is counted here.
 *
 * A client (a token, else an address) may hold as much as it leaves free, so that the next client always finds room: one
 * client alone gets half of all, two get a third each. A client that holds next to nothing else may have all that is free
 * for one thing, and even more if no other client holds anything: a large request passes when it is alone. Of some kinds it
 * may hold several times as much as it leaves free, some have a fixed limit for each client instead. Client 0 is no
 * particular client: it counts in the total only.
 *
 * NULL in place of the quotas: nothing is limited, and nothing counted. Any thread. docs/decisions/0028-quotas.md. */
#ifndef ENGINE_WORK_QUOTA_H
#define ENGINE_WORK_QUOTA_H

#include "base/err.h"

enum quota {
	QUOTA_CONNECTIONS,
	QUOTA_REQUESTS,      /* under way; a WebSocket connection counts as one */
	QUOTA_LONG_REQUESTS, /* of these: WebSockets, event streams, long polls */
	QUOTA_SEARCHES,      /* requests that have had many turns on the pool and are not finished */
	QUOTA_UPLOADS,       /* bytes of requests and messages that are being received */
	QUOTA_SMALL_UPLOADS, /* the same of uploads of at most QUOTA_SMALL_UPLOAD bytes, which have their own limit */
	QUOTA_QUEUE_EVENTS,  /* events that wait for their commit */
	QUOTA_QUEUE_BYTES,
	QUOTA_REPLIES,       /* bytes of replies that clients have not read yet */
	QUOTA_SMALL_REPLIES, /* the same of replies of at most QUOTA_SMALL_REPLY bytes whose client has no room left in
				QUOTA_REPLIES */
	QUOTA_ACKS,          /* the same of acknowledgements that publishers have not read yet */
	QUOTA_EXPORTS,
	QUOTA_SLOW_EXPORTS, /* of these: those with a higher compression level than the default */
	QUOTA_SESSIONS,
	QUOTA_FILTERS,    /* bytes of the filters of sessions */
	QUOTA_CONDITIONS, /* on payloads, of live readers: each new event is tested with each different condition */
	QUOTA_TOPICS,     /* pairs of stream and type */
	QUOTAS
};

enum { QUOTA_SMALL_UPLOAD = 64 * 1024, QUOTA_SMALL_REPLY = 64 * 1024 };

struct quota_limit {
	uint64_t all;    /* 0: no limit, and nothing is counted */
	uint64_t client; /* 0: as much as it leaves free; UINT64_MAX: as much as all */
	uint64_t times;  /* with client 0: a client may hold this many times what it leaves free; 0 means 1 */
};

struct quotas;

/* NULL: no memory. */
struct quotas *quotas_create(const struct quota_limit limits[QUOTAS]);
void quotas_destroy(struct quotas *q); /* NULL is fine */

/* ERR_RATE: the client has as much as it may; ERR_BUSY: nothing is left. `fault` may be NULL. */
enum err quota_take(struct quotas *q, enum quota kind, uint64_t client, uint64_t amount, struct fault *fault);
/* The same where others are about to give some back: the total may be exceeded. ERR_RATE only. */
enum err quota_take_early(struct quotas *q, enum quota kind, uint64_t client, uint64_t amount, struct fault *fault);
/* The same for what exists already and cannot be refused. */
void quota_charge(struct quotas *q, enum quota kind, uint64_t client, uint64_t amount);
void quota_give(struct quotas *q, enum quota kind, uint64_t client, uint64_t amount);

/* What one request or message holds, as it grows and shrinks. Initially zero but for `quotas` and `client`. */
struct quota_hold {
	struct quotas *quotas;
	uint64_t client;
	enum quota kind;
	uint64_t amount;
};

/* Changes what is held to `amount` of `kind`; on failure (ERR_RATE, ERR_BUSY) it stays as it was. */
enum err quota_hold(struct quota_hold *h, enum quota kind, uint64_t amount, struct fault *fault);
/* The same for an upload; its size decides which kind it is. */
enum err quota_hold_upload(struct quota_hold *h, uint64_t bytes, struct fault *fault);

/* How much more the client may take at the moment. */
uint64_t quota_room(struct quotas *q, enum quota kind, uint64_t client);
/* For callers that found no room with quota_room: counts the refusal, and says why, as quota_take does. */
enum err quota_refuse(struct quotas *q, enum quota kind, uint64_t client, struct fault *fault);
/* A client begins to wait for room, or stops waiting. */
void quota_wait(struct quotas *q, enum quota kind);
void quota_wait_end(struct quotas *q, enum quota kind);
/* Is a client waiting for room, or was one refused a few seconds ago? Then clients that do not read their replies are cut
 * off. */
bool quota_is_wanted(struct quotas *q, enum quota kind);

struct quota_figures {
	const char *name; /* as users see it */
	uint64_t held;
	uint64_t limit;
	uint64_t refused_share; /* refusals because the client had as much as it may */
	uint64_t refused_all;   /* refusals because nothing was left */
};

struct quota_figures quota_read(struct quotas *q, enum quota kind);

#endif
