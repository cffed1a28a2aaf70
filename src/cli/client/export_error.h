/* Why a transfer broke off: a stream has no second status to say it with, but whoever asks for the events that come next is
 * told. One thread. */
#ifndef CLI_CLIENT_EXPORT_ERROR_H
#define CLI_CLIENT_EXPORT_ERROR_H

#include "cli/client/http.h"

/* Asks the server for the events after `last`: a few pages, for what it was packing when the transfer broke off is lost.
 * `url` is that of its history, with the filter. Where it refuses, the fault becomes what it says. */
enum err export_error_ask(struct http_client *http, const struct buf *url, uint64_t last, enum err err, struct fault *fault);

#endif
