/* Delivers batches to the server, and retries on failure. This is safe because every event has an id. */
#ifndef CLI_CLIENT_DELIVERY_H
#define CLI_CLIENT_DELIVERY_H

#include "base/system/progress.h"
#include "cli/client/batch_file.h"
#include "cli/client/http.h"
#include "cli/input.h"

struct delivery_figures {
	uint64_t count;      /* events stored */
	uint64_t duplicates; /* events whose id was stored before */
	uint64_t first;      /* range of the stored events, or of the originals if all were duplicates; 0: none */
	uint64_t last;
	char epoch[64];
};

struct delivery {
	struct http_client *http;
	struct buf url;
	int64_t retry_ms;          /* how long to retry without progress */
	struct progress *progress; /* cleared before a message is printed */
	line_skipped *skip;        /* called for an event that is too large, which is then skipped; NULL: it is refused */
	void *skip_arg;
	struct delivery_figures figures;
};

/* `server`, `token` ("": none) and `progress` are borrowed. */
enum err delivery_init(struct delivery *d, const char *server, const char *token, int64_t retry_ms,
		       struct progress *progress, struct fault *fault);
void delivery_finish(struct delivery *d);

/* Sends a whole batch, in several requests if the server does not accept larger ones. If the server refuses an event
 * because of its content, the events before it are stored, and fault.place is its line; an event that is only too large
 * may be skipped. After any other failure it is unknown which events are stored. */
enum err delivery_send(struct delivery *d, const struct batch_file *p, struct fault *fault);

#endif
