/* Brings parcels to the server, and does not give up at the first failure: it waits and sends again. That is safe, for
 * every event has an id. */
#ifndef CLI_CLIENT_DELIVERY_H
#define CLI_CLIENT_DELIVERY_H

#include "base/system/progress.h"
#include "cli/client/batch_file.h"
#include "cli/client/http.h"
#include "cli/input.h"

struct delivery_figures {
	uint64_t count;      /* events stored */
	uint64_t duplicates; /* events whose id was there already */
	uint64_t first;      /* range of the events stored; of the originals where all were duplicates; 0: none */
	uint64_t last;
	char epoch[64];
};

struct delivery {
	struct http_client *http;
	struct buf url;
	int64_t retry_ms;          /* how long to go on trying without progress */
	struct progress *progress; /* cleared before something is said */
	line_skipped *skip;        /* told of an event that is too large, which is passed over; NULL: it is refused */
	void *skip_arg;
	struct delivery_figures figures;
};

/* `server`, `token` ("": none) and `progress` are borrowed. */
enum err delivery_init(struct delivery *d, const char *server, const char *token, int64_t retry_ms,
		       struct progress *progress, struct fault *fault);
void delivery_finish(struct delivery *d);

/* Sends all of the parcel, in more than one request where the server takes no larger ones. When the server refuses an
 * event for what it is, what stands before it is stored, and the fault's place is the line it came from; where it is only
 * too large it may be passed over. After any other failure nobody knows what of the parcel is stored. */
enum err delivery_send(struct delivery *d, const struct batch_file *p, struct fault *fault);

#endif
