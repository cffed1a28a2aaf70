/* Acknowledgements that a publisher has not read yet, in two or three bytes each: an hour at a thousand per second takes ten
 * MiB. Their JSON is made when the socket has room. First in, first out; on the ws thread.
 *
 *     record   kind and text in one byte, then the distance to the seq before it, zigzag, seven bits a byte
 *     text     a repeated text: its number; any other: its length and its bytes                                       */
#ifndef ENGINE_WORK_ACK_LIST_H
#define ENGINE_WORK_ACK_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "engine/work/quota.h"

enum {
	ACKS_TEXT_MAX = 1024, /* bytes of a text */
	ACKS_TEXTS = 62,      /* that are known by number */
};

enum ack_kind { ACK_STORED, ACK_DUPLICATE, ACK_REFUSED };

struct ack {
	enum ack_kind kind;
	uint64_t seq;      /* of ACK_REFUSED: without meaning */
	struct slice text; /* no p: none */
};

struct acks {
	struct list chunks;
	size_t bytes; /* memory of the chunks, counted in QUOTA_ACKS */
	struct quotas *quotas;
	uint64_t client;
	uint64_t added_seq;
	uint64_t read_seq;
	struct slice *texts; /* ACKS_TEXTS of them; NULL until there is one: most connections never have any */
	int text_count;
};

void acks_init(struct acks *a, struct quotas *quotas, uint64_t client);
void acks_finish(struct acks *a);

/* False when there is no memory; then nothing was added. Texts are cut after ACKS_TEXT_MAX bytes. */
bool acks_add(struct acks *a, const struct ack *ack);
bool acks_empty(const struct acks *a);
/* Removes the oldest one; the list is not empty. Its text lives until the next call, and as long as the buffer `text`, into
 * which it may be copied: check that with buf_failed. */
void acks_take(struct acks *a, struct ack *out, struct buf *text);
/* Throws all away. */
void acks_clear(struct acks *a);

#endif
