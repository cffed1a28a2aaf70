#include "cli/output.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/stop.h"

enum { FLUSH_BYTES = 64 * 1024 };

void output_init(struct output *o)
{
	*o = (struct output){0};
	signal(SIGPIPE, SIG_IGN);
}

void output_finish(struct output *o)
{
	buf_finish(&o->text);
}

enum err output_add(struct output *o, const void *bytes, size_t len, struct fault *fault)
{
	buf_add(&o->text, bytes, len);
	if (buf_failed(&o->text))
		return fault_nomem(fault);
	return o->text.len >= FLUSH_BYTES ? output_flush(o, fault) : ERR_NONE;
}

/* A pipe or a terminal may have been made non-blocking by another process that has it open. */
static void wait_until_writable(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
	poll(&p, 1, -1);
}

enum err output_flush(struct output *o, struct fault *fault)
{
	enum err err = ERR_NONE;
	size_t written = 0;
	while (!err && written < o->text.len) {
		ssize_t n = write(STDOUT_FILENO, o->text.data + written, o->text.len - written);
		if (n >= 0)
			written += (size_t)n;
		else if (errno == EPIPE || (errno == EINTR && stop_wanted()))
			err = fault_set(fault, ERR_CLOSED, "the reader of the output has closed it");
		else if (errno == EAGAIN)
			wait_until_writable();
		else if (errno != EINTR)
			err = fault_set(fault, ERR_IO, "cannot write the output: %s", strerror(errno));
	}
	buf_drop(&o->text, written);
	o->lost = o->lost || err == ERR_CLOSED;
	return err;
}

bool output_has_reader(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO};
	return poll(&p, 1, 0) <= 0 || (p.revents & (POLLERR | POLLNVAL)) == 0;
}
