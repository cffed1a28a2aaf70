/* Why a transfer was aborted: a stream cannot report an error in its status, but a request for the next events can. One
 * thread. */
#ifndef CLI_CLIENT_EXPORT_ERROR_H
#define CLI_CLIENT_EXPORT_ERROR_H

#include "cli/client/http.h"

/* Asks the server for the events after `last`, a few pages at most, because those that the server was compressing when it
 * aborted are lost. `url` is that of its history, with the filter. If the server refuses, `fault` becomes its error. */
enum err export_error_ask(struct http_client *http, const struct buf *url, uint64_t last, enum err err, struct fault *fault);

#endif
