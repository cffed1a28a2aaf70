#include "base/system/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/system/clock.h"

static enum log_level least = LOG_INFO;
static log_sink *sink; /* NULL: stderr */

void log_set_level(enum log_level level)
{
	least = level;
}

void log_set_sink(log_sink *fn)
{
	sink = fn;
}

/* A full pipe must not stop the server: the line is dropped. It is shorter than PIPE_BUF, so it is written whole or not at
 * all. Errors of stderr are ignored. */
static void write_stderr(const char *line, size_t len)
{
	struct pollfd out = {STDERR_FILENO, POLLOUT, 0};
	if (poll(&out, 1, 0) != 1)
		return;
	ssize_t done = write(STDERR_FILENO, line, len);
	(void)done;
}

void log_write(enum log_level level, const char *msg, const char *fields, ...)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	if (level < least)
		return;
	char line[1024];
	char now[CLOCK_TEXT_LEN];
	clock_format(clock_wall_ms(), now);
	size_t room = sizeof line - 2; /* for the newline and the NUL */
	size_t head = (size_t)snprintf(line, room, "time=%.*s level=%s ", CLOCK_TEXT_LEN, now, names[level]);
	size_t len = head + (size_t)snprintf(line + head, room - head, "msg=\"%s\"", msg);
	if (fields != NULL && len + 1 < room) {
		line[len++] = ' ';
		va_list args;
		va_start(args, fields);
		int n = vsnprintf(line + len, room - len, fields, args);
		va_end(args);
		len += n > 0 ? (size_t)n : 0;
	}
	if (len >= room)
		len = room - 1;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = ' ';
	line[len] = '\0';
	if (sink != NULL) {
		sink(level, line + head);
		return;
	}
	line[len++] = '\n';
	write_stderr(line, len);
}

const char *log_quote(char out[LOG_TEXT_MAX], struct slice text)
{
	enum { ESCAPED = 4 }; /* \\xNN */
	size_t n = 0;
	out[n++] = '"';
	for (size_t i = 0; i < text.len && n < LOG_TEXT_MAX - 2 - ESCAPED; i++) {
		unsigned char c = (unsigned char)text.p[i];
		if (c == '"' || c == '\\')
			out[n++] = '\\';
		if (c >= 0x20 && c < 0x7f)
			out[n++] = (char)c;
		else
			n += (size_t)snprintf(out + n, ESCAPED + 1, "\\x%02x", c);
	}
	out[n++] = '"';
	out[n] = '\0';
	return out;
}
