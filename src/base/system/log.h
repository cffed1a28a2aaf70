/* logfmt lines on stderr: `time=… level=info msg="…" key=value`. Callable from any thread; a line is one write. */
#ifndef BASE_SYSTEM_LOG_H
#define BASE_SYSTEM_LOG_H

#include "base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Set once, before the first thread starts. */
void log_set_level(enum log_level least);

/* Where lines go instead of stderr: `text` is the line without its time, its level and its newline. Set once, before
 * anything is logged. */
typedef void log_sink(enum log_level level, const char *text);
void log_set_sink(log_sink *fn);

/* `fields` is a printf format of `key=value` pairs, or NULL. Control characters are blanked, so that text from clients
 * cannot begin a new line. */
void log_write(enum log_level level, const char *msg, const char *fields, ...) __attribute__((format(printf, 3, 4)));

enum { LOG_TEXT_MAX = 256 };

/* A text that may have come from outside, as a value: in quotes, with all that could end them or disturb a terminal escaped,
 * cut where it is long. Returns `out`. */
const char *log_quote(char out[LOG_TEXT_MAX], struct slice text);
/* The same in place: log_warn("…", "error=%s", log_text(why)). */
#define log_text(text) log_quote((char[LOG_TEXT_MAX]){0}, slice_of(text))

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

#endif
